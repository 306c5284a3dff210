-- The history of limits, tiers, organizations and freezes, with author and time; and the request_ids of the changes.
-- The history is append-only.

CREATE TABLE budget_limit_changes (
    organization_id uuid NOT NULL,
    change_id uuid NOT NULL DEFAULT gen_random_uuid(),
    budget_key budget_key NOT NULL,
    limit_nano_usd limit_nano_usd,
    author text NOT NULL,
    change_time timestamptz NOT NULL,
    PRIMARY KEY (organization_id, change_id)
);

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

-- The request_ids of the methods that do not store them with their effect. Changes that belong to no organization
-- (tiers, freezes of a model for everybody) have the nil UUID as their organization.
CREATE TABLE request_ids (
    organization_id uuid NOT NULL,
    method text NOT NULL,
    request_id uuid NOT NULL,
    content_hash bytea NOT NULL,
    create_time timestamptz NOT NULL,
    -- What was answered, where the answer cannot be read again.
    answer jsonb,
    PRIMARY KEY (organization_id, method, request_id)
);
