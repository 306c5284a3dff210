-- name: list_tiers
-- Tiers after a name, by name.
SELECT to_jsonb(t) AS tier FROM tiers AS t WHERE t.tier > $1 ORDER BY t.tier LIMIT $2;

-- name: set_tier
-- Makes or replaces a tier; see migrations/governor/0009_tiers.sql.
SELECT outcome, answer FROM set_tier($1, $2, $3, $4, $5, $6, $7, $8, $9);
