-- Setting limits.

-- The request_ids of the methods whose effect keeps no other trace of them.
CREATE TABLE request_ids (
    organization_id uuid NOT NULL,
    method text NOT NULL,
    request_id uuid NOT NULL,
    content_hash bytea NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (organization_id, method, request_id)
);

-- Sets the limit under a budget's key, or (NULL) takes it away. Answers SET, REPLAYED or REQUEST_ID_REUSED; a replay
-- changes nothing, also if the limit has been set anew since.
CREATE FUNCTION set_budget(
    p_organization_id uuid, p_request_id uuid, p_content_hash bytea,
    p_budget_key text, p_limit_nano_usd bigint, p_author text
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz;
    v_known_hash bytea;
BEGIN
    PERFORM lock_organization(p_organization_id);
    v_now := governor_now();

    IF p_request_id IS NOT NULL THEN
        SELECT r.content_hash INTO v_known_hash FROM request_ids AS r
        WHERE r.organization_id = p_organization_id AND r.method = 'SetBudget' AND r.request_id = p_request_id;
        IF FOUND THEN
            RETURN CASE WHEN v_known_hash = p_content_hash THEN 'REPLAYED' ELSE 'REQUEST_ID_REUSED' END;
        END IF;
        INSERT INTO request_ids VALUES (p_organization_id, 'SetBudget', p_request_id, p_content_hash, v_now);
    END IF;

    INSERT INTO budget_limits (organization_id, budget_key, limit_nano_usd, author, update_time)
    VALUES (p_organization_id, p_budget_key, p_limit_nano_usd, p_author, v_now)
    ON CONFLICT (organization_id, budget_key) DO UPDATE
    SET limit_nano_usd = excluded.limit_nano_usd, author = excluded.author, update_time = excluded.update_time;

    INSERT INTO budget_limit_changes (organization_id, budget_key, limit_nano_usd, author, change_time)
    VALUES (p_organization_id, p_budget_key, p_limit_nano_usd, p_author, v_now);
    RETURN 'SET';
END
$$;
