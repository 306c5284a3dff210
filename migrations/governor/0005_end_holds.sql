-- Settle and Void: how a hold ends.

-- What a settlement charges, and what it says of itself: the pure part of Settle.
-- p_price rates it (NULL: the served model has none); p_held_nano_usd is what was held, p_live_nano_usd what of it is
-- still to be released (0 after a release).
CREATE FUNCTION charge_of(
    p_price prices, p_held_nano_usd bigint, p_live_nano_usd bigint,
    p_is_unknown boolean, p_is_drift boolean, p_is_late boolean,
    p_input_tokens bigint, p_cached_input_tokens bigint, p_cache_write_tokens bigint,
    p_output_tokens bigint, p_reasoning_tokens bigint, p_requests bigint, p_provider_cost_nano_usd bigint,
    OUT cost_nano_usd numeric, OUT rated_cost_nano_usd numeric, OUT overage_nano_usd numeric, OUT flags text[]
)
LANGUAGE plpgsql IMMUTABLE AS $$
#variable_conflict use_column
DECLARE
    v_is_priced boolean := p_price IS DISTINCT FROM NULL;
BEGIN
    rated_cost_nano_usd := CASE WHEN v_is_priced AND NOT p_is_unknown THEN
        rated_cost_nano_usd(p_price, p_input_tokens, p_cached_input_tokens, p_cache_write_tokens, p_output_tokens,
            p_reasoning_tokens, p_requests)
        ELSE 0 END;
    -- Where nothing can be rated, the bound stands for the cost.
    cost_nano_usd := greatest(
        CASE WHEN v_is_priced AND NOT p_is_unknown THEN rated_cost_nano_usd ELSE p_held_nano_usd END,
        p_provider_cost_nano_usd);
    overage_nano_usd := greatest(cost_nano_usd - p_live_nano_usd, 0);
    flags := array_remove(ARRAY[
        CASE WHEN p_is_drift THEN 'MODEL_DRIFT' END,
        CASE WHEN NOT v_is_priced THEN 'UNPRICED_MODEL' END,
        CASE WHEN overage_nano_usd > 0 THEN 'OVERAGE' END,
        CASE WHEN p_is_late THEN 'LATE' END,
        CASE WHEN v_is_priced AND NOT p_is_unknown
            AND abs(p_provider_cost_nano_usd - rated_cost_nano_usd) > greatest(1000, rated_cost_nano_usd * 0.01)
            THEN 'PROVIDER_VARIANCE' END,
        CASE WHEN p_is_unknown THEN 'UNKNOWN_OUTCOME' END
    ], NULL);
END
$$;

-- Settles holds of one organization: item i of the arrays is one settlement, decided in order. A settlement hash of
-- NULL says that the outcome is unknown; its token counts are 0. p_served_models are canonical, '' for the granted
-- one. p_true_up_keys[i] is the idempotency key of the adjustment, should the item bring an unknown outcome to its
-- true cost. Answers one row an item, with its outcome:
--   SETTLED, REPLAYED            the ledger entry, and the hold's budgets as they stand now;
--   AUTHORIZATION_NOT_FOUND      the organization has no such hold;
--   AUTHORIZATION_NOT_PENDING    `hold_state` and `entry` tell how it ended;
--   COST_TOO_LARGE               above what one entry takes: the hold stays as it is.
CREATE FUNCTION settle_holds(
    p_organization_id uuid,
    p_authorization_ids uuid[], p_settlement_hashes bytea[], p_true_up_keys uuid[], p_served_models text[],
    p_input_tokens bigint[], p_cached_input_tokens bigint[], p_cache_write_tokens bigint[],
    p_output_tokens bigint[], p_reasoning_tokens bigint[], p_requests bigint[],
    p_provider_costs_nano_usd bigint[], p_provider_generation_ids text[], p_authors text[]
)
RETURNS TABLE (
    item integer, outcome text, hold_state text, entry jsonb,
    budget_keys text[], limits_nano_usd bigint[], budgets_spent_nano_usd bigint[], budgets_held_nano_usd bigint[],
    budgets_unguarded_nano_usd bigint[]
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    c_cost_max_nano_usd CONSTANT bigint := 1000000000000000;
    v_now timestamptz;
    v_terms organization_terms;
    v_last_sequence bigint;
    v_sequence bigint;
    v_hold authorizations;
    v_is_unknown boolean;
    v_is_true_up boolean;
    v_served_model text;
    v_price prices;
    v_charge record;
    v_live_nano_usd bigint;
    v_cost_nano_usd numeric;
    v_overage_nano_usd numeric;
    v_entry_id uuid;
    v_account budgets;
BEGIN
    SELECT o.last_sequence INTO v_last_sequence FROM organizations AS o
    WHERE o.organization_id = p_organization_id FOR UPDATE;
    v_sequence := v_last_sequence;
    v_now := governor_now();
    v_terms := terms_of(p_organization_id);

    FOR i IN 1 .. cardinality(p_authorization_ids) LOOP
        item := i;
        outcome := NULL;
        hold_state := NULL;
        entry := NULL;
        budget_keys := NULL;
        limits_nano_usd := NULL;
        budgets_spent_nano_usd := NULL;
        budgets_held_nano_usd := NULL;
        budgets_unguarded_nano_usd := NULL;
        v_is_unknown := p_settlement_hashes[i] IS NULL;

        SELECT * INTO v_hold FROM authorizations AS a
        WHERE a.organization_id = p_organization_id AND a.authorization_id = p_authorization_ids[i];
        IF NOT FOUND THEN
            outcome := 'AUTHORIZATION_NOT_FOUND';
            RETURN NEXT;
            CONTINUE;
        END IF;
        hold_state := state_at(v_hold.state, v_hold.expire_time, v_now);
        budget_keys := v_hold.budget_keys;
        v_entry_id := v_hold.entry_id;
        v_is_true_up := hold_state = 'SETTLED' AND v_hold.settlement_hash IS NULL AND NOT v_is_unknown;

        IF hold_state = 'SETTLED' AND NOT v_is_true_up THEN
            outcome := CASE
                WHEN v_is_unknown OR v_hold.settlement_hash = p_settlement_hashes[i] THEN 'REPLAYED'
                ELSE 'AUTHORIZATION_NOT_PENDING'
            END;
            -- The entry that this very content was answered with.
            IF NOT v_is_unknown AND outcome = 'REPLAYED' THEN
                v_entry_id := coalesce(v_hold.true_up_entry_id, v_hold.entry_id);
            END IF;
        ELSIF hold_state IN ('VOIDED', 'EXPIRED') AND (v_is_unknown OR v_hold.model IS NULL) THEN
            -- Nothing unknown can have come of a hold that was released, and nothing at all of one that never was.
            outcome := 'AUTHORIZATION_NOT_PENDING';
        ELSE
            -- The granted model is rated with the price its hold was placed with, another with its price at that time.
            v_served_model := coalesce(nullif(p_served_models[i], ''), v_hold.model);
            IF v_served_model = v_hold.model THEN
                SELECT * INTO v_price FROM prices AS p WHERE p.price_id = v_hold.price_id;
            ELSE
                v_price := price_at(v_served_model, v_hold.create_time);
            END IF;
            v_live_nano_usd := CASE WHEN hold_state IN ('PENDING', 'SUSPENSE') THEN v_hold.held_nano_usd ELSE 0 END;
            v_charge := charge_of(
                v_price, v_hold.held_nano_usd, v_live_nano_usd, v_is_unknown, v_served_model <> v_hold.model,
                hold_state IN ('SUSPENSE', 'VOIDED', 'EXPIRED'),
                p_input_tokens[i], p_cached_input_tokens[i], p_cache_write_tokens[i],
                p_output_tokens[i], p_reasoning_tokens[i], p_requests[i], p_provider_costs_nano_usd[i]);
            IF v_charge.cost_nano_usd > c_cost_max_nano_usd THEN
                outcome := 'COST_TOO_LARGE';
            END IF;
        END IF;

        IF outcome IS NULL THEN
            -- From here on it must succeed.
            outcome := 'SETTLED';
            v_cost_nano_usd := v_charge.cost_nano_usd;
            v_overage_nano_usd := v_charge.overage_nano_usd;
            v_entry_id := v_hold.authorization_id;
            IF v_is_true_up THEN
                -- Two look-ups by key: asked for with OR, they may be planned as one scan of the whole ledger.
                SELECT v_cost_nano_usd - e.cost_nano_usd INTO v_cost_nano_usd FROM ai_usage_ledger AS e
                WHERE e.organization_id = p_organization_id AND e.idempotency_key = v_hold.entry_id;
                SELECT v_cost_nano_usd - coalesce(sum(e.cost_nano_usd), 0) INTO v_cost_nano_usd
                FROM ai_usage_ledger AS e
                WHERE e.organization_id = p_organization_id AND e.adjusts_entry_id = v_hold.entry_id;
                v_overage_nano_usd := greatest(v_cost_nano_usd, 0);
                v_charge.flags := array_remove(v_charge.flags, 'OVERAGE')
                    || CASE WHEN v_overage_nano_usd > 0 THEN ARRAY['OVERAGE'] ELSE '{}' END;
                v_entry_id := p_true_up_keys[i];
            END IF;

            v_sequence := v_sequence + 1;
            INSERT INTO ai_usage_ledger AS e (
                organization_id, idempotency_key, sequence, kind, workflow_id, authorization_id,
                requested_model, granted_model, model,
                prompt_tokens, cached_input_tokens, cache_write_tokens, completion_tokens, reasoning_tokens, requests,
                cost_nano_usd, rated_cost_nano_usd, provider_cost_nano_usd, provider_generation_id,
                held_nano_usd, overage_nano_usd, price_id, flags, labels, month,
                adjusts_entry_id, reason, author, created_at
            ) VALUES (
                p_organization_id, v_entry_id, v_sequence,
                CASE WHEN v_is_true_up THEN 'ADJUSTMENT' WHEN v_is_unknown THEN 'UNKNOWN' ELSE 'USAGE' END,
                v_hold.workflow_id, v_hold.authorization_id,
                v_hold.requested_model, v_hold.model, v_served_model,
                p_input_tokens[i], p_cached_input_tokens[i], p_cache_write_tokens[i],
                p_output_tokens[i], p_reasoning_tokens[i], p_requests[i],
                v_cost_nano_usd, v_charge.rated_cost_nano_usd, p_provider_costs_nano_usd[i],
                p_provider_generation_ids[i],
                v_live_nano_usd, v_overage_nano_usd, v_price.price_id, v_charge.flags, v_hold.labels, v_hold.month,
                CASE WHEN v_is_true_up THEN v_hold.entry_id END,
                CASE WHEN v_is_true_up THEN 'the outcome became known' ELSE '' END,
                p_authors[i], v_now
            ) RETURNING to_jsonb(e) INTO entry;

            limits_nano_usd := limits_in_force(p_organization_id, v_terms, budget_keys);
            FOR b IN 1 .. cardinality(budget_keys) LOOP
                UPDATE budgets AS account SET
                    spent_nano_usd = account.spent_nano_usd + v_cost_nano_usd,
                    held_nano_usd = account.held_nano_usd - v_live_nano_usd,
                    unguarded_nano_usd = account.unguarded_nano_usd + v_overage_nano_usd
                WHERE account.organization_id = p_organization_id AND account.budget_key = budget_keys[b]
                RETURNING account.* INTO v_account;
                IF NOT FOUND THEN
                    RAISE EXCEPTION 'authorization % of organization % has lost a budget',
                        v_hold.authorization_id, p_organization_id;
                END IF;
                budgets_spent_nano_usd[b] := v_account.spent_nano_usd;
                budgets_held_nano_usd[b] := v_account.held_nano_usd;
                budgets_unguarded_nano_usd[b] := v_account.unguarded_nano_usd;
            END LOOP;

            UPDATE authorizations AS a SET
                state = 'SETTLED',
                end_time = coalesce(a.end_time, v_now),
                entry_id = coalesce(a.entry_id, v_entry_id),
                true_up_entry_id = CASE WHEN v_is_true_up THEN v_entry_id END,
                settlement_hash = p_settlement_hashes[i]
            WHERE a.organization_id = p_organization_id AND a.authorization_id = v_hold.authorization_id;
        ELSE
            SELECT to_jsonb(e) INTO entry FROM ai_usage_ledger AS e
            WHERE e.organization_id = p_organization_id AND e.idempotency_key = v_entry_id;
            SELECT f.limits_nano_usd, f.spent_nano_usd, f.held_nano_usd, f.unguarded_nano_usd
            INTO limits_nano_usd, budgets_spent_nano_usd, budgets_held_nano_usd, budgets_unguarded_nano_usd
            FROM budget_figures(p_organization_id, v_terms, budget_keys) AS f;
        END IF;
        RETURN NEXT;
    END LOOP;

    IF v_sequence > v_last_sequence THEN
        UPDATE organizations AS o SET last_sequence = v_sequence WHERE o.organization_id = p_organization_id;
    END IF;
END
$$;

-- A hold with its price and its budgets as they stand.
CREATE FUNCTION find_hold(p_organization_id uuid, p_authorization_id uuid)
RETURNS TABLE (
    hold jsonb,
    budget_keys text[], limits_nano_usd bigint[], budgets_spent_nano_usd bigint[], budgets_held_nano_usd bigint[],
    budgets_unguarded_nano_usd bigint[]
)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT to_jsonb(a), a.budget_keys, f.limits_nano_usd, f.spent_nano_usd, f.held_nano_usd, f.unguarded_nano_usd
    FROM authorizations_with_price AS a
    CROSS JOIN LATERAL budget_figures(a.organization_id, terms_of(a.organization_id), a.budget_keys) AS f
    WHERE a.organization_id = p_organization_id AND a.authorization_id = p_authorization_id;
END;

-- Voids a hold. With the request_id that it was, or is being, authorized with, one that is not there yet is marked
-- VOIDED, so that an Authorize that is still on its way finds it ended.
-- Answers VOIDED, UNCHANGED (it had been released before), AUTHORIZATION_NOT_PENDING (settled), or
-- AUTHORIZATION_NOT_FOUND (without a request_id only).
CREATE FUNCTION void_hold(p_organization_id uuid, p_authorization_id uuid, p_request_id uuid, p_reason text)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz;
    v_hold authorizations;
BEGIN
    PERFORM lock_organization(p_organization_id, p_makes_row => p_request_id IS NOT NULL);
    v_now := governor_now();

    SELECT * INTO v_hold FROM authorizations AS a
    WHERE a.organization_id = p_organization_id AND a.authorization_id = p_authorization_id;
    IF NOT FOUND AND p_request_id IS NULL THEN
        RETURN 'AUTHORIZATION_NOT_FOUND';
    ELSIF NOT FOUND THEN
        INSERT INTO authorizations (
            organization_id, authorization_id, request_id, state, held_nano_usd,
            create_time, expire_time, end_time, end_reason
        ) VALUES (
            p_organization_id, p_authorization_id, p_request_id, 'VOIDED', 0, v_now, v_now, v_now, p_reason
        );
        RETURN 'VOIDED';
    ELSIF v_hold.state = 'SETTLED' THEN
        RETURN 'AUTHORIZATION_NOT_PENDING';
    ELSIF v_hold.state <> 'PENDING' THEN
        RETURN 'UNCHANGED';
    END IF;

    UPDATE budgets AS b SET held_nano_usd = b.held_nano_usd - v_hold.held_nano_usd
    WHERE b.organization_id = p_organization_id AND b.budget_key = ANY (v_hold.budget_keys);
    UPDATE authorizations AS a SET state = 'VOIDED', end_time = v_now, end_reason = p_reason
    WHERE a.organization_id = p_organization_id AND a.authorization_id = v_hold.authorization_id;
    RETURN 'VOIDED';
END
$$;
