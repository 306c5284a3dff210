-- name: find_budget
-- One budget as it stands; also one whose account has not been made yet.
SELECT
    $2::text AS scope, $3::text AS subject,
    CASE WHEN $5::date > '-infinity' THEN $5::date::text END AS period_start,
    limit_in_force($1, $2, $3, $4, $5) AS limit_nano_usd,
    coalesce(b.spent_nano_usd, 0) AS spent_nano_usd,
    coalesce(b.held_nano_usd, 0) AS held_nano_usd,
    coalesce(b.unguarded_nano_usd, 0) AS unguarded_nano_usd
FROM (SELECT budget_key($2, $3, $4, $5) AS budget_key) AS asked
LEFT JOIN budgets AS b ON b.organization_id = $1 AND b.budget_key = asked.budget_key;

-- name: label_periods
-- The periods that budgets have been set for on one label.
SELECT DISTINCT period FROM budget_limits
WHERE organization_id = $1 AND scope = 'LABEL' AND subject = $2;

-- name: current_month
-- The first day of this month, by the database's clock in UTC.
SELECT month_of(governor_now());

-- name: set_budget
-- Sets a limit; see migrations/governor/0006_limits.sql.
SELECT set_budget($1, $2, $3, $4, $5, $6, $7, $8, $9);
