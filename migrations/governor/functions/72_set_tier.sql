-- SetTier: creates a tier, or replaces all of it. It applies from the next decision on. Answers SET or REPLAYED, with
-- the tier as this request set it, or REQUEST_ID_REUSED.
CREATE OR REPLACE FUNCTION set_tier(
    p_request_id uuid, p_content_hash bytea,
    p_tier text, p_workflow_limit_nano_usd bigint, p_monthly_quota_nano_usd bigint, p_allowed_models text[],
    p_downgrade_threshold_percent integer, p_subscription_price_nano_usd bigint, p_cost_basis text, p_author text,
    OUT outcome text, OUT answer jsonb
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_claim record;
    v_tier tiers;
BEGIN
    -- One change at a time, so that the newest change of the history is the one in force. Readers do not wait.
    -- Locks are taken in one order: the organization's row, then the table, then the request_id.
    LOCK TABLE tiers IN SHARE ROW EXCLUSIVE MODE;
    v_now := governor_now();
    v_claim := claim_request_id(every_organization(), 'SetTier', p_request_id, p_content_hash);
    IF v_claim.outcome IS NOT NULL THEN
        outcome := v_claim.outcome;
        answer := v_claim.answer;
        RETURN;
    END IF;

    INSERT INTO tiers AS t (
        tier, workflow_limit_nano_usd, monthly_quota_nano_usd, allowed_models, downgrade_threshold_percent,
        subscription_price_nano_usd, cost_basis, author, update_time
    ) VALUES (
        p_tier, p_workflow_limit_nano_usd, p_monthly_quota_nano_usd, p_allowed_models, p_downgrade_threshold_percent,
        p_subscription_price_nano_usd, p_cost_basis, p_author, v_now
    )
    ON CONFLICT (tier) DO UPDATE SET
        workflow_limit_nano_usd = excluded.workflow_limit_nano_usd,
        monthly_quota_nano_usd = excluded.monthly_quota_nano_usd,
        allowed_models = excluded.allowed_models,
        downgrade_threshold_percent = excluded.downgrade_threshold_percent,
        subscription_price_nano_usd = excluded.subscription_price_nano_usd,
        cost_basis = excluded.cost_basis,
        author = excluded.author,
        update_time = excluded.update_time
    RETURNING t.* INTO v_tier;
    INSERT INTO tier_changes (
        tier, workflow_limit_nano_usd, monthly_quota_nano_usd, allowed_models, downgrade_threshold_percent,
        subscription_price_nano_usd, cost_basis, author, change_time
    ) VALUES (
        v_tier.tier, v_tier.workflow_limit_nano_usd, v_tier.monthly_quota_nano_usd, v_tier.allowed_models,
        v_tier.downgrade_threshold_percent, v_tier.subscription_price_nano_usd, v_tier.cost_basis, p_author, v_now
    );

    outcome := 'SET';
    answer := to_jsonb(v_tier);
    UPDATE request_ids AS r SET answer = to_jsonb(v_tier)
    WHERE r.organization_id = every_organization() AND r.method = 'SetTier' AND r.request_id = p_request_id;
END
$$;
