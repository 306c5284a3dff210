-- RecordUsage: charges usage that had no hold. It posts one entry and adds its cost to the budgets of its month, its
-- workflow and its labels, as spent and as unguarded, even beyond a limit. p_served_model has
-- its possible names (21_model_names.sql), p_price_context selects a variant of its price;
-- p_occurred_time NULL means now.
-- Answers, with the entry where there is one:
--   RECORDED, REPLAYED
--   REQUEST_ID_REUSED        the key was used for other content or for a hold;
--   OCCURRED_IN_FUTURE, OCCURRED_TOO_LONG_AGO
--   MODEL_NOT_PRICED         neither the price book nor the provider has a cost: no usage is free by accident;
--   COST_TOO_LARGE           the cost exceeds the bound of an entry;
--   TOTAL_TOO_LARGE          a budget would go beyond its bound.
CREATE OR REPLACE FUNCTION record_usage(
    p_organization_id uuid, p_idempotency_key uuid, p_request_hash bytea,
    p_workflow_id uuid, p_served_model text,
    p_input_tokens bigint, p_cached_input_tokens bigint, p_cache_write_tokens bigint, p_cache_write_1h_tokens bigint,
    p_output_tokens bigint, p_reasoning_tokens bigint, p_requests bigint, p_other_units jsonb, p_price_context jsonb,
    p_provider_cost_nano_usd bigint, p_labels jsonb, p_occurred_time timestamptz, p_author text,
    OUT outcome text, OUT entry jsonb
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_sequence bigint;
    v_now timestamptz;
    v_occurred_at timestamptz;
    v_known ai_usage_ledger;
    v_terms organization_terms;
    v_served_model text;
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
        outcome := CASE
            -- The hash takes a model for its variants and dates, which may have prices of their own.
            WHEN v_known.request_hash = p_request_hash
                AND v_known.model = resolved_model(p_served_model, v_known.occurred_at) THEN 'REPLAYED'
            ELSE 'REQUEST_ID_REUSED'
        END;
        entry := to_jsonb(v_known);
        RETURN;
    -- The settlement of this hold needs the key for its own entry.
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

    v_terms := terms_of(p_organization_id, p_denies_unknown => false);
    v_served_model := resolved_model(p_served_model, v_occurred_at);
    v_price := price_at(v_served_model, p_price_context, v_occurred_at);
    SELECT c.cost_nano_usd, c.rated_cost_nano_usd, c.flags INTO v_charge
    FROM charge_of(
        v_price, 0, 0, false, false, false, v_terms.cost_basis,
        p_input_tokens, p_cached_input_tokens, p_cache_write_tokens, p_cache_write_1h_tokens,
        p_output_tokens, p_reasoning_tokens, p_requests, p_other_units, p_provider_cost_nano_usd) AS c;
    IF v_price.price_id IS NULL AND v_charge.cost_nano_usd = 0 THEN
        outcome := 'MODEL_NOT_PRICED';
        RETURN;
    ELSIF v_charge.cost_nano_usd > largest_entry_nano_usd() THEN
        outcome := 'COST_TOO_LARGE';
        RETURN;
    END IF;
    v_budget_keys := budget_keys_for(
        p_organization_id, v_terms.has_limits, p_workflow_id, p_labels, periods_at(v_occurred_at));
    IF exceeds_total(p_organization_id, v_budget_keys, v_charge.cost_nano_usd) THEN
        outcome := 'TOTAL_TOO_LARGE';
        RETURN;
    END IF;

    -- From here on it must succeed.
    outcome := 'RECORDED';
    INSERT INTO ai_usage_ledger AS e (
        organization_id, idempotency_key, sequence, kind, workflow_id,
        requested_model, granted_model, model,
        prompt_tokens, cached_input_tokens, cache_write_tokens, cache_write_1h_tokens,
        completion_tokens, reasoning_tokens, requests, other_units,
        cost_nano_usd, rated_cost_nano_usd, provider_cost_nano_usd,
        held_nano_usd, overage_nano_usd, price_id, price_context, cost_basis, flags, labels, month,
        author, created_at, occurred_at, budget_keys, request_hash
    ) VALUES (
        p_organization_id, p_idempotency_key, v_sequence, 'USAGE', p_workflow_id,
        '', '', v_served_model,
        p_input_tokens, p_cached_input_tokens, p_cache_write_tokens, p_cache_write_1h_tokens,
        p_output_tokens, p_reasoning_tokens, p_requests, p_other_units,
        v_charge.cost_nano_usd, v_charge.rated_cost_nano_usd, p_provider_cost_nano_usd,
        -- Nothing was held, so that all of the cost exceeds the hold; UNGUARDED says so.
        0, v_charge.cost_nano_usd, v_price.price_id, p_price_context, v_terms.cost_basis,
        array_remove(v_charge.flags, 'OVERAGE') || ARRAY['UNGUARDED'], p_labels, month_of(v_occurred_at),
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
