-- name: list_tiers
-- Tiers after a name, by name.
SELECT to_jsonb(t) AS tier FROM tiers AS t WHERE t.tier > $1 ORDER BY t.tier LIMIT $2;

-- name: set_tier
-- Makes or replaces a tier; see migrations/governor/functions/72_set_tier.sql.
SELECT outcome, answer
FROM set_tier(
    p_request_id => $1, p_content_hash => $2, p_tier => $3,
    p_workflow_limit_nano_usd => $4, p_monthly_quota_nano_usd => $5, p_allowed_models => $6,
    p_downgrade_threshold_percent => $7, p_subscription_price_nano_usd => $8, p_cost_basis => $9, p_author => $10);
