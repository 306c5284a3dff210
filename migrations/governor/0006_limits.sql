-- Setting limits.

-- The request_ids of the methods whose effect keeps no other trace of them. What belongs to no organization (tiers,
-- freezes of models and of everything) stands under every_organization().
CREATE TABLE request_ids (
    organization_id uuid NOT NULL,
    method text NOT NULL,
    request_id uuid NOT NULL,
    content_hash bytea NOT NULL,
    create_time timestamptz NOT NULL,
    -- What was answered, where the answer cannot be read anew.
    answer jsonb,
    PRIMARY KEY (organization_id, method, request_id)
);

-- Takes a request_id for what the caller is about to do; without one (NULL) there is nothing to take. Sets `outcome`
-- to NULL (go on), REPLAYED (with what was answered), or REQUEST_ID_REUSED. Whoever else is about to use the same id
-- waits for the end of this transaction.
CREATE FUNCTION claim_request_id(
    p_organization_id uuid, p_method text, p_request_id uuid, p_content_hash bytea,
    OUT outcome text, OUT answer jsonb
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    IF p_request_id IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO request_ids AS r (organization_id, method, request_id, content_hash, create_time)
    VALUES (p_organization_id, p_method, p_request_id, p_content_hash, governor_now())
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT CASE WHEN r.content_hash = p_content_hash THEN 'REPLAYED' ELSE 'REQUEST_ID_REUSED' END, r.answer
        INTO outcome, answer
        FROM request_ids AS r
        WHERE r.organization_id = p_organization_id AND r.method = p_method AND r.request_id = p_request_id;
    END IF;
END
$$;

-- Sets the limit under a budget's key, or (NULL) takes it away. Answers SET, REPLAYED or REQUEST_ID_REUSED; a replay
-- changes nothing, also if the limit has been set anew since.
CREATE FUNCTION set_budget(
    p_organization_id uuid, p_request_id uuid, p_content_hash bytea,
    p_budget_key text, p_limit_nano_usd bigint, p_author text
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz;
    v_claim record;
BEGIN
    PERFORM lock_organization(p_organization_id);
    v_now := governor_now();
    v_claim := claim_request_id(p_organization_id, 'SetBudget', p_request_id, p_content_hash);
    IF v_claim.outcome IS NOT NULL THEN
        RETURN v_claim.outcome;
    END IF;

    UPDATE organizations AS o SET is_set_up = true
    WHERE o.organization_id = p_organization_id AND NOT o.is_set_up;

    INSERT INTO budget_limits (organization_id, budget_key, limit_nano_usd, author, update_time)
    VALUES (p_organization_id, p_budget_key, p_limit_nano_usd, p_author, v_now)
    ON CONFLICT (organization_id, budget_key) DO UPDATE
    SET limit_nano_usd = excluded.limit_nano_usd, author = excluded.author, update_time = excluded.update_time;

    INSERT INTO budget_limit_changes (organization_id, budget_key, limit_nano_usd, author, change_time)
    VALUES (p_organization_id, p_budget_key, p_limit_nano_usd, p_author, v_now);
    RETURN 'SET';
END
$$;
