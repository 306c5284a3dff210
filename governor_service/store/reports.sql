-- name: monthly_cost
-- A month ($2, NULL: now) of an organization by model, by day and by the values of a label key, from one snapshot.
WITH asked AS (
    SELECT coalesce($2::text, month_of(governor_now())) AS month
), daily AS (
    SELECT d.* FROM asked CROSS JOIN daily_costs AS d
    WHERE d.organization_id = $1
        AND d.day BETWEEN first_day_of(asked.month) AND last_day_of(asked.month)
)
SELECT
    asked.month,
    (
        SELECT coalesce(jsonb_agg(to_jsonb(m) ORDER BY m.cost_nano_usd DESC, m.model), '[]')
        FROM (
            SELECT
                d.model, sum(d.cost_nano_usd) AS cost_nano_usd, sum(d.entries)::bigint AS entries,
                sum(d.input_tokens)::bigint AS input_tokens, sum(d.output_tokens)::bigint AS output_tokens
            FROM daily AS d
            GROUP BY d.model
        ) AS m
    ) AS models,
    (
        SELECT coalesce(jsonb_agg(to_jsonb(m) ORDER BY m.day), '[]')
        FROM (
            SELECT d.day, sum(d.cost_nano_usd) AS cost_nano_usd, sum(d.entries)::bigint AS entries
            FROM daily AS d
            GROUP BY d.day
        ) AS m
    ) AS days,
    (
        SELECT coalesce(jsonb_agg(to_jsonb(l) ORDER BY l.cost_nano_usd DESC, l.value), '[]')
        FROM (
            SELECT l.key, l.value, l.cost_nano_usd, l.entries
            FROM label_costs AS l
            WHERE l.organization_id = $1 AND l.month = asked.month AND l.key = $3
        ) AS l
    ) AS labels
FROM asked;

-- name: top_workflows
-- The dearest workflows of a month ($2, NULL: now) after a cost and a workflow ($3, $4; NULL: from the first).
WITH asked AS (
    SELECT coalesce($2::text, month_of(governor_now())) AS month
)
SELECT asked.month, t.workflow_id, t.cost_nano_usd, t.entries
FROM asked
LEFT JOIN LATERAL (
    SELECT w.workflow_id, sum(w.cost_nano_usd) AS cost_nano_usd, sum(w.entries)::bigint AS entries
    FROM workflow_costs AS w
    WHERE w.organization_id = $1 AND w.month = asked.month
    GROUP BY w.workflow_id
    HAVING $3::numeric IS NULL
        OR sum(w.cost_nano_usd) < $3
        OR (sum(w.cost_nano_usd) = $3 AND w.workflow_id > $4::uuid)
    ORDER BY 2 DESC, 1
    LIMIT $5
) AS t ON true
ORDER BY t.cost_nano_usd DESC, t.workflow_id;

-- name: margin
-- What organizations ($1, NULL: all) pay for a month ($2, NULL: now), and what the month cost.
WITH asked AS (
    SELECT coalesce($2::text, month_of(governor_now())) AS month
)
SELECT
    asked.month,
    coalesce(sum(t.subscription_price_nano_usd), 0) AS subscription_price_nano_usd,
    coalesce(sum(b.spent_nano_usd), 0) AS cost_nano_usd,
    count(o.organization_id) AS organizations
FROM asked
LEFT JOIN (
    organizations AS o
    JOIN tiers AS t ON t.tier = o.tier
    CROSS JOIN asked AS a
    LEFT JOIN budgets AS b ON b.organization_id = o.organization_id AND b.budget_key = 'month/' || a.month
) ON ($1::uuid IS NULL OR o.organization_id = $1)
    AND (month_of(o.create_time) <= asked.month OR b.spent_nano_usd > 0)
GROUP BY asked.month;

-- name: workflow_cost
-- What a workflow holds now and has cost by served model, dearest first, from one snapshot.
SELECT
    coalesce((
        SELECT b.held_nano_usd FROM budgets AS b
        WHERE b.organization_id = $1 AND b.budget_key = 'workflow/' || $2::uuid
    ), 0) AS held_nano_usd,
    (
        SELECT coalesce(jsonb_agg(to_jsonb(m) ORDER BY m.cost_nano_usd DESC, m.model), '[]')
        FROM (
            SELECT
                w.model, sum(w.cost_nano_usd) AS cost_nano_usd, sum(w.entries)::bigint AS entries,
                sum(w.input_tokens)::bigint AS input_tokens, sum(w.output_tokens)::bigint AS output_tokens
            FROM workflow_costs AS w
            WHERE w.organization_id = $1 AND w.workflow_id = $2
            GROUP BY w.model
        ) AS m
    ) AS models;
