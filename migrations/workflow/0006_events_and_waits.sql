-- What a workflow waits for, kept by a trigger so that lists can be filtered by it; and the events of all workflows.
ALTER TABLE intent_workflows
    ADD COLUMN waits_for text CHECK (waits_for IN (
        'CALLER', 'REVIEW', 'SLOT', 'LEASE_HOLDER', 'WORKER', 'RETRY', 'BUDGET', 'RESUME'
    )),
    -- How often the run tries the step; set with a retry.
    ADD COLUMN attempts_max integer CHECK (attempts_max >= 1);

UPDATE intent_workflows
SET waits_for = CASE
    WHEN state IN ('COMPLETED', 'CANCELLED') THEN NULL
    WHEN state LIKE '%\_PROCESSING' THEN 'LEASE_HOLDER'
    WHEN state = 'SEED_REVIEW_PENDING' THEN 'REVIEW'
    ELSE 'CALLER'
END;

CREATE INDEX intent_workflows_waiting ON intent_workflows (organization_id, waits_for, create_time DESC, id DESC);

-- The outbox: an event is written in the transaction of what it tells. One relay at a time gives out the offsets, after
-- the commit: so who follows the offsets misses nothing, and there are no gaps.
CREATE TABLE workflow_events (
    organization_id uuid NOT NULL,
    event_id uuid NOT NULL DEFAULT gen_random_uuid(),
    -- The order in which events were written; a later one may be committed first.
    place bigint GENERATED ALWAYS AS IDENTITY,
    event_offset bigint CHECK (event_offset > 0),
    workflow_id uuid NOT NULL,
    type text NOT NULL CHECK (type IN (
        'TRANSITION', 'TAKEN_OVER', 'RETRY', 'BUDGET_WAIT', 'ATTEMPTS_EXHAUSTED', 'PAUSED', 'RESUMED'
    )),
    state text NOT NULL,
    -- The state before, of a TRANSITION.
    from_state text,
    version bigint NOT NULL CHECK (version >= 1),
    epoch bigint CHECK (epoch > 0),
    actor text NOT NULL CHECK (length(actor) BETWEEN 1 AND 200),
    reason text NOT NULL CHECK (length(reason) <= 2048),
    error_class text,
    error_reason text,
    error_message text,
    attempt integer CHECK (attempt >= 1),
    attempts_max integer CHECK (attempts_max >= 1),
    next_time timestamptz,
    total_ai_cost_nano_usd bigint NOT NULL CHECK (total_ai_cost_nano_usd >= 0),
    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),

    PRIMARY KEY (organization_id, event_id)
);
COMMENT ON TABLE workflow_events IS 'What happened to workflows, in the order of the offsets.';

CREATE INDEX workflow_events_by_offset ON workflow_events (organization_id, event_offset);
CREATE INDEX workflow_events_without_offset ON workflow_events (place) WHERE event_offset IS NULL;

CREATE TABLE last_event_offset (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    event_offset bigint NOT NULL DEFAULT 0 CHECK (event_offset >= 0)
);
INSERT INTO last_event_offset DEFAULT VALUES;
COMMENT ON TABLE last_event_offset IS 'The offset that was given out last.';
