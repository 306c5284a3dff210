-- name: list_entries
-- An organization's entries after a sequence, narrowed by whatever is given.
SELECT to_jsonb(e) AS entry
FROM ai_usage_ledger AS e
WHERE e.organization_id = $1 AND e.sequence > $2
    AND ($3::uuid IS NULL OR e.workflow_id = $3)
    AND ($4::text IS NULL OR e.model = $4)
    AND ($5::text IS NULL OR e.kind = $5)
    AND ($6::text IS NULL OR $6 = ANY (e.flags))
    AND ($7::jsonb IS NULL OR e.labels @> $7)
    AND ($8::text IS NULL OR e.month = $8)
    AND ($9::timestamptz IS NULL OR e.created_at >= $9)
    AND ($10::timestamptz IS NULL OR e.created_at < $10)
ORDER BY e.sequence
LIMIT $11;

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
                e.model, sum(e.cost_nano_usd)::bigint AS cost_nano_usd, count(*) AS entries,
                sum(e.prompt_tokens)::bigint AS input_tokens, sum(e.completion_tokens)::bigint AS output_tokens
            FROM ai_usage_ledger AS e
            WHERE e.workflow_id = $2 AND e.organization_id = $1
            GROUP BY e.model
        ) AS m
    ) AS models;
