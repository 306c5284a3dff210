-- SetBudget: sets the limit under a budget's key, or (NULL) removes it. Answers SET, REPLAYED or REQUEST_ID_REUSED; a
-- replay changes nothing, even if the limit has been set again since.
CREATE OR REPLACE FUNCTION set_budget(
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
