-- name: set_freeze
-- Freezes something or lifts its freeze; see migrations/governor/functions/74_set_freeze.sql.
SELECT outcome, answer
FROM set_freeze(
    p_organization_id => coalesce($1::uuid, every_organization()), p_request_id => $2, p_content_hash => $3,
    p_model => $4, p_frozen => $5, p_reason => $6, p_author => $7);

-- name: list_freezes
-- What is frozen, after a position ($2, $3; NULL: from the first on): for an organization ($1) and for all of them; every
-- freeze if $1 is NULL.
SELECT nullif(f.organization_id, every_organization()) AS organization_id, nullif(f.model, '') AS model,
    f.reason, f.author, f.update_time
FROM freezes AS f
WHERE ($1::uuid IS NULL OR f.organization_id IN ($1, every_organization()))
    AND ($2::uuid IS NULL OR (f.organization_id, f.model) > ($2, $3))
ORDER BY f.organization_id, f.model
LIMIT $4;
