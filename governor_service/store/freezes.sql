-- name: set_freeze
-- Freezes something or lifts its freeze; see migrations/governor/functions/74_set_freeze.sql.
SELECT outcome, answer
FROM set_freeze(
    p_organization_id => coalesce($1::uuid, every_organization()), p_request_id => $2, p_content_hash => $3,
    p_model => $4, p_frozen => $5, p_reason => $6, p_author => $7);
