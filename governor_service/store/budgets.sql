-- name: find_budget
-- One budget as it stands; also one whose account has not been made yet.
SELECT
    ARRAY[$2::text] AS budget_keys, f.limits_nano_usd, f.spent_nano_usd AS budgets_spent_nano_usd,
    f.held_nano_usd AS budgets_held_nano_usd, f.unguarded_nano_usd AS budgets_unguarded_nano_usd
FROM budget_figures($1, terms_of($1), ARRAY[$2::text]) AS f;

-- name: has_limit
-- Whether a limit was ever set under one of these keys.
SELECT EXISTS (SELECT FROM budget_limits WHERE organization_id = $1 AND budget_key = ANY ($2::text[]));

-- name: current_month
-- This month, by the database's clock in UTC.
SELECT month_of(governor_now());

-- name: set_budget
-- Sets a limit; see migrations/governor/0006_limits.sql.
SELECT set_budget($1, $2, $3, $4, $5, $6);
