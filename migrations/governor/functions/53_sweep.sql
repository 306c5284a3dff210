-- The sweeper: ends holds that nobody ended, after the retention time.

-- Organizations with holds whose retention time is over, at most p_limit.
CREATE OR REPLACE FUNCTION organizations_to_sweep(p_retention interval, p_limit integer) RETURNS SETOF uuid
LANGUAGE sql STABLE AS $$
    SELECT due.organization_id
    FROM (
        SELECT a.organization_id FROM authorizations AS a
        -- A subquery, since a volatile expression cannot use an index: every live hold would be read.
        WHERE a.state = 'PENDING' AND a.expire_time <= (SELECT governor_now() - p_retention)
        ORDER BY a.expire_time
        LIMIT p_limit * 100
    ) AS due
    GROUP BY due.organization_id
    LIMIT p_limit
$$;

-- Ends holds of one organization whose retention time is over, at most p_limit. Depending on its on_expiry, each is
-- released or settled as unknown. Any number of sweepers may run at once: a sweeper skips an organization that is
-- locked.
CREATE OR REPLACE FUNCTION sweep_holds(
    p_organization_id uuid, p_retention interval, p_limit integer, p_author text, p_lock_timeout_milliseconds integer
) RETURNS TABLE (released_holds integer, charged_holds integer)
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz;
    v_hold authorizations;
    v_charged uuid[] := '{}';
BEGIN
    released_holds := 0;
    charged_holds := 0;
    PERFORM set_config('lock_timeout', p_lock_timeout_milliseconds::text, true);
    PERFORM FROM organizations AS o WHERE o.organization_id = p_organization_id FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        v_now := governor_now();
        FOR v_hold IN
            SELECT * FROM authorizations AS a
            WHERE a.organization_id = p_organization_id AND a.state = 'PENDING'
                AND a.expire_time <= v_now - p_retention
            -- Holds of the same instant are ordered by request_id, so that the order of the ledger does not depend on
            -- where rows are stored.
            ORDER BY a.expire_time, a.request_id
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
            PERFORM settle_sequential(
                p_organization_id, v_charged,
                array_fill(NULL::bytea, ARRAY[charged_holds]), array_fill(NULL::uuid, ARRAY[charged_holds]),
                array_fill(''::text, ARRAY[charged_holds]),
                array_fill(0::bigint, ARRAY[charged_holds]), array_fill(0::bigint, ARRAY[charged_holds]),
                array_fill(0::bigint, ARRAY[charged_holds]), array_fill(0::bigint, ARRAY[charged_holds]),
                array_fill(0::bigint, ARRAY[charged_holds]), array_fill(0::bigint, ARRAY[charged_holds]),
                array_fill(0::bigint, ARRAY[charged_holds]),
                array_fill(NULL::jsonb, ARRAY[charged_holds]), array_fill(NULL::jsonb, ARRAY[charged_holds]),
                array_fill(NULL::bigint, ARRAY[charged_holds]), array_fill(''::text, ARRAY[charged_holds]),
                array_fill(p_author, ARRAY[charged_holds]), p_lock_timeout_milliseconds);
        END IF;
    END IF;
    RETURN NEXT;
END
$$;
