-- Setting tiers, organizations and freezes. Each change is kept with its author and time, and nothing of that is ever
-- taken back.
--
-- Locks come in one order: the organization's row, then the table of tiers or freezes, then the request_id.

CREATE TABLE tier_changes (
    change_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tier text NOT NULL,
    workflow_limit_nano_usd limit_nano_usd,
    monthly_quota_nano_usd limit_nano_usd,
    allowed_models text[] NOT NULL,
    downgrade_threshold_percent integer,
    subscription_price_nano_usd limit_nano_usd NOT NULL,
    author text NOT NULL,
    change_time timestamptz NOT NULL
);
CREATE INDEX tier_changes_by_tier ON tier_changes (tier, change_time);
INSERT INTO tier_changes (
    tier, workflow_limit_nano_usd, monthly_quota_nano_usd, allowed_models, downgrade_threshold_percent,
    subscription_price_nano_usd, author, change_time
)
SELECT
    tier, workflow_limit_nano_usd, monthly_quota_nano_usd, allowed_models, downgrade_threshold_percent,
    subscription_price_nano_usd, author, update_time
FROM tiers;

CREATE TABLE organization_changes (
    organization_id uuid NOT NULL,
    change_id uuid NOT NULL DEFAULT gen_random_uuid(),
    tier text NOT NULL,
    workflow_limit_nano_usd limit_nano_usd,
    monthly_quota_nano_usd limit_nano_usd,
    author text NOT NULL,
    change_time timestamptz NOT NULL,
    PRIMARY KEY (organization_id, change_id)
);

CREATE TABLE freeze_changes (
    organization_id uuid NOT NULL,
    change_id uuid NOT NULL DEFAULT gen_random_uuid(),
    model text NOT NULL,
    frozen boolean NOT NULL,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 1024),
    author text NOT NULL,
    change_time timestamptz NOT NULL,
    PRIMARY KEY (organization_id, change_id)
);

CREATE TRIGGER tier_changes_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tier_changes
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE tier_changes ENABLE ALWAYS TRIGGER tier_changes_are_append_only;
CREATE TRIGGER organization_changes_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON organization_changes
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE organization_changes ENABLE ALWAYS TRIGGER organization_changes_are_append_only;
CREATE TRIGGER freeze_changes_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON freeze_changes
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE freeze_changes ENABLE ALWAYS TRIGGER freeze_changes_are_append_only;

-- Each of the three answers an outcome (SET, REPLAYED, REQUEST_ID_REUSED and those named below) and what was set, as it
-- was answered the first time.

-- Makes a tier, or replaces all of it. It counts from the next decision on.
CREATE FUNCTION set_tier(
    p_request_id uuid, p_content_hash bytea,
    p_tier text, p_workflow_limit_nano_usd bigint, p_monthly_quota_nano_usd bigint, p_allowed_models text[],
    p_downgrade_threshold_percent integer, p_subscription_price_nano_usd bigint, p_author text,
    OUT outcome text, OUT answer jsonb
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_claim record;
    v_tier tiers;
BEGIN
    -- One change at a time, so that the newest of the history is what stands. Readers do not wait.
    LOCK TABLE tiers IN SHARE ROW EXCLUSIVE MODE;
    v_now := governor_now();
    v_claim := claim_request_id(every_organization(), 'SetTier', p_request_id, p_content_hash);
    IF v_claim.outcome IS NOT NULL THEN
        outcome := v_claim.outcome;
        answer := v_claim.answer;
        RETURN;
    END IF;

    INSERT INTO tiers AS t VALUES (
        p_tier, p_workflow_limit_nano_usd, p_monthly_quota_nano_usd, p_allowed_models,
        p_downgrade_threshold_percent, p_subscription_price_nano_usd, p_author, v_now
    )
    ON CONFLICT (tier) DO UPDATE SET
        workflow_limit_nano_usd = excluded.workflow_limit_nano_usd,
        monthly_quota_nano_usd = excluded.monthly_quota_nano_usd,
        allowed_models = excluded.allowed_models,
        downgrade_threshold_percent = excluded.downgrade_threshold_percent,
        subscription_price_nano_usd = excluded.subscription_price_nano_usd,
        author = excluded.author,
        update_time = excluded.update_time
    RETURNING t.* INTO v_tier;
    INSERT INTO tier_changes (
        tier, workflow_limit_nano_usd, monthly_quota_nano_usd, allowed_models, downgrade_threshold_percent,
        subscription_price_nano_usd, author, change_time
    ) VALUES (
        v_tier.tier, v_tier.workflow_limit_nano_usd, v_tier.monthly_quota_nano_usd, v_tier.allowed_models,
        v_tier.downgrade_threshold_percent, v_tier.subscription_price_nano_usd, p_author, v_now
    );

    outcome := 'SET';
    answer := to_jsonb(v_tier);
    UPDATE request_ids AS r SET answer = to_jsonb(v_tier)
    WHERE r.organization_id = every_organization() AND r.method = 'SetTier' AND r.request_id = p_request_id;
END
$$;

-- Sets those of an organization's tier and overrides that p_fields names; NULL takes one away (the tier is then the
-- default one). Answers TIER_NOT_FOUND, changing nothing, for a tier that nobody has made. Whatever it sets, the
-- organization has been set up.
CREATE FUNCTION set_organization(
    p_organization_id uuid, p_request_id uuid, p_content_hash bytea, p_fields text[],
    p_tier text, p_workflow_limit_nano_usd bigint, p_monthly_quota_nano_usd bigint, p_author text,
    OUT outcome text, OUT answer jsonb
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_claim record;
    v_organization organizations;
BEGIN
    -- Tiers are never taken away: what is there now is there for good.
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
        is_set_up = true,
        author = p_author,
        update_time = v_now
    WHERE o.organization_id = p_organization_id
    RETURNING o.* INTO v_organization;
    INSERT INTO organization_changes (
        organization_id, tier, workflow_limit_nano_usd, monthly_quota_nano_usd, author, change_time
    ) VALUES (
        p_organization_id, v_organization.tier, v_organization.workflow_limit_nano_usd,
        v_organization.monthly_quota_nano_usd, p_author, v_now
    );

    outcome := 'SET';
    answer := to_jsonb(v_organization);
    UPDATE request_ids AS r SET answer = to_jsonb(v_organization)
    WHERE r.organization_id = p_organization_id AND r.method = 'SetOrganization' AND r.request_id = p_request_id;
END
$$;

-- Freezes a model ('' for every model) of an organization (every_organization() for all of them), or lifts that.
-- An organization's freeze is decided under its lock: no hold is placed for it once this has committed. One that is
-- everybody's takes no such lock, and a hold whose decision is under way at that instant may still be placed.
CREATE FUNCTION set_freeze(
    p_organization_id uuid, p_request_id uuid, p_content_hash bytea,
    p_model text, p_frozen boolean, p_reason text, p_author text,
    OUT outcome text, OUT answer jsonb
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_claim record;
    v_change freeze_changes;
BEGIN
    -- To be frozen is not to be set up: an organization without a row stays without.
    PERFORM lock_organization(p_organization_id, false);
    -- One change at a time, so that the newest of the history is what stands. Readers do not wait.
    LOCK TABLE freezes IN SHARE ROW EXCLUSIVE MODE;
    v_now := governor_now();
    v_claim := claim_request_id(p_organization_id, 'SetFreeze', p_request_id, p_content_hash);
    IF v_claim.outcome IS NOT NULL THEN
        outcome := v_claim.outcome;
        answer := v_claim.answer;
        RETURN;
    END IF;

    IF p_frozen THEN
        INSERT INTO freezes AS f VALUES (p_organization_id, p_model, p_reason, p_author, v_now)
        ON CONFLICT (organization_id, model) DO UPDATE
        SET reason = excluded.reason, author = excluded.author, update_time = excluded.update_time;
    ELSE
        DELETE FROM freezes AS f WHERE f.organization_id = p_organization_id AND f.model = p_model;
    END IF;
    INSERT INTO freeze_changes AS c (organization_id, model, frozen, reason, author, change_time)
    VALUES (p_organization_id, p_model, p_frozen, p_reason, p_author, v_now)
    RETURNING c.* INTO v_change;

    outcome := 'SET';
    answer := to_jsonb(v_change);
    UPDATE request_ids AS r SET answer = to_jsonb(v_change)
    WHERE r.organization_id = p_organization_id AND r.method = 'SetFreeze' AND r.request_id = p_request_id;
END
$$;
