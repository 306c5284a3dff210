-- SetModelAlias and DeleteModelAlias: makes an id an operator's own name of a model, or (p_model NULL) removes it.
-- p_alias is in lower case, p_model has possible names (21_model_names.sql). The model must have a price. Answers SET or
-- REPLAYED, with the change that this request made, or REQUEST_ID_REUSED or MODEL_NOT_PRICED.
CREATE OR REPLACE FUNCTION set_model_alias(
    p_request_id uuid, p_content_hash bytea, p_alias text, p_model text, p_author text,
    OUT outcome text, OUT answer jsonb
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_method CONSTANT text := CASE WHEN p_model IS NULL THEN 'DeleteModelAlias' ELSE 'SetModelAlias' END;
    v_now timestamptz;
    v_claim record;
    v_model text;
    v_change model_aliases;
BEGIN
    -- One change at a time. Readers do not wait.
    LOCK TABLE model_aliases IN SHARE ROW EXCLUSIVE MODE;
    v_now := governor_now();
    v_claim := claim_request_id(every_organization(), v_method, p_request_id, p_content_hash);
    IF v_claim.outcome IS NOT NULL THEN
        outcome := v_claim.outcome;
        answer := v_claim.answer;
        RETURN;
    END IF;
    IF p_model IS NOT NULL THEN
        v_model := resolved_model(p_model, v_now);
        IF NOT EXISTS (SELECT FROM prices AS p WHERE p.model = v_model AND p.effective_time <= v_now) THEN
            outcome := 'MODEL_NOT_PRICED';
            RETURN;
        END IF;
    END IF;

    INSERT INTO model_aliases AS a (alias, change_time, model, author)
    SELECT p_alias,
        -- Two changes within a microsecond are still two.
        greatest(v_now, (
            SELECT max(earlier.change_time) + interval '1 microsecond' FROM model_aliases AS earlier
            WHERE earlier.alias = p_alias)),
        v_model, p_author
    RETURNING a.* INTO v_change;
    outcome := 'SET';
    answer := to_jsonb(v_change);
    UPDATE request_ids AS r SET answer = to_jsonb(v_change)
    WHERE r.organization_id = every_organization() AND r.method = v_method AND r.request_id = p_request_id;
END
$$;
