-- SetOrganization: sets the fields in p_fields, out of an organization's tier and overrides. NULL removes a value (the
-- tier is then the default tier). The organization then counts as set up. Answers SET or REPLAYED, with the
-- organization as this request set it, or REQUEST_ID_REUSED or TIER_NOT_FOUND, which change nothing.
CREATE OR REPLACE FUNCTION set_organization(
    p_organization_id uuid, p_request_id uuid, p_content_hash bytea, p_fields text[],
    p_tier text, p_workflow_limit_nano_usd bigint, p_monthly_quota_nano_usd bigint, p_cost_basis text, p_author text,
    OUT outcome text, OUT answer jsonb
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_claim record;
    v_organization organizations;
BEGIN
    -- Tiers are never deleted, so that this check needs no lock.
    PERFORM FROM tiers AS t WHERE t.tier = coalesce(p_tier, 'default');
    IF NOT FOUND THEN
        outcome := 'TIER_NOT_FOUND';
        RETURN;
    END IF;
    PERFORM lock_organization(p_organization_id);
    v_now := governor_now();
    v_claim := claim_request_id(p_organization_id, 'SetOrganization', p_request_id, p_content_hash);
    IF v_claim.outcome IS NOT NULL THEN
        outcome := v_claim.outcome;
        answer := v_claim.answer;
        RETURN;
    END IF;

    UPDATE organizations AS o SET
        tier = CASE WHEN 'tier' = ANY (p_fields) THEN coalesce(p_tier, 'default') ELSE o.tier END,
        workflow_limit_nano_usd = CASE WHEN 'workflow_limit_nano_usd' = ANY (p_fields)
            THEN p_workflow_limit_nano_usd ELSE o.workflow_limit_nano_usd END,
        monthly_quota_nano_usd = CASE WHEN 'monthly_quota_nano_usd' = ANY (p_fields)
            THEN p_monthly_quota_nano_usd ELSE o.monthly_quota_nano_usd END,
        cost_basis = CASE WHEN 'cost_basis' = ANY (p_fields) THEN p_cost_basis ELSE o.cost_basis END,
        is_set_up = true,
        author = p_author,
        update_time = v_now
    WHERE o.organization_id = p_organization_id
    RETURNING o.* INTO v_organization;
    INSERT INTO organization_changes (
        organization_id, tier, workflow_limit_nano_usd, monthly_quota_nano_usd, cost_basis, author, change_time
    ) VALUES (
        p_organization_id, v_organization.tier, v_organization.workflow_limit_nano_usd,
        v_organization.monthly_quota_nano_usd, v_organization.cost_basis, p_author, v_now
    );

    outcome := 'SET';
    answer := to_jsonb(v_organization);
    UPDATE request_ids AS r SET answer = to_jsonb(v_organization)
    WHERE r.organization_id = p_organization_id AND r.method = 'SetOrganization' AND r.request_id = p_request_id;
END
$$;
