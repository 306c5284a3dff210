-- Void: ends a hold whose call was never sent.
--
-- p_request_id is the id that the hold was, or is being, authorized with. If it is given and there is no such hold yet,
-- a VOIDED one is written, so that an Authorize that is still on its way finds it ended.
-- Answers VOIDED, UNCHANGED (the hold was voided or expired before), AUTHORIZATION_NOT_PENDING (it is settled), or
-- AUTHORIZATION_NOT_FOUND (only without a request_id).
CREATE OR REPLACE FUNCTION void_hold(p_organization_id uuid, p_authorization_id uuid, p_request_id uuid, p_reason text)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz;
    v_hold authorizations;
BEGIN
    PERFORM lock_organization(p_organization_id, p_makes_row => p_request_id IS NOT NULL);
    v_now := governor_now();

    SELECT * INTO v_hold FROM authorizations AS a
    WHERE a.organization_id = p_organization_id AND a.authorization_id = p_authorization_id;
    IF NOT FOUND AND p_request_id IS NULL THEN
        RETURN 'AUTHORIZATION_NOT_FOUND';
    ELSIF NOT FOUND THEN
        INSERT INTO authorizations (
            organization_id, authorization_id, request_id, state, held_nano_usd,
            create_time, expire_time, end_time, end_reason
        ) VALUES (
            p_organization_id, p_authorization_id, p_request_id, 'VOIDED', 0, v_now, v_now, v_now, p_reason
        );
        RETURN 'VOIDED';
    ELSIF v_hold.state = 'SETTLED' THEN
        RETURN 'AUTHORIZATION_NOT_PENDING';
    ELSIF v_hold.state <> 'PENDING' THEN
        RETURN 'UNCHANGED';
    END IF;

    UPDATE budgets AS b SET held_nano_usd = b.held_nano_usd - v_hold.held_nano_usd
    WHERE b.organization_id = p_organization_id AND b.budget_key = ANY (v_hold.budget_keys);
    UPDATE authorizations AS a SET state = 'VOIDED', end_time = v_now, end_reason = p_reason
    WHERE a.organization_id = p_organization_id AND a.authorization_id = v_hold.authorization_id;
    RETURN 'VOIDED';
END
$$;
