-- SetBudget: sets the limit under a budget's key, or (NULL) removes it. A limit with p_expire_time is temporary: it
-- replaces any earlier temporary limit, and when it ends, the permanent limit applies again. Answers SET, REPLAYED,
-- REQUEST_ID_REUSED or ENDED_BEFORE (p_expire_time has passed). A replay changes nothing, even if the limit has been set
-- again since.
CREATE OR REPLACE FUNCTION set_budget(
    p_organization_id uuid, p_request_id uuid, p_content_hash bytea,
    p_budget_key text, p_limit_nano_usd bigint, p_expire_time timestamptz, p_author text
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz;
    v_claim record;
    v_known budget_limits;
    v_after_nano_usd bigint;
BEGIN
    PERFORM lock_organization(p_organization_id);
    v_now := governor_now();
    v_claim := claim_request_id(p_organization_id, 'SetBudget', p_request_id, p_content_hash);
    IF v_claim.outcome IS NOT NULL THEN
        RETURN v_claim.outcome;
    ELSIF p_expire_time <= v_now THEN
        RETURN 'ENDED_BEFORE';
    END IF;

    UPDATE organizations AS o SET is_set_up = true
    WHERE o.organization_id = p_organization_id AND NOT o.is_set_up;

    IF p_expire_time IS NOT NULL THEN
        SELECT * INTO v_known FROM budget_limits AS l
        WHERE l.organization_id = p_organization_id AND l.budget_key = p_budget_key;
        v_after_nano_usd := CASE WHEN v_known.expire_time IS NULL THEN v_known.limit_nano_usd
            ELSE v_known.limit_after_nano_usd END;
    END IF;
    INSERT INTO budget_limits (
        organization_id, budget_key, limit_nano_usd, expire_time, limit_after_nano_usd, author, update_time
    ) VALUES (p_organization_id, p_budget_key, p_limit_nano_usd, p_expire_time, v_after_nano_usd, p_author, v_now)
    ON CONFLICT (organization_id, budget_key) DO UPDATE SET
        limit_nano_usd = excluded.limit_nano_usd,
        expire_time = excluded.expire_time,
        limit_after_nano_usd = excluded.limit_after_nano_usd,
        author = excluded.author,
        update_time = excluded.update_time;

    INSERT INTO budget_limit_changes (
        organization_id, budget_key, limit_nano_usd, expire_time, limit_after_nano_usd, author, change_time
    ) VALUES (p_organization_id, p_budget_key, p_limit_nano_usd, p_expire_time, v_after_nano_usd, p_author, v_now);
    RETURN 'SET';
END
$$;
