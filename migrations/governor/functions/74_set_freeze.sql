-- SetFreeze: freezes a model ('' for every model) of an organization (every_organization() for all of them), or lifts
-- the freeze. Answers SET or REPLAYED, with the change that this request made, or REQUEST_ID_REUSED.
-- The freeze of one organization is set under its lock: once it has committed, no hold is placed. A freeze for all
-- organizations takes no such lock: a hold that is being decided at that instant may still be placed.
CREATE OR REPLACE FUNCTION set_freeze(
    p_organization_id uuid, p_request_id uuid, p_content_hash bytea,
    p_model text, p_frozen boolean, p_reason text, p_author text,
    OUT outcome text, OUT answer jsonb
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_claim record;
    v_change freeze_changes;
BEGIN
    -- A freeze does not set an organization up: one that has no row gets none.
    PERFORM lock_organization(p_organization_id, false);
    -- One change at a time, so that the newest change of the history is the one in force. Readers do not wait.
    -- Locks are taken in one order: the organization's row, then the table, then the request_id.
    LOCK TABLE freezes IN SHARE ROW EXCLUSIVE MODE;
    v_now := governor_now();
    v_claim := claim_request_id(p_organization_id, 'SetFreeze', p_request_id, p_content_hash);
    IF v_claim.outcome IS NOT NULL THEN
        outcome := v_claim.outcome;
        answer := v_claim.answer;
        RETURN;
    END IF;

    IF p_frozen THEN
        INSERT INTO freezes AS f VALUES (p_organization_id, p_model, p_reason, p_author, v_now)
        ON CONFLICT (organization_id, model) DO UPDATE
        SET reason = excluded.reason, author = excluded.author, update_time = excluded.update_time;
    ELSE
        DELETE FROM freezes AS f WHERE f.organization_id = p_organization_id AND f.model = p_model;
    END IF;
    INSERT INTO freeze_changes AS c (organization_id, model, frozen, reason, author, change_time)
    VALUES (p_organization_id, p_model, p_frozen, p_reason, p_author, v_now)
    RETURNING c.* INTO v_change;

    outcome := 'SET';
    answer := to_jsonb(v_change);
    UPDATE request_ids AS r SET answer = to_jsonb(v_change)
    WHERE r.organization_id = p_organization_id AND r.method = 'SetFreeze' AND r.request_id = p_request_id;
END
$$;
