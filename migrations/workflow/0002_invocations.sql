-- The journal of model calls: what was asked for, what was sent, what came back, what it cost.
--
--   REQUESTED ──▶ AUTHORIZED ──▶ DISPATCHED ──▶ RESPONDED ──▶ SETTLED
--       │             │              │                          ▲
--       │             └──────▶ VOIDING ◀┘ (refused, no charge)  │
--       │                      │  ▲   └── the hold had been charged
--       │                      ▼  │
--       └─ denied ─────────▶ VOIDED (a hold that may exist is VOIDING first)
--
-- Each move is a compare-and-set that is committed before the next action, so that after a crash a row shows what
-- may have happened: up to AUTHORIZED nothing was sent; a DISPATCHED call may have cost money; a RESPONDED row has the
-- answer and the usage. `epoch` is the epoch of the lease whose holder owns the row.
CREATE TABLE model_invocations (
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    -- A step of Step in workflow_service/domain/states.py.
    step text NOT NULL CHECK (step <> ''),
    -- The part of the step that the call is for; empty if the step is one call.
    item text NOT NULL CHECK (length(item) <= 200),
    -- The ordinal of the call for its step and item; it goes on counting when the step runs again.
    attempt integer NOT NULL CHECK (attempt > 0),
    -- Derived from workflow, step, item and attempt; it identifies the hold at the governor.
    request_id uuid NOT NULL,
    epoch bigint NOT NULL CHECK (epoch > 0),
    state text NOT NULL CHECK (
        state IN ('REQUESTED', 'AUTHORIZED', 'DISPATCHED', 'RESPONDED', 'SETTLED', 'VOIDING', 'VOIDED')
    ),

    requested_models text[] NOT NULL CHECK (cardinality(requested_models) BETWEEN 1 AND 10),
    authorization_id uuid,
    -- The granted one.
    model text,
    held_nano_usd bigint CHECK (held_nano_usd >= 0),

    served_model text CHECK (length(served_model) <= 200),
    generation_id text CHECK (length(generation_id) <= 200),
    -- Kept if it parses, so that it can be used again without paying again.
    answer text,
    input_tokens bigint CHECK (input_tokens >= 0),
    cached_input_tokens bigint CHECK (cached_input_tokens BETWEEN 0 AND input_tokens),
    cache_write_tokens bigint CHECK (cache_write_tokens BETWEEN 0 AND input_tokens),
    output_tokens bigint CHECK (output_tokens >= 0),
    reasoning_tokens bigint CHECK (reasoning_tokens BETWEEN 0 AND output_tokens),
    requests bigint CHECK (requests >= 0),
    provider_cost_nano_usd bigint CHECK (provider_cost_nano_usd >= 0),

    entry_id uuid,
    cost_nano_usd bigint CHECK (cost_nano_usd >= 0),
    -- The workflow's spend so far, as the governor reported it with the settlement.
    workflow_spent_nano_usd bigint CHECK (workflow_spent_nano_usd >= 0),
    error_class text CHECK (error_class IN (
        'RATE_LIMITED', 'PROVIDER_ERROR', 'TIMEOUT', 'CONNECTION_FAILED', 'INVALID_REQUEST',
        'PROVIDER_UNAUTHORIZED', 'INSUFFICIENT_CREDITS', 'FORBIDDEN', 'UNPROCESSABLE', 'UNKNOWN_MODEL',
        'MALFORMED_RESPONSE', 'UNPARSABLE_RESULT', 'BUDGET_DENIED', 'GOVERNOR_REFUSED', 'GOVERNOR_UNAVAILABLE',
        'NOTHING_VALID', 'PUBLISH_FAILED', 'LEASE_EXPIRED', 'REPORTED_BY_WORKER', 'INTERNAL'
    )),

    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    update_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    dispatch_time timestamptz,
    respond_time timestamptz,
    end_time timestamptz,

    PRIMARY KEY (organization_id, workflow_id, step, item, attempt),
    UNIQUE (organization_id, request_id),

    CONSTRAINT authorized_has_its_hold CHECK (
        state NOT IN ('AUTHORIZED', 'DISPATCHED', 'RESPONDED', 'SETTLED') OR authorization_id IS NOT NULL
    ),
    CONSTRAINT hold_is_whole CHECK (
        authorization_id IS NULL OR (model IS NOT NULL AND held_nano_usd IS NOT NULL)
    ),
    CONSTRAINT dispatched_has_its_time CHECK (
        CASE
            WHEN state IN ('REQUESTED', 'AUTHORIZED') THEN dispatch_time IS NULL
            WHEN state IN ('DISPATCHED', 'RESPONDED') THEN dispatch_time IS NOT NULL
            ELSE true
        END
    ),
    CONSTRAINT responded_has_its_time CHECK (
        CASE
            WHEN state = 'RESPONDED' THEN respond_time IS NOT NULL
            WHEN state = 'SETTLED' THEN true
            ELSE respond_time IS NULL
        END
    ),
    CONSTRAINT answer_came_in_response CHECK (
        respond_time IS NOT NULL
        OR num_nonnulls(answer, served_model, input_tokens, provider_cost_nano_usd) = 0
    ),
    CONSTRAINT answer_is_good CHECK (answer IS NULL OR error_class IS NULL),
    CONSTRAINT usage_is_whole CHECK (
        num_nonnulls(
            input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, requests
        ) IN (0, 6)
    ),
    CONSTRAINT settled_has_its_entry CHECK (
        (state = 'SETTLED') = (entry_id IS NOT NULL) AND (entry_id IS NULL) = (cost_nano_usd IS NULL)
    ),
    CONSTRAINT ended_has_its_time CHECK ((state IN ('SETTLED', 'VOIDED')) = (end_time IS NOT NULL)),
    CONSTRAINT fruitless_has_its_class CHECK (
        state NOT IN ('VOIDING', 'VOIDED') OR error_class IS NOT NULL
    )
);

COMMENT ON TABLE model_invocations IS 'One row for each model call that was ever asked for, with its money.';

-- ListInvocations reads a workflow's calls in the order in which they were asked for.
CREATE INDEX model_invocations_in_order
    ON model_invocations (organization_id, workflow_id, create_time, request_id);

-- Recovery looks for open calls.
CREATE INDEX model_invocations_open
    ON model_invocations (organization_id, workflow_id, step)
    WHERE state NOT IN ('SETTLED', 'VOIDED');
