-- Organizations: their lock, and the terms that follow from their tier, overrides and freezes.

-- The id that means "all organizations" in tables that are keyed by organization. No organization has this id.
CREATE OR REPLACE FUNCTION every_organization() RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT '00000000-0000-0000-0000-000000000000'::uuid
$$;

-- Locks an organization and returns its last sequence. An organization that has no row yet gets one, with the default
-- tier. With p_makes_row false it gets none: then nothing is locked, and the answer is NULL.
CREATE OR REPLACE FUNCTION lock_organization(p_organization_id uuid, p_makes_row boolean DEFAULT true) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_last_sequence bigint;
BEGIN
    SELECT last_sequence INTO v_last_sequence FROM organizations
    WHERE organization_id = p_organization_id FOR UPDATE;
    IF NOT FOUND AND p_makes_row THEN
        INSERT INTO organizations (organization_id, create_time) VALUES (p_organization_id, governor_now())
        ON CONFLICT DO NOTHING;
        SELECT last_sequence INTO v_last_sequence FROM organizations
        WHERE organization_id = p_organization_id FOR UPDATE;
    END IF;
    RETURN v_last_sequence;
END
$$;

-- Locks organizations for a batch, sorted by id, and returns those that it has locked. Organizations without a row are
-- not among them. It waits for each lock at most p_lock_timeout_milliseconds; then the statement fails (55P03). With 0
-- it skips organizations that another transaction has locked; later locks of this transaction are waited for 20 ms.
--
-- It sets lock_timeout for the rest of the transaction, or until the calling function ends if that has its own SET.
CREATE OR REPLACE FUNCTION lock_organizations(p_organization_ids uuid[], p_lock_timeout_milliseconds integer)
RETURNS uuid[]
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('lock_timeout', coalesce(nullif(p_lock_timeout_milliseconds, 0), 20)::text, true);
    IF p_lock_timeout_milliseconds > 0 THEN
        RETURN ARRAY(
            SELECT o.organization_id FROM organizations AS o WHERE o.organization_id = ANY (p_organization_ids)
            ORDER BY o.organization_id FOR UPDATE
        );
    END IF;
    RETURN ARRAY(
        SELECT o.organization_id FROM organizations AS o WHERE o.organization_id = ANY (p_organization_ids)
        ORDER BY o.organization_id FOR UPDATE SKIP LOCKED
    );
END
$$;

-- Whether an organization has a row that lock_organizations has skipped.
CREATE OR REPLACE FUNCTION is_locked_by_others(p_organization_id uuid, p_locked uuid[]) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT p_organization_id <> ALL (p_locked)
        AND EXISTS (SELECT FROM organizations AS o WHERE o.organization_id = p_organization_id)
$$;

-- The terms of an organization, or those of the default tier if it has no row. p_denies_unknown: organizations have to
-- be set up before they may spend (GOVERNOR_UNKNOWN_ORGANIZATIONS=deny). It is a parameter of every decision because a
-- pooler could lose a setting of the session.
CREATE OR REPLACE FUNCTION terms_of(p_organization_id uuid, p_denies_unknown boolean) RETURNS organization_terms
LANGUAGE sql STABLE AS $$
    SELECT (
        coalesce(o.workflow_limit_nano_usd, t.workflow_limit_nano_usd),
        coalesce(o.monthly_quota_nano_usd, t.monthly_quota_nano_usd),
        t.allowed_models,
        t.downgrade_threshold_percent,
        EXISTS (SELECT FROM budget_limits AS l WHERE l.organization_id = p_organization_id),
        CASE
            WHEN p_denies_unknown AND o.is_set_up IS NOT TRUE THEN 'ORGANIZATION_UNKNOWN'
            WHEN '' = ANY (frozen.models) THEN 'FROZEN'
        END,
        frozen.models,
        coalesce(o.cost_basis, t.cost_basis)
    )::organization_terms
    FROM (VALUES (p_organization_id)) AS asked (organization_id)
    LEFT JOIN organizations AS o USING (organization_id)
    JOIN tiers AS t ON t.tier = coalesce(o.tier, 'default')
    CROSS JOIN (
        SELECT ARRAY(
            SELECT f.model FROM freezes AS f WHERE f.organization_id IN (p_organization_id, every_organization())
        ) AS models
    ) AS frozen
$$;
