-- Holds (`authorizations`) and the append-only ledger.

-- The indexes below, apart from keys, are partial: their condition is always true, and only the queries that they are
-- made for repeat it. On an empty table the planner finds every index that begins with organization_id equally good,
-- and a session keeps its plan: without the condition, a look-up by key could read all rows of an organization.

CREATE DOMAIN expiry_action AS text CHECK (VALUE IN ('RELEASE', 'CHARGE'));
CREATE DOMAIN authorization_state AS text CHECK (VALUE IN ('PENDING', 'SETTLED', 'VOIDED', 'EXPIRED'));
CREATE DOMAIN entry_kind AS text CHECK (VALUE IN ('USAGE', 'UNKNOWN', 'ADJUSTMENT'));

CREATE TABLE authorizations (
    organization_id uuid NOT NULL,
    -- A UUIDv5 of its request_id: a look-up by either is a look-up by key.
    authorization_id uuid NOT NULL,
    request_id uuid NOT NULL,
    -- A hash of the request as sent. NULL: voided by request_id before it was ever authorized.
    request_hash bytea,
    -- SUSPENSE is PENDING after expire_time: running out needs no write (see the function state_at).
    state authorization_state NOT NULL,
    workflow_id uuid,
    requested_model text,
    model text,
    price_id uuid,
    input_tokens_max token_count,
    output_tokens_max token_count,
    requests_max request_count,
    -- What was held; it counts in its budgets while the hold is live.
    held_nano_usd entry_nano_usd NOT NULL,
    -- NULL: not downgraded.
    downgrade_reason text,
    on_expiry expiry_action,
    labels jsonb NOT NULL DEFAULT '{}',
    -- The UTC month that it counts in, as 2026-11.
    month text,
    -- The budgets that it was placed on: ending it moves exactly these.
    budget_keys text[] NOT NULL DEFAULT '{}',
    create_time timestamptz NOT NULL,
    expire_time timestamptz NOT NULL,
    end_time timestamptz,
    end_reason text,
    -- The USAGE or UNKNOWN entry that settled it.
    entry_id uuid,
    -- The ADJUSTMENT that brought an UNKNOWN entry to its true cost.
    true_up_entry_id uuid,
    -- A hash of the usage that it was settled with. NULL while SETTLED: the outcome is unknown.
    settlement_hash bytea,
    PRIMARY KEY (organization_id, authorization_id),
    CHECK (
        (state = 'PENDING') = (end_time IS NULL)
        AND (state = 'SETTLED') = (entry_id IS NOT NULL)
        AND (true_up_entry_id IS NULL OR settlement_hash IS NOT NULL)
        AND held_nano_usd >= 0
    ),
    CHECK (
        num_nonnulls(request_hash, workflow_id, requested_model, model, price_id, input_tokens_max,
            output_tokens_max, requests_max, on_expiry, month) = 10
        OR (state = 'VOIDED' AND request_hash IS NULL AND model IS NULL AND held_nano_usd = 0)
    )
) WITH (fillfactor = 70);
CREATE INDEX authorizations_live ON authorizations (expire_time, organization_id) WHERE state = 'PENDING';
CREATE INDEX authorizations_by_age ON authorizations (organization_id, create_time, authorization_id)
WHERE create_time > '-infinity';

CREATE TABLE ai_usage_ledger (
    organization_id uuid NOT NULL,
    -- The authorization's id for settlements, else a UUIDv5 of the method and its request_id.
    idempotency_key uuid NOT NULL,
    -- An entry's id is its idempotency key: one effect has one name.
    id uuid NOT NULL GENERATED ALWAYS AS (idempotency_key) STORED,
    -- Dense within the organization.
    sequence bigint NOT NULL,
    kind entry_kind NOT NULL,
    workflow_id uuid NOT NULL,
    authorization_id uuid,
    requested_model text NOT NULL,
    granted_model text NOT NULL,
    -- The model that served.
    model text NOT NULL,
    prompt_tokens token_count NOT NULL,
    cached_input_tokens token_count NOT NULL,
    cache_write_tokens token_count NOT NULL,
    completion_tokens token_count NOT NULL,
    reasoning_tokens token_count NOT NULL,
    requests request_count NOT NULL,
    cost_nano_usd entry_nano_usd NOT NULL,
    -- The same in USD, exact.
    cost numeric NOT NULL GENERATED ALWAYS AS (cost_nano_usd * 0.000000001) STORED,
    rated_cost_nano_usd amount_nano_usd NOT NULL,
    provider_cost_nano_usd amount_nano_usd,
    provider_generation_id text NOT NULL DEFAULT '',
    -- The hold that this entry released.
    held_nano_usd amount_nano_usd NOT NULL,
    overage_nano_usd amount_nano_usd NOT NULL,
    price_id uuid,
    flags text[] NOT NULL DEFAULT '{}',
    labels jsonb NOT NULL DEFAULT '{}',
    -- The UTC month that it counts in, as 2026-11: the month of its hold.
    month text NOT NULL,
    adjusts_entry_id uuid,
    reason text NOT NULL DEFAULT '',
    author text NOT NULL,
    created_at timestamptz NOT NULL,
    -- When it happened, for usage that had no hold.
    occurred_at timestamptz,
    -- The budgets that an entry without a hold moved. NULL where there was a hold, which has its own list.
    budget_keys text[],
    -- A hash of the request that posted it. NULL for settlements: their hold has it.
    request_hash bytea,
    -- The UTC day that it counts in, always one of its month: the day on which it was posted or, without a hold, on
    -- which the usage occurred. An entry that is posted after the month's end counts in the month's last day, one that
    -- is posted before its beginning in the first.
    -- One flat expression, since every INSERT would have to plan and inline functions of ours.
    day date NOT NULL GENERATED ALWAYS AS (greatest(
        make_date(left(month, 4)::integer, right(month, 2)::integer, 1),
        least(
            (coalesce(occurred_at, created_at) AT TIME ZONE 'UTC')::date,
            (make_date(left(month, 4)::integer, right(month, 2)::integer, 1) + interval '1 month - 1 day')::date
        )
    )) STORED,
    PRIMARY KEY (organization_id, idempotency_key),
    CHECK (
        sequence > 0
        AND cached_input_tokens + cache_write_tokens <= prompt_tokens
        AND reasoning_tokens <= completion_tokens
        AND CASE WHEN kind = 'ADJUSTMENT' THEN adjusts_entry_id IS NOT NULL ELSE
            adjusts_entry_id IS NULL
            -- What an entry releases of its hold is never negative: cost + released = held + overage.
            AND cost_nano_usd BETWEEN 0 AND held_nano_usd + overage_nano_usd
        END
    ),
    CHECK (num_nonnulls(authorization_id, budget_keys) = 1),
    CHECK ((occurred_at IS NOT NULL) = (authorization_id IS NULL AND kind = 'USAGE'))
);
CREATE UNIQUE INDEX ai_usage_ledger_sequences ON ai_usage_ledger (organization_id, sequence) WHERE sequence > 0;
CREATE INDEX ai_usage_ledger_by_workflow ON ai_usage_ledger (workflow_id, organization_id, sequence);
CREATE INDEX ai_usage_ledger_adjustments ON ai_usage_ledger (organization_id, adjusts_entry_id)
WHERE adjusts_entry_id IS NOT NULL;
