-- name: month_at_prices
-- What a month of an organization was charged by served model, and what its usage costs at the prices of a time ($3,
-- NULL: now). Each entry is rated separately, as a settlement rates it. price_id NULL: the model had no price then.
-- Entries are found through the workflows of the month's totals, so that other workflows are not read.
-- An UNKNOWN entry has no usage, and neither has one whose usage is unknown or a correction by Adjust. If an unknown outcome became known later, its
-- usage is in the ADJUSTMENT that the later settlement posted: that entry has no request_hash.
WITH totals AS MATERIALIZED (
    SELECT w.workflow_id, w.model, w.cost_nano_usd
    FROM workflow_costs AS w
    WHERE w.organization_id = $1 AND w.month = $2
), models AS MATERIALIZED (
    SELECT t.model, sum(t.cost_nano_usd) AS charged_nano_usd
    FROM totals AS t
    GROUP BY t.model
), priced AS MATERIALIZED (
    SELECT m.model, m.charged_nano_usd, found.p AS price
    FROM models AS m
    CROSS JOIN LATERAL (
        SELECT price_at(m.model, '{}', coalesce($3::timestamptz, (SELECT governor_now()))) OFFSET 0
    ) AS found (p)
), estimated AS (
    SELECT
        e.model,
        sum(rated_cost_nano_usd(
            CASE WHEN e.price_context = '{}' THEN p.price ELSE
                price_at(e.model, e.price_context, coalesce($3::timestamptz, (SELECT governor_now())))
            END,
            e.prompt_tokens, e.cached_input_tokens, e.cache_write_tokens, e.cache_write_1h_tokens,
            e.completion_tokens, e.reasoning_tokens, e.requests, e.other_units)) AS cost_nano_usd
    FROM (SELECT DISTINCT t.workflow_id FROM totals AS t) AS w
    JOIN ai_usage_ledger AS e ON e.workflow_id = w.workflow_id AND e.organization_id = $1
    JOIN priced AS p ON p.model = e.model
    WHERE e.month = $2 AND 'USAGE_UNKNOWN' <> ALL (e.flags)
        AND (e.kind = 'USAGE' OR (e.kind = 'ADJUSTMENT' AND e.request_hash IS NULL))
    GROUP BY e.model
)
SELECT
    p.model, p.charged_nano_usd, coalesce(c.cost_nano_usd, 0) AS cost_nano_usd,
    (p.price).price_id AS price_id
FROM priced AS p
LEFT JOIN estimated AS c ON c.model = p.model
ORDER BY p.charged_nano_usd DESC, p.model
