-- Adjust: corrects an entry by a new one, so that the entry and all of its adjustments add up to
-- p_corrected_cost_nano_usd. It posts to the budgets that the entry was posted to. What it adds to the cost is not
-- covered by a hold: it is unguarded.
-- Answers, with the adjustment where there is one:
--   ADJUSTED, REPLAYED
--   REQUEST_ID_REUSED        the key stands for other content;
--   ENTRY_NOT_FOUND          the organization has no such entry;
--   ENTRY_IS_ADJUSTMENT      the entry that it adjusts has to be corrected instead.
CREATE OR REPLACE FUNCTION adjust_entry(
    p_organization_id uuid, p_idempotency_key uuid, p_request_hash bytea,
    p_entry_id uuid, p_corrected_cost_nano_usd bigint, p_reason text, p_author text,
    OUT outcome text, OUT entry jsonb
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_sequence bigint;
    v_known ai_usage_ledger;
    v_original ai_usage_ledger;
    v_difference_nano_usd bigint;
    v_budget_keys text[];
BEGIN
    SELECT o.last_sequence + 1 INTO v_sequence FROM organizations AS o
    WHERE o.organization_id = p_organization_id FOR UPDATE;

    SELECT * INTO v_known FROM ai_usage_ledger AS e
    WHERE e.organization_id = p_organization_id AND e.idempotency_key = p_idempotency_key;
    IF FOUND THEN
        outcome := CASE WHEN v_known.request_hash = p_request_hash THEN 'REPLAYED' ELSE 'REQUEST_ID_REUSED' END;
        entry := to_jsonb(v_known);
        RETURN;
    END IF;
    SELECT * INTO v_original FROM ai_usage_ledger AS e
    WHERE e.organization_id = p_organization_id AND e.idempotency_key = p_entry_id;
    IF NOT FOUND THEN
        outcome := 'ENTRY_NOT_FOUND';
        RETURN;
    ELSIF v_original.kind = 'ADJUSTMENT' THEN
        outcome := 'ENTRY_IS_ADJUSTMENT';
        RETURN;
    END IF;
    SELECT p_corrected_cost_nano_usd - v_original.cost_nano_usd - coalesce(sum(e.cost_nano_usd), 0)
    INTO v_difference_nano_usd
    FROM ai_usage_ledger AS e
    WHERE e.organization_id = p_organization_id AND e.adjusts_entry_id = p_entry_id;
    v_budget_keys := coalesce(v_original.budget_keys, (
        SELECT a.budget_keys FROM authorizations AS a
        WHERE a.organization_id = p_organization_id AND a.authorization_id = v_original.authorization_id
    ));

    -- From here on it must succeed.
    outcome := 'ADJUSTED';
    INSERT INTO ai_usage_ledger AS e (
        organization_id, idempotency_key, sequence, kind, workflow_id, authorization_id,
        requested_model, granted_model, model,
        prompt_tokens, cached_input_tokens, cache_write_tokens, completion_tokens, reasoning_tokens, requests,
        cost_nano_usd, rated_cost_nano_usd, held_nano_usd, overage_nano_usd,
        flags, labels, month, adjusts_entry_id, reason, author, created_at, budget_keys, request_hash
    ) VALUES (
        p_organization_id, p_idempotency_key, v_sequence, 'ADJUSTMENT', v_original.workflow_id,
        v_original.authorization_id,
        v_original.requested_model, v_original.granted_model, v_original.model,
        0, 0, 0, 0, 0, 0,
        v_difference_nano_usd, 0, 0, greatest(v_difference_nano_usd, 0),
        CASE WHEN v_difference_nano_usd > 0 THEN ARRAY['UNGUARDED'] ELSE '{}' END,
        v_original.labels, v_original.month, p_entry_id, p_reason, p_author, governor_now(),
        v_original.budget_keys, p_request_hash
    ) RETURNING to_jsonb(e) INTO entry;

    UPDATE budgets AS b
    SET spent_nano_usd = b.spent_nano_usd + v_difference_nano_usd,
        unguarded_nano_usd = b.unguarded_nano_usd + greatest(v_difference_nano_usd, 0)
    WHERE b.organization_id = p_organization_id AND b.budget_key = ANY (v_budget_keys);

    UPDATE organizations AS o SET last_sequence = v_sequence WHERE o.organization_id = p_organization_id;
END
$$;
