-- Holds (`authorizations`) and the append-only ledger.

CREATE TABLE authorizations (
    organization_id uuid NOT NULL,
    authorization_id uuid NOT NULL DEFAULT gen_random_uuid(),
    request_id uuid NOT NULL,
    -- A hash of the request as sent. NULL: voided by request_id before it was ever authorized.
    request_hash bytea,
    -- SUSPENSE is PENDING past its expire_time: running out needs no write (see state_at).
    state text NOT NULL CHECK (state IN ('PENDING', 'SETTLED', 'VOIDED', 'EXPIRED')),
    workflow_id uuid,
    requested_model text,
    model text,
    price_id uuid,
    input_tokens_max bigint,
    output_tokens_max bigint,
    requests_max bigint,
    -- What was held; it counts in its budgets while the hold is live.
    held_nano_usd bigint NOT NULL CHECK (held_nano_usd BETWEEN 0 AND 1000000000000000),
    -- NULL: not downgraded.
    downgrade_reason text,
    on_expiry text CHECK (on_expiry IN ('RELEASE', 'CHARGE')),
    labels jsonb NOT NULL DEFAULT '{}',
    -- The UTC month that it counts in, as 2026-11.
    month text,
    -- The budgets it was placed on, sorted: ending it moves exactly these.
    budget_keys text[] NOT NULL DEFAULT '{}',
    create_time timestamptz NOT NULL,
    expire_time timestamptz NOT NULL,
    end_time timestamptz,
    end_reason text,
    -- The USAGE or UNKNOWN entry that settled it.
    entry_id uuid,
    -- The ADJUSTMENT that brought an UNKNOWN entry to its true cost.
    true_up_entry_id uuid,
    -- A hash of the usage it was settled with. NULL while SETTLED: the outcome is unknown.
    settlement_hash bytea,
    PRIMARY KEY (organization_id, authorization_id),
    UNIQUE (organization_id, request_id),
    CHECK ((state = 'PENDING') = (end_time IS NULL)),
    CHECK ((state = 'SETTLED') = (entry_id IS NOT NULL)),
    CHECK (true_up_entry_id IS NULL OR settlement_hash IS NOT NULL),
    CHECK (
        num_nonnulls(request_hash, workflow_id, requested_model, model, price_id, input_tokens_max,
            output_tokens_max, requests_max, on_expiry, month) = 10
        OR (state = 'VOIDED' AND request_hash IS NULL AND model IS NULL AND held_nano_usd = 0)
    )
) WITH (fillfactor = 70);

-- The state that a hold is in at a time.
CREATE FUNCTION state_at(p_state text, p_expire_time timestamptz, p_now timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN p_state = 'PENDING' AND p_expire_time <= p_now THEN 'SUSPENSE' ELSE p_state END;

CREATE TABLE ai_usage_ledger (
    organization_id uuid NOT NULL,
    -- The authorization's id for settlements, else a UUIDv5 of the method and its request_id.
    idempotency_key uuid NOT NULL,
    -- An entry's id is its idempotency key: one name for one effect.
    id uuid NOT NULL GENERATED ALWAYS AS (idempotency_key) STORED,
    -- Dense within the organization.
    sequence bigint NOT NULL CHECK (sequence > 0),
    kind text NOT NULL CHECK (kind IN ('USAGE', 'UNKNOWN', 'ADJUSTMENT')),
    workflow_id uuid NOT NULL,
    authorization_id uuid,
    requested_model text NOT NULL,
    granted_model text NOT NULL,
    -- The model that served.
    model text NOT NULL,
    prompt_tokens bigint NOT NULL CHECK (prompt_tokens BETWEEN 0 AND 1000000000),
    cached_input_tokens bigint NOT NULL CHECK (cached_input_tokens >= 0),
    cache_write_tokens bigint NOT NULL CHECK (cache_write_tokens >= 0),
    completion_tokens bigint NOT NULL CHECK (completion_tokens BETWEEN 0 AND 1000000000),
    reasoning_tokens bigint NOT NULL CHECK (reasoning_tokens BETWEEN 0 AND completion_tokens),
    requests bigint NOT NULL CHECK (requests BETWEEN 0 AND 1000000),
    cost_nano_usd bigint NOT NULL,
    -- The same in USD, exact.
    cost numeric NOT NULL GENERATED ALWAYS AS (cost_nano_usd * 0.000000001) STORED,
    rated_cost_nano_usd bigint NOT NULL CHECK (rated_cost_nano_usd >= 0),
    provider_cost_nano_usd bigint CHECK (provider_cost_nano_usd >= 0),
    provider_generation_id text NOT NULL DEFAULT '',
    -- The hold that this entry released.
    held_nano_usd bigint NOT NULL CHECK (held_nano_usd >= 0),
    overage_nano_usd bigint NOT NULL CHECK (overage_nano_usd >= 0),
    price_id uuid,
    flags text[] NOT NULL DEFAULT '{}',
    labels jsonb NOT NULL DEFAULT '{}',
    -- The UTC month that it counts in, as 2026-11: its hold's.
    month text NOT NULL,
    adjusts_entry_id uuid,
    reason text NOT NULL DEFAULT '',
    author text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, idempotency_key),
    UNIQUE (organization_id, sequence),
    CHECK (cost_nano_usd BETWEEN -1000000000000000 AND 1000000000000000),
    CHECK (cost_nano_usd >= 0 OR kind = 'ADJUSTMENT'),
    CHECK ((kind = 'ADJUSTMENT') = (adjusts_entry_id IS NOT NULL)),
    CHECK (cached_input_tokens + cache_write_tokens <= prompt_tokens),
    -- What an entry releases of its hold is never negative: cost + released = held + overage.
    CHECK (kind = 'ADJUSTMENT' OR held_nano_usd + overage_nano_usd >= cost_nano_usd)
);
CREATE INDEX ai_usage_ledger_by_workflow ON ai_usage_ledger (workflow_id, organization_id, sequence);
CREATE INDEX ai_usage_ledger_adjustments ON ai_usage_ledger (organization_id, adjusts_entry_id)
WHERE adjusts_entry_id IS NOT NULL;

CREATE TRIGGER ai_usage_ledger_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ai_usage_ledger
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE ai_usage_ledger ENABLE ALWAYS TRIGGER ai_usage_ledger_is_append_only;

-- A hold as callers see it, with its price.
CREATE VIEW authorizations_with_price AS
SELECT
    a.organization_id, a.authorization_id, a.request_id, a.workflow_id,
    state_at(a.state, a.expire_time, governor_now()) AS state,
    a.model, a.input_tokens_max, a.output_tokens_max, a.requests_max, a.held_nano_usd, a.downgrade_reason,
    a.on_expiry, a.labels, a.month, a.budget_keys, a.create_time, a.expire_time, a.entry_id, to_jsonb(p) AS price
FROM authorizations AS a
LEFT JOIN prices AS p ON p.price_id = a.price_id;
