-- Holds that run out: extended, listed, and taken care of after the retention time.

CREATE INDEX authorizations_live ON authorizations (expire_time, organization_id) WHERE state = 'PENDING';
CREATE INDEX authorizations_by_age ON authorizations (organization_id, create_time, authorization_id)
WHERE create_time > '-infinity';

-- Sets a later expire_time on a live hold, at most p_longest from now. Answers EXTENDED, AUTHORIZATION_NOT_FOUND,
-- AUTHORIZATION_NOT_PENDING, NOT_LATER (than it is, or than now) or TOO_LATE.
CREATE FUNCTION extend_hold(
    p_organization_id uuid, p_authorization_id uuid, p_expire_time timestamptz, p_longest interval
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz;
    v_hold authorizations;
BEGIN
    PERFORM FROM organizations AS o WHERE o.organization_id = p_organization_id FOR UPDATE;
    v_now := governor_now();
    SELECT * INTO v_hold FROM authorizations AS a
    WHERE a.organization_id = p_organization_id AND a.authorization_id = p_authorization_id;
    IF NOT FOUND THEN
        RETURN 'AUTHORIZATION_NOT_FOUND';
    ELSIF v_hold.state <> 'PENDING' THEN
        RETURN 'AUTHORIZATION_NOT_PENDING';
    ELSIF p_expire_time < v_hold.expire_time OR p_expire_time <= v_now THEN
        RETURN 'NOT_LATER';
    ELSIF p_expire_time > v_now + p_longest THEN
        RETURN 'TOO_LATE';
    END IF;
    UPDATE authorizations AS a SET expire_time = p_expire_time
    WHERE a.organization_id = p_organization_id AND a.authorization_id = p_authorization_id;
    RETURN 'EXTENDED';
END
$$;

-- Organizations with holds whose retention time is over, at most p_limit.
CREATE FUNCTION organizations_to_sweep(p_retention interval, p_limit integer) RETURNS SETOF uuid
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT due.organization_id
    FROM (
        SELECT a.organization_id FROM authorizations AS a
        -- A query of its own: against what is volatile no index helps, and every live hold would be read.
        WHERE a.state = 'PENDING' AND a.expire_time <= (SELECT governor_now() - p_retention)
        ORDER BY a.expire_time
        LIMIT p_limit * 100
    ) AS due
    GROUP BY due.organization_id
    LIMIT p_limit;
END;

-- Ends holds of one organization whose retention time is over, at most p_limit: released, or settled as unknown, as
-- their on_expiry says. Any number of sweepers may run at once: one that finds the organization locked leaves it.
CREATE FUNCTION sweep_holds(p_organization_id uuid, p_retention interval, p_limit integer, p_author text)
RETURNS TABLE (released_holds integer, charged_holds integer)
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz;
    v_hold authorizations;
    v_charged uuid[] := '{}';
BEGIN
    released_holds := 0;
    charged_holds := 0;
    PERFORM FROM organizations AS o WHERE o.organization_id = p_organization_id FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        v_now := governor_now();
        FOR v_hold IN
            SELECT * FROM authorizations AS a
            WHERE a.organization_id = p_organization_id AND a.state = 'PENDING'
                AND a.expire_time <= v_now - p_retention
            ORDER BY a.expire_time
            LIMIT p_limit
        LOOP
            IF v_hold.on_expiry = 'CHARGE' THEN
                v_charged := v_charged || v_hold.authorization_id;
            ELSE
                UPDATE budgets AS b SET held_nano_usd = b.held_nano_usd - v_hold.held_nano_usd
                WHERE b.organization_id = p_organization_id AND b.budget_key = ANY (v_hold.budget_keys);
                UPDATE authorizations AS a SET state = 'EXPIRED', end_time = v_now, end_reason = 'retention passed'
                WHERE a.organization_id = p_organization_id AND a.authorization_id = v_hold.authorization_id;
                released_holds := released_holds + 1;
            END IF;
        END LOOP;

        charged_holds := cardinality(v_charged);
        IF charged_holds > 0 THEN
            PERFORM settle_holds(
                p_organization_id, v_charged,
                array_fill(NULL::bytea, ARRAY[charged_holds]), array_fill(NULL::uuid, ARRAY[charged_holds]),
                array_fill(''::text, ARRAY[charged_holds]),
                array_fill(0::bigint, ARRAY[charged_holds]), array_fill(0::bigint, ARRAY[charged_holds]),
                array_fill(0::bigint, ARRAY[charged_holds]), array_fill(0::bigint, ARRAY[charged_holds]),
                array_fill(0::bigint, ARRAY[charged_holds]), array_fill(0::bigint, ARRAY[charged_holds]),
                array_fill(NULL::bigint, ARRAY[charged_holds]), array_fill(''::text, ARRAY[charged_holds]),
                array_fill(p_author, ARRAY[charged_holds]));
        END IF;
    END IF;
    RETURN NEXT;
END
$$;
