-- Checks the invariants on a live database: psql -f verify.sql. Each row is a violation;
-- without rows, all invariants hold. It is one statement, so that every check sees the same snapshot. It takes no lock.
WITH entry AS (
    -- Each entry, with its hold and the budgets that it moved.
    SELECT e, a, p, coalesce(e.budget_keys, a.budget_keys) AS budget_keys
    FROM ai_usage_ledger AS e
    LEFT JOIN authorizations AS a USING (organization_id, authorization_id)
    LEFT JOIN prices AS p ON p.price_id = e.price_id
), posted AS (
    SELECT
        (entry.e).organization_id, k.budget_key,
        sum((entry.e).cost_nano_usd) AS spent_nano_usd, sum((entry.e).overage_nano_usd) AS unguarded_nano_usd
    FROM entry CROSS JOIN LATERAL unnest(entry.budget_keys) AS k (budget_key)
    GROUP BY 1, 2
), live AS (
    SELECT a.organization_id, k.budget_key, sum(a.held_nano_usd) AS held_nano_usd
    FROM authorizations AS a CROSS JOIN LATERAL unnest(a.budget_keys) AS k (budget_key)
    WHERE a.state = 'PENDING'
    GROUP BY 1, 2
), account AS (
    SELECT organization_id, budget_key, b.spent_nano_usd, b.held_nano_usd, b.unguarded_nano_usd, true AS is_budget
    FROM budgets AS b
), tier_history AS (
    SELECT o.organization_id, t.workflow_limit_nano_usd, t.monthly_quota_nano_usd
    FROM organizations AS o
    JOIN (
        SELECT tier, workflow_limit_nano_usd, monthly_quota_nano_usd FROM tier_changes
        UNION SELECT tier, workflow_limit_nano_usd, monthly_quota_nano_usd FROM tiers
    ) AS t ON t.tier IN ('default', o.tier) OR t.tier IN (
        SELECT c.tier FROM organization_changes AS c WHERE c.organization_id = o.organization_id
    )
), override_history AS (
    SELECT organization_id, workflow_limit_nano_usd, monthly_quota_nano_usd FROM organization_changes
    UNION SELECT organization_id, workflow_limit_nano_usd, monthly_quota_nano_usd FROM organizations
), limit_history AS (
    SELECT organization_id, budget_key, limit_nano_usd FROM budget_limit_changes
    UNION SELECT organization_id, budget_key, limit_after_nano_usd FROM budget_limit_changes WHERE expire_time IS NOT NULL
    UNION SELECT organization_id, budget_key, limit_nano_usd FROM budget_limits
), highest AS (
    -- The highest limit that a budget may ever have had; NULL: at some time it may have had no limit.
    SELECT account.*, CASE WHEN NOT of_tiers.is_unlimited AND NOT coalesce(own.is_unlimited, false)
        THEN greatest(of_tiers.limit_nano_usd, of_overrides.limit_nano_usd, own.limit_nano_usd)
    END AS limit_nano_usd
    FROM account
    CROSS JOIN LATERAL (
        SELECT
            bool_or(known.limit_nano_usd IS NULL) AND has_default_limit(account.budget_key) AS is_unlimited,
            max(known.limit_nano_usd) AS limit_nano_usd
        FROM tier_history AS t
        CROSS JOIN LATERAL (
            SELECT default_limit(account.budget_key, t.monthly_quota_nano_usd, t.workflow_limit_nano_usd)
        ) AS known (limit_nano_usd)
        WHERE t.organization_id = account.organization_id
    ) AS of_tiers
    CROSS JOIN LATERAL (
        SELECT max(default_limit(account.budget_key, o.monthly_quota_nano_usd, o.workflow_limit_nano_usd))
            AS limit_nano_usd
        FROM override_history AS o
        WHERE o.organization_id = account.organization_id
    ) AS of_overrides
    CROSS JOIN LATERAL (
        -- A budget without a default limit had no limit after its own was removed.
        SELECT
            bool_or(l.limit_nano_usd IS NULL) AND NOT has_default_limit(account.budget_key) AS is_unlimited,
            max(l.limit_nano_usd) AS limit_nano_usd
        FROM limit_history AS l
        WHERE l.organization_id = account.organization_id AND l.budget_key IN (
            account.budget_key,
            standing_key(account.budget_key),
            key_of_every_value(account.budget_key),
            key_of_every_value(standing_key(account.budget_key)))
    ) AS own
)

SELECT 'I1' AS invariant, h.organization_id, h.budget_key::text AS subject, format(
    'spent %s + held %s > limit %s + unguarded %s',
    h.spent_nano_usd, h.held_nano_usd, h.limit_nano_usd, h.unguarded_nano_usd) AS violation
FROM highest AS h
WHERE h.spent_nano_usd + h.held_nano_usd > h.limit_nano_usd + h.unguarded_nano_usd

-- unguarded is a part of spent, and no budget exceeds its bound.
UNION ALL
SELECT 'I1', organization_id, budget_key, format(
    'spent %s, held %s, unguarded %s', b.spent_nano_usd, b.held_nano_usd, b.unguarded_nano_usd)
FROM account AS b
WHERE b.unguarded_nano_usd > b.spent_nano_usd
    OR b.spent_nano_usd::numeric + b.held_nano_usd > largest_total_nano_usd()

UNION ALL
SELECT 'I2', organization_id, budget_key, format(
    'spent %s, entries %s; held %s, live holds %s; unguarded %s, entries %s',
    b.spent_nano_usd, p.spent_nano_usd, b.held_nano_usd, l.held_nano_usd, b.unguarded_nano_usd, p.unguarded_nano_usd)
FROM account AS b
FULL JOIN posted AS p USING (organization_id, budget_key)
FULL JOIN live AS l USING (organization_id, budget_key)
WHERE b.is_budget IS NULL
    OR b.spent_nano_usd <> coalesce(p.spent_nano_usd, 0)
    OR b.held_nano_usd <> coalesce(l.held_nano_usd, 0)
    OR b.unguarded_nano_usd <> coalesce(p.unguarded_nano_usd, 0)

UNION ALL
SELECT 'I3', (e).organization_id, (e).id::text, format(
    '%s of %s against a hold of %s that is %s: held %s, overage %s',
    (e).kind, (e).cost_nano_usd, (a).held_nano_usd, (a).state, (e).held_nano_usd, (e).overage_nano_usd)
FROM entry
WHERE (e).authorization_id IS NOT NULL AND (
    (a).state IS DISTINCT FROM 'SETTLED'
    OR CASE (e).kind
        WHEN 'ADJUSTMENT' THEN (e).held_nano_usd <> 0 OR (e).adjusts_entry_id <> (a).entry_id
        ELSE (e).held_nano_usd NOT IN (0, (a).held_nano_usd) OR (e).id <> (a).entry_id
            OR (e).overage_nano_usd <> greatest((e).cost_nano_usd - (e).held_nano_usd, 0)
    END)

UNION ALL
SELECT 'I3', a.organization_id, a.authorization_id::text, 'settled without an entry, or twice'
FROM authorizations AS a
WHERE a.state = 'SETTLED' AND 1 <> (
    SELECT count(*) FROM ai_usage_ledger AS e
    WHERE e.organization_id = a.organization_id AND e.idempotency_key = a.entry_id
        AND e.authorization_id = a.authorization_id AND e.kind <> 'ADJUSTMENT'
)

UNION ALL
SELECT 'I6', NULL, 'ai_usage_ledger', 'no trigger refuses UPDATE, DELETE and TRUNCATE to everybody'
WHERE NOT EXISTS (
    SELECT FROM pg_trigger AS t
    -- Before (2) DELETE (8), UPDATE (16) and TRUNCATE (32); A: ENABLE ALWAYS.
    WHERE t.tgrelid = 'ai_usage_ledger'::regclass AND t.tgtype & 58 = 58 AND t.tgenabled = 'A'
)

UNION ALL
SELECT 'I12', (e).organization_id, (e).id::text, format(
    '%s of %s, rated %s, provider %s, price %s',
    (e).kind, (e).cost_nano_usd, (e).rated_cost_nano_usd, (e).provider_cost_nano_usd, (e).price_id)
FROM entry
CROSS JOIN LATERAL (
    SELECT
        (e).kind = 'ADJUSTMENT' AND (a).true_up_entry_id IS NOT DISTINCT FROM (e).id AS is_true_up,
        (e).price_id IS NULL AS is_unpriced,
        CASE
            WHEN (e).authorization_id IS NULL THEN
                (price_at((e).model, (e).price_context, (e).occurred_at)).price_id
            WHEN (e).model = (a).model AND (e).price_context = (a).price_context THEN (a).price_id
            ELSE (price_at((e).model, (e).price_context, (a).create_time)).price_id
        END AS price_id,
        rated_cost_nano_usd(
            p, (e).prompt_tokens, (e).cached_input_tokens, (e).cache_write_tokens, (e).cache_write_1h_tokens,
            (e).completion_tokens, (e).reasoning_tokens, (e).requests, (e).other_units) AS rated_nano_usd
) AS expected
CROSS JOIN LATERAL (
    SELECT CASE WHEN expected.is_true_up THEN (
        SELECT sum(t.cost_nano_usd) FROM ai_usage_ledger AS t
        WHERE t.organization_id = (e).organization_id AND t.sequence <= (e).sequence
            AND (t.idempotency_key = (e).adjusts_entry_id OR t.adjusts_entry_id = (e).adjusts_entry_id)
    ) ELSE (e).cost_nano_usd END AS cost_nano_usd
) AS charged
WHERE CASE
    WHEN (e).kind = 'ADJUSTMENT' AND NOT expected.is_true_up THEN (e).rated_cost_nano_usd <> 0
    WHEN (e).kind = 'UNKNOWN' THEN
        -- Until it was settled as USAGE, a bill without usage was an UNKNOWN entry, at the hold at least.
        charged.cost_nano_usd <> greatest((a).held_nano_usd, (e).provider_cost_nano_usd)
        OR 'UNKNOWN_OUTCOME' <> ALL ((e).flags)
    WHEN 'USAGE_UNKNOWN' = ANY ((e).flags) THEN
        charged.cost_nano_usd IS DISTINCT FROM (e).provider_cost_nano_usd OR (e).rated_cost_nano_usd <> 0
    WHEN expected.is_unpriced THEN
        charged.cost_nano_usd NOT IN (
            coalesce((e).provider_cost_nano_usd, (a).held_nano_usd),
            -- A bill of 0 was not believed; and until bills were believed at all, the hold was the least.
            greatest((a).held_nano_usd, (e).provider_cost_nano_usd))
        OR (e).rated_cost_nano_usd <> 0 OR 'UNPRICED_MODEL' <> ALL ((e).flags)
    ELSE
        charged.cost_nano_usd <> CASE (e).cost_basis
            WHEN 'GREATER' THEN greatest(expected.rated_nano_usd, (e).provider_cost_nano_usd)
            WHEN 'PROVIDER' THEN coalesce((e).provider_cost_nano_usd, expected.rated_nano_usd)
            ELSE expected.rated_nano_usd
        END
        OR (e).rated_cost_nano_usd <> expected.rated_nano_usd
        OR (e).price_id IS DISTINCT FROM expected.price_id
END

UNION ALL
SELECT 'I13', (e).organization_id, (e).id::text, format('counts in %s', (e).month)
FROM entry
LEFT JOIN ai_usage_ledger AS original
    ON original.organization_id = (e).organization_id AND original.idempotency_key = (e).adjusts_entry_id
WHERE (e).month IS DISTINCT FROM coalesce((a).month, month_of((e).occurred_at), original.month)
    OR (e).adjusts_entry_id IS NOT NULL AND original.kind IS DISTINCT FROM 'USAGE'
        AND original.kind IS DISTINCT FROM 'UNKNOWN'

UNION ALL
SELECT 'I16', organization_id, 'sequence', format(
    'entries %s … %s, %s of them; the last is said to be %s', e.first, e.last, e.entries, o.last_sequence)
FROM organizations AS o
FULL JOIN (
    SELECT organization_id, min(sequence) AS first, max(sequence) AS last, count(*) AS entries
    FROM ai_usage_ledger
    GROUP BY 1
) AS e USING (organization_id)
WHERE o.last_sequence IS DISTINCT FROM coalesce(e.entries, 0)
    OR e.entries > 0 AND (e.first <> 1 OR e.last <> e.entries)

-- The reports' totals are the ledger's sums.
UNION ALL
SELECT 'totals', organization_id, format('%s %s', day, model), format('%s, not %s', t.figures, e.figures)
FROM (
    SELECT organization_id, day, model, ARRAY[cost_nano_usd, entries, input_tokens, output_tokens] AS figures
    FROM daily_costs
) AS t
FULL JOIN (
    SELECT
        organization_id, day, model,
        ARRAY[sum(cost_nano_usd), count(*), sum(prompt_tokens), sum(completion_tokens)]::numeric[] AS figures
    FROM ai_usage_ledger
    GROUP BY 1, 2, 3
) AS e USING (organization_id, day, model)
WHERE t.figures IS DISTINCT FROM e.figures

UNION ALL
SELECT
    'totals', organization_id, format('%s %s %s', month, workflow_id, model), format('%s, not %s', t.figures, e.figures)
FROM (
    SELECT
        organization_id, month, workflow_id, model,
        ARRAY[cost_nano_usd, entries, input_tokens, output_tokens] AS figures
    FROM workflow_costs
) AS t
FULL JOIN (
    SELECT
        organization_id, month, workflow_id, model,
        ARRAY[sum(cost_nano_usd), count(*), sum(prompt_tokens), sum(completion_tokens)]::numeric[] AS figures
    FROM ai_usage_ledger
    GROUP BY 1, 2, 3, 4
) AS e USING (organization_id, month, workflow_id, model)
WHERE t.figures IS DISTINCT FROM e.figures

UNION ALL
SELECT 'totals', organization_id, format('%s %s=%s', month, key, value), format('%s, not %s', t.figures, e.figures)
FROM (
    SELECT organization_id, month, key, value, ARRAY[cost_nano_usd, entries] AS figures FROM label_costs
) AS t
FULL JOIN (
    SELECT
        l.organization_id, l.month, label.key, label.value, ARRAY[sum(l.cost_nano_usd), count(*)]::numeric[] AS figures
    FROM ai_usage_ledger AS l CROSS JOIN LATERAL jsonb_each_text(l.labels) AS label
    GROUP BY 1, 2, 3, 4
) AS e USING (organization_id, month, key, value)
WHERE t.figures IS DISTINCT FROM e.figures;
