-- The workflow's row says what the service has to do with it, so that any instance can do it.
ALTER TABLE intent_workflows
    -- When an instance has to look at the workflow next; NULL while the service has nothing to do with it. It is the
    -- time at which a retry is due, the expire_time of a lease of the service's own executor, or a time in the past.
    ADD COLUMN due_time timestamptz,
    -- RunWorkflow: since when the workflow is to run, and who asked for it. NULL: it runs no further than its step.
    ADD COLUMN run_time timestamptz,
    ADD COLUMN run_actor text CHECK (length(run_actor) BETWEEN 1 AND 200),
    ADD COLUMN run_on_budget_exceeded text CHECK (run_on_budget_exceeded IN ('FAIL', 'WAIT')),
    -- How often the present step's lease ran out and was taken over.
    ADD COLUMN takeovers integer NOT NULL DEFAULT 0 CHECK (takeovers >= 0),
    -- How often the present step has failed in this run.
    ADD COLUMN failed_attempts integer NOT NULL DEFAULT 0 CHECK (failed_attempts >= 0),
    -- Since when the workflow has been in its state.
    ADD COLUMN state_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Nothing new is begun while it is paused.
    ADD COLUMN pause_time timestamptz,
    ADD COLUMN pause_actor text CHECK (length(pause_actor) BETWEEN 1 AND 200),
    ADD COLUMN pause_reason text CHECK (length(pause_reason) <= 1024),
    ADD CONSTRAINT run_is_whole CHECK (num_nulls(run_time, run_actor, run_on_budget_exceeded) IN (0, 3)),
    ADD CONSTRAINT pause_is_whole CHECK (num_nulls(pause_time, pause_actor, pause_reason) IN (0, 3)),
    -- A step that is PROCESSING without a lease waits for an executor.
    DROP CONSTRAINT processing_has_its_lease,
    ADD CONSTRAINT processing_has_its_lease CHECK (
        CASE
            WHEN state LIKE '%\_PROCESSING' THEN num_nulls(lease_token, lease_expire_time) IN (0, 2) AND lease_epoch > 0
            ELSE num_nonnulls(lease_token, lease_expire_time) = 0
        END
    );

-- A step may enter PROCESSING at a new epoch before anybody leases it.
ALTER TABLE workflow_transitions
    DROP CONSTRAINT lease_is_whole,
    ADD CONSTRAINT lease_has_its_epoch CHECK (lease_token IS NULL OR epoch IS NOT NULL);

-- The instances look for what is due, an organization at a time.
CREATE INDEX intent_workflows_due ON intent_workflows (organization_id, due_time)
    WHERE due_time IS NOT NULL AND pause_time IS NULL;

-- The requests that wait for a step or a run to end.
CREATE INDEX request_ids_open ON request_ids (organization_id, workflow_id) WHERE answer IS NULL;

-- Steps that an earlier version's executor runs, or ran until it was killed, are the service's to take over.
UPDATE intent_workflows AS w
SET due_time = w.lease_expire_time
FROM workflow_transitions AS t
WHERE
    t.organization_id = w.organization_id AND t.workflow_id = w.id AND t.version = w.version
    AND w.state LIKE '%\_PROCESSING' AND t.reason IN ('RunStep', 'RunWorkflow');
