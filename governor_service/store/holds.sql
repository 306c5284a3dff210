-- name: authorize
-- Places holds for one organization; see migrations/governor/0004_authorize.sql.
SELECT item, outcome, hold, budgets
FROM authorize_holds($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14);

-- name: check_budget
-- Tells what would be granted, from one snapshot.
SELECT outcome, model, output_tokens_max, held_nano_usd, budgets
FROM check_budget($1, $2, $3, $4, $5, $6, $7, $8);

-- name: settle
-- Settles holds of one organization; see migrations/governor/0005_end_holds.sql.
SELECT item, outcome, hold_state, entry, budgets
FROM settle_holds($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15);

-- name: void
-- Voids one hold, by its id or by its request_id.
SELECT outcome, hold, budgets
FROM void_hold($1, $2, $3, $4);

-- name: find_authorization
-- Looks one hold up, by its id or by its request_id.
SELECT to_jsonb(a) AS hold, budgets_as_json(a.organization_id, a.budget_keys) AS budgets
FROM authorizations_with_price AS a
WHERE a.organization_id = $1 AND (a.authorization_id = $2 OR a.request_id = $3);
