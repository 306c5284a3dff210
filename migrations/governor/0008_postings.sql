-- RecordUsage and Adjust: entries that no hold led to.

ALTER TABLE ai_usage_ledger
    -- When it happened, for usage that had no hold.
    ADD COLUMN occurred_at timestamptz,
    -- The budgets that an entry without a hold moved, sorted. NULL where there was a hold, which knows its own.
    ADD COLUMN budget_keys text[],
    -- A hash of the request that posted it. NULL for settlements: their hold has it.
    ADD COLUMN request_hash bytea,
    ADD CHECK (num_nonnulls(authorization_id, budget_keys) = 1),
    ADD CHECK ((occurred_at IS NOT NULL) = (authorization_id IS NULL AND kind = 'USAGE'));

-- Charges usage that had no hold: one entry, and the whole of its cost on the budgets of its month, its workflow and
-- its labels, as spent and as unguarded; past a limit, too. p_served_model is canonical, p_occurred_time NULL means now.
-- Answers, with the entry where there is one:
--   RECORDED, REPLAYED
--   REQUEST_ID_REUSED        the key stands for other content, or for a hold;
--   OCCURRED_IN_FUTURE, OCCURRED_TOO_LONG_AGO
--   MODEL_NOT_PRICED         neither the price book nor the provider says what it cost: it is never zero;
--   COST_TOO_LARGE           above what one entry takes.
CREATE FUNCTION record_usage(
    p_organization_id uuid, p_idempotency_key uuid, p_request_hash bytea,
    p_workflow_id uuid, p_served_model text,
    p_input_tokens bigint, p_cached_input_tokens bigint, p_cache_write_tokens bigint,
    p_output_tokens bigint, p_reasoning_tokens bigint, p_requests bigint,
    p_provider_cost_nano_usd bigint, p_labels jsonb, p_occurred_time timestamptz, p_author text,
    OUT outcome text, OUT entry jsonb
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    c_cost_max_nano_usd CONSTANT bigint := 1000000000000000;
    v_sequence bigint;
    v_now timestamptz;
    v_occurred_at timestamptz;
    v_known ai_usage_ledger;
    v_price prices;
    v_charge record;
    v_budget_keys text[];
BEGIN
    v_sequence := lock_organization(p_organization_id) + 1;
    v_now := governor_now();
    v_occurred_at := coalesce(p_occurred_time, v_now);

    SELECT * INTO v_known FROM ai_usage_ledger AS e
    WHERE e.organization_id = p_organization_id AND e.idempotency_key = p_idempotency_key;
    IF FOUND THEN
        outcome := CASE WHEN v_known.request_hash = p_request_hash THEN 'REPLAYED' ELSE 'REQUEST_ID_REUSED' END;
        entry := to_jsonb(v_known);
        RETURN;
    -- The key will be that of the hold's own entry.
    ELSIF EXISTS (
        SELECT FROM authorizations AS a
        WHERE a.organization_id = p_organization_id AND a.authorization_id = p_idempotency_key
    ) THEN
        outcome := 'REQUEST_ID_REUSED';
        RETURN;
    ELSIF v_occurred_at > v_now THEN
        outcome := 'OCCURRED_IN_FUTURE';
        RETURN;
    ELSIF v_occurred_at < v_now - interval '400 days' THEN
        outcome := 'OCCURRED_TOO_LONG_AGO';
        RETURN;
    END IF;

    v_price := price_at(p_served_model, v_occurred_at);
    v_charge := charge_of(
        v_price, 0, 0, false, false, false,
        p_input_tokens, p_cached_input_tokens, p_cache_write_tokens,
        p_output_tokens, p_reasoning_tokens, p_requests, p_provider_cost_nano_usd);
    IF v_price.price_id IS NULL AND v_charge.cost_nano_usd = 0 THEN
        outcome := 'MODEL_NOT_PRICED';
        RETURN;
    ELSIF v_charge.cost_nano_usd > c_cost_max_nano_usd THEN
        outcome := 'COST_TOO_LARGE';
        RETURN;
    END IF;
    v_budget_keys := budgets_that_apply(
        p_organization_id, terms_of(p_organization_id), p_workflow_id, p_labels, month_of(v_occurred_at));

    -- From here on it must succeed.
    outcome := 'RECORDED';
    INSERT INTO ai_usage_ledger AS e (
        organization_id, idempotency_key, sequence, kind, workflow_id,
        requested_model, granted_model, model,
        prompt_tokens, cached_input_tokens, cache_write_tokens, completion_tokens, reasoning_tokens, requests,
        cost_nano_usd, rated_cost_nano_usd, provider_cost_nano_usd,
        held_nano_usd, overage_nano_usd, price_id, flags, labels, month,
        author, created_at, occurred_at, budget_keys, request_hash
    ) VALUES (
        p_organization_id, p_idempotency_key, v_sequence, 'USAGE', p_workflow_id,
        '', '', p_served_model,
        p_input_tokens, p_cached_input_tokens, p_cache_write_tokens,
        p_output_tokens, p_reasoning_tokens, p_requests,
        v_charge.cost_nano_usd, v_charge.rated_cost_nano_usd, p_provider_cost_nano_usd,
        -- Where nothing was held, all of the cost exceeds the hold; UNGUARDED says so.
        0, v_charge.cost_nano_usd, v_price.price_id, array_remove(v_charge.flags, 'OVERAGE') || ARRAY['UNGUARDED'],
        p_labels, month_of(v_occurred_at),
        p_author, v_now, v_occurred_at, v_budget_keys, p_request_hash
    ) RETURNING to_jsonb(e) INTO entry;

    INSERT INTO budgets AS b (organization_id, budget_key, spent_nano_usd, unguarded_nano_usd)
    SELECT p_organization_id, k.budget_key, v_charge.cost_nano_usd, v_charge.cost_nano_usd
    FROM unnest(v_budget_keys) AS k (budget_key)
    ON CONFLICT (organization_id, budget_key) DO UPDATE
    SET spent_nano_usd = b.spent_nano_usd + excluded.spent_nano_usd,
        unguarded_nano_usd = b.unguarded_nano_usd + excluded.unguarded_nano_usd;

    UPDATE organizations AS o SET last_sequence = v_sequence WHERE o.organization_id = p_organization_id;
END
$$;

-- Corrects an entry by another, so that the entry and all of its adjustments come to p_corrected_cost_nano_usd. It
-- posts to the budgets that the entry was posted to. What it adds to the cost no hold covers: it is unguarded.
-- Answers, with the adjustment where there is one:
--   ADJUSTED, REPLAYED
--   REQUEST_ID_REUSED        the key stands for other content;
--   ENTRY_NOT_FOUND          the organization has no such entry;
--   ENTRY_IS_ADJUSTMENT      what it corrects is corrected instead.
CREATE FUNCTION adjust_entry(
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
