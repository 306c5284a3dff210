-- name: set_freeze
-- Freezes something or lifts that; see migrations/governor/0009_tiers.sql.
SELECT outcome, answer FROM set_freeze(coalesce($1::uuid, every_organization()), $2, $3, $4, $5, $6, $7);
