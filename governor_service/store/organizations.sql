-- name: find_organization
-- An organization's tier and overrides; the default tier if it has never been seen. No row if nobody has set it up and
-- such organizations are denied ($2).
SELECT
    coalesce(o.tier, 'default') AS tier, o.workflow_limit_nano_usd, o.monthly_quota_nano_usd, o.cost_basis,
    o.create_time, o.update_time, o.author
FROM (VALUES ($1::uuid)) AS asked (organization_id)
LEFT JOIN organizations AS o USING (organization_id)
WHERE o.is_set_up OR NOT $2::boolean;

-- name: set_organization
-- Sets an organization's tier and overrides; see migrations/governor/functions/73_set_organization.sql.
SELECT outcome, answer
FROM set_organization(
    p_organization_id => $1, p_request_id => $2, p_content_hash => $3, p_fields => $4, p_tier => $5,
    p_workflow_limit_nano_usd => $6, p_monthly_quota_nano_usd => $7, p_cost_basis => $8, p_author => $9);
