-- Extend: sets a later expire_time on a live hold, at most p_longest from now. Answers EXTENDED,
-- AUTHORIZATION_NOT_FOUND, AUTHORIZATION_NOT_PENDING, NOT_LATER (before the present expire_time, or not in the future)
-- or TOO_LATE.
CREATE OR REPLACE FUNCTION extend_hold(
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
