-- name: find_budget
-- The present figures of one budget, even if it has no account yet.
SELECT
    ARRAY[$2::text] AS budget_keys, f.limits_nano_usd, f.spent_nano_usd AS budgets_spent_nano_usd,
    f.held_nano_usd AS budgets_held_nano_usd, f.unguarded_nano_usd AS budgets_unguarded_nano_usd
FROM budget_figures($1, terms_of($1, p_denies_unknown => false), ARRAY[$2::text]) AS f;

-- name: list_budgets
-- The present figures of an organization's budgets that were ever used or given a limit, by key: those whose key begins
-- with one of $2 and comes after $3. A standing limit is listed as the budget of the present period.
WITH
known AS (
    (
        SELECT b.budget_key::text FROM budgets AS b
        WHERE b.organization_id = $1 AND b.budget_key > $3 AND b.budget_key ^@ ANY ($2::text[])
        ORDER BY b.budget_key
        LIMIT $4
    )
    UNION
    SELECT key_at(l.budget_key, governor_now())
    FROM budget_limits AS l
    WHERE l.organization_id = $1
),
page AS (
    SELECT k.budget_key FROM known AS k
    WHERE k.budget_key > $3 AND k.budget_key ^@ ANY ($2::text[])
    ORDER BY k.budget_key
    LIMIT $4
),
sorted AS (SELECT coalesce(array_agg(p.budget_key ORDER BY p.budget_key), '{}') AS budget_keys FROM page AS p)
SELECT
    s.budget_keys, f.limits_nano_usd, f.spent_nano_usd AS budgets_spent_nano_usd,
    f.held_nano_usd AS budgets_held_nano_usd, f.unguarded_nano_usd AS budgets_unguarded_nano_usd
FROM sorted AS s
CROSS JOIN LATERAL budget_figures($1, terms_of($1, p_denies_unknown => false), s.budget_keys) AS f;

-- name: has_limit
-- Whether a limit was ever set under one of these keys.
SELECT EXISTS (SELECT FROM budget_limits WHERE organization_id = $1 AND budget_key = ANY ($2::text[]));

-- name: now
-- The time by the database's clock.
SELECT governor_now();

-- name: set_budget
-- Sets a limit; see migrations/governor/functions/71_set_budget.sql.
SELECT set_budget(
    p_organization_id => $1, p_request_id => $2, p_content_hash => $3,
    p_budget_key => $4, p_limit_nano_usd => $5, p_expire_time => $6, p_author => $7);

-- name: list_limit_changes
-- Changes of an organization's limits before a position ($3, $4), newest first: those whose key begins with one of $2.
SELECT
    c.change_id, c.budget_key, c.limit_nano_usd, c.expire_time, c.limit_after_nano_usd, c.author, c.change_time
FROM budget_limit_changes AS c
WHERE c.organization_id = $1 AND c.budget_key ^@ ANY ($2::text[]) AND (c.change_time, c.change_id) < ($3, $4)
ORDER BY c.change_time DESC, c.change_id DESC
LIMIT $5;
