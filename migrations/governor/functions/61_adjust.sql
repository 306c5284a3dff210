-- Adjust: corrects an entry by posting a new one, so that the entry and all of its adjustments add up to
-- p_corrected_cost_nano_usd. It posts to the budgets that the entry was posted to; adjusted_so_far
-- (50_settle.sql) gives the entry's present cost and its unguarded part.
-- Answers, with the entry where there is one:
--   ADJUSTED, REPLAYED       the adjustment;
--   UNCHANGED                nothing had to be posted: the entry or its newest adjustment, the same for a replay;
--   REQUEST_ID_REUSED        the key was used for other content;
--   ENTRY_NOT_FOUND          the organization has no such entry;
--   ENTRY_IS_ADJUSTMENT      the entry is itself an adjustment: correct the one that it adjusts;
--   TOTAL_TOO_LARGE          a budget would go beyond its bound.
CREATE OR REPLACE FUNCTION adjust_entry(
    p_organization_id uuid, p_request_id uuid, p_idempotency_key uuid, p_request_hash bytea,
    p_entry_id uuid, p_corrected_cost_nano_usd bigint, p_reason text, p_author text,
    OUT outcome text, OUT entry jsonb
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_sequence bigint;
    v_known ai_usage_ledger;
    v_original ai_usage_ledger;
    v_unchanged request_ids;
    v_so_far record;
    v_difference_nano_usd numeric;
    v_overage_nano_usd numeric;
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
    SELECT * INTO v_unchanged FROM request_ids AS r
    WHERE r.organization_id = p_organization_id AND r.method = 'Adjust' AND r.request_id = p_request_id;
    IF FOUND THEN
        outcome := CASE WHEN v_unchanged.content_hash = p_request_hash THEN 'UNCHANGED' ELSE 'REQUEST_ID_REUSED' END;
        -- An earlier release may have kept an answer with fewer columns. The entry itself never changes.
        SELECT to_jsonb(e) INTO entry FROM ai_usage_ledger AS e
        WHERE e.organization_id = p_organization_id
            AND e.idempotency_key = (v_unchanged.answer ->> 'idempotency_key')::uuid;
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
    v_so_far := adjusted_so_far(p_organization_id, p_entry_id);
    v_difference_nano_usd := p_corrected_cost_nano_usd - v_so_far.cost_nano_usd;
    IF v_difference_nano_usd = 0 THEN
        outcome := 'UNCHANGED';
        SELECT coalesce((
            SELECT to_jsonb(e) FROM ai_usage_ledger AS e
            WHERE e.organization_id = p_organization_id AND e.adjusts_entry_id = p_entry_id
            ORDER BY e.sequence DESC LIMIT 1
        ), to_jsonb(v_original)) INTO entry;
        INSERT INTO request_ids (organization_id, method, request_id, content_hash, create_time, answer)
        VALUES (p_organization_id, 'Adjust', p_request_id, p_request_hash, governor_now(), entry);
        RETURN;
    END IF;
    v_overage_nano_usd := greatest(v_difference_nano_usd, -v_so_far.overage_nano_usd);
    v_budget_keys := coalesce(v_original.budget_keys, (
        SELECT a.budget_keys FROM authorizations AS a
        WHERE a.organization_id = p_organization_id AND a.authorization_id = v_original.authorization_id
    ));
    IF v_overage_nano_usd > 0 AND exceeds_total(p_organization_id, v_budget_keys, v_overage_nano_usd) THEN
        outcome := 'TOTAL_TOO_LARGE';
        RETURN;
    END IF;

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
        v_difference_nano_usd, 0, 0, v_overage_nano_usd,
        CASE WHEN v_overage_nano_usd > 0 THEN ARRAY['UNGUARDED'] ELSE '{}' END,
        v_original.labels, v_original.month, p_entry_id, p_reason, p_author, governor_now(),
        v_original.budget_keys, p_request_hash
    ) RETURNING to_jsonb(e) INTO entry;

    UPDATE budgets AS b
    SET spent_nano_usd = b.spent_nano_usd + v_difference_nano_usd,
        unguarded_nano_usd = b.unguarded_nano_usd + v_overage_nano_usd
    WHERE b.organization_id = p_organization_id AND b.budget_key = ANY (v_budget_keys);

    UPDATE organizations AS o SET last_sequence = v_sequence WHERE o.organization_id = p_organization_id;
END
$$;
