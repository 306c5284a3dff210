-- name: leave_totals_to_us
-- Turns off row triggers in this session, since the totals are inserted as sets. The trigger that keeps the ledger
-- append-only still fires, but it does not refuse INSERT.
SET session_replication_role = replica;

-- name: make_plan
-- The table for the planned values of one chunk of entries.
CREATE TEMPORARY TABLE planned (
    organization_id uuid, sequence bigint, authorization_id uuid, request_id uuid, workflow_id uuid,
    model text, price_id uuid, input_tokens bigint, output_tokens bigint,
    cost_nano_usd bigint, held_nano_usd bigint, labels jsonb,
    month text, create_time timestamptz, end_time timestamptz
);

-- name: clear_plan
TRUNCATE planned;

-- name: plan
-- Plans the same number of entries for each organization, spread evenly over a span of time, with fifty in a row for
-- each workflow. A hold is settled in the minute in which it is authorized, so that both are on the same day.
INSERT INTO planned
SELECT
    o.organization_id, s.sequence, gen_random_uuid(), gen_random_uuid(),
    md5(o.organization_id || '/' || (s.sequence - 1) / 50)::uuid,
    p.model, p.price_id, t.input, t.output,
    rated_cost_nano_usd(p, t.input, 0, 0, t.output, 0, 1), hold_nano_usd(p, 4000, 1500, 1),
    jsonb_build_object('step', t.step),
    month_of(at.time), at.time, at.time + interval '8 seconds'
FROM unnest($1::uuid[]) AS o (organization_id)
CROSS JOIN generate_series(1, $2::bigint) AS s (sequence)
CROSS JOIN LATERAL (
    SELECT
        200 + (s.sequence * 7919) % 3000 AS input,
        100 + (s.sequence * 104729) % 1000 AS output,
        (ARRAY['ICP', 'COMPETITOR', 'CLUSTERING', 'VALIDATION', 'ARTICLE'])[1 + s.sequence / 7 % 5] AS step,
        ($3::text[])[1 + s.sequence % cardinality($3::text[])] AS model
) AS t
CROSS JOIN LATERAL (SELECT date_trunc('minute', $4::timestamptz + s.sequence * ($5::interval / $2::bigint)) AS time) AS at
JOIN (SELECT DISTINCT ON (model) * FROM prices ORDER BY model, effective_time DESC) AS p USING (model);

-- name: insert_organizations
-- Each organization, with the sequence of its newest entry.
INSERT INTO organizations (organization_id, last_sequence)
SELECT organization_id, max(sequence) FROM planned GROUP BY organization_id;

-- name: insert_authorizations
-- The holds, each settled by its entry.
INSERT INTO authorizations (
    organization_id, authorization_id, request_id, request_hash, state, workflow_id, requested_model, model, price_id,
    input_tokens_max, output_tokens_max, requests_max, held_nano_usd, on_expiry, labels, month, budget_keys,
    create_time, expire_time, end_time, entry_id, settlement_hash
)
SELECT
    organization_id, authorization_id, request_id, sha256(uuid_send(request_id)), 'SETTLED', workflow_id, model, model,
    price_id, 4000, 1500, 1, held_nano_usd, 'RELEASE', labels, month,
    ARRAY['month/' || month, 'workflow/' || workflow_id],
    create_time, create_time + interval '10 minutes', end_time, authorization_id, sha256(uuid_send(authorization_id))
FROM planned
ORDER BY create_time;

-- name: insert_entries
-- One entry for each hold.
INSERT INTO ai_usage_ledger (
    organization_id, idempotency_key, sequence, kind, workflow_id, authorization_id,
    requested_model, granted_model, model,
    prompt_tokens, cached_input_tokens, cache_write_tokens, completion_tokens, reasoning_tokens, requests,
    cost_nano_usd, rated_cost_nano_usd, held_nano_usd, overage_nano_usd, price_id, labels, month, author, created_at
)
SELECT
    organization_id, authorization_id, sequence, 'USAGE', workflow_id, authorization_id,
    model, model, model,
    input_tokens, 0, 0, output_tokens, 0, 1,
    cost_nano_usd, cost_nano_usd, held_nano_usd, 0, price_id, labels, month, 'anonymous', end_time
FROM planned
ORDER BY create_time;

-- name: insert_budgets
-- The budgets of months and workflows, with the sums of their entries.
INSERT INTO budgets (organization_id, budget_key, spent_nano_usd)
SELECT organization_id, 'month/' || month, sum(cost_nano_usd) FROM planned GROUP BY organization_id, month
UNION ALL
SELECT organization_id, 'workflow/' || workflow_id, sum(cost_nano_usd) FROM planned GROUP BY organization_id, workflow_id;

-- name: insert_daily_costs
INSERT INTO daily_costs
SELECT
    organization_id, (end_time AT TIME ZONE 'UTC')::date, model,
    sum(cost_nano_usd), count(*), sum(input_tokens), sum(output_tokens)
FROM planned GROUP BY 1, 2, 3;

-- name: insert_workflow_costs
INSERT INTO workflow_costs
SELECT organization_id, month, workflow_id, model, sum(cost_nano_usd), count(*), sum(input_tokens), sum(output_tokens)
FROM planned GROUP BY 1, 2, 3, 4;

-- name: insert_label_costs
INSERT INTO label_costs
SELECT organization_id, month, 'step', labels ->> 'step', sum(cost_nano_usd), count(*)
FROM planned GROUP BY 1, 2, 4;
