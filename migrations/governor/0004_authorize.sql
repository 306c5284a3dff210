-- Authorize: which model is granted, and the hold for it.

-- What would be granted now, without changing anything. Authorize calls it under the organization's lock, CheckBudget
-- without. Sets `outcome` to
--   GRANTED             and the model, its price, the output tokens and the hold;
--   BUDGET_EXCEEDED     and the model and hold of the cheapest candidate;
--   MODEL_NOT_ALLOWED, MODEL_NOT_PRICED   and the first candidate, where none is eligible.
-- p_models are canonical, distinct, in order of preference. p_output_tokens_min NULL: in full or not at all.
CREATE FUNCTION decide_authorization(
    p_organization_id uuid, p_workflow_id uuid, p_labels jsonb, p_now timestamptz, p_models text[],
    p_input_tokens_max bigint, p_output_tokens_max bigint, p_output_tokens_min bigint, p_requests_max bigint,
    OUT outcome text, OUT model text, OUT price_id uuid, OUT output_tokens_max bigint, OUT held_nano_usd bigint,
    OUT downgrade_reason text, OUT budget_keys text[], OUT limits_nano_usd bigint[], OUT lacks_account boolean
)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    -- No single call may cost more than the ledger takes in one entry.
    c_hold_max_nano_usd CONSTANT bigint := 1000000000000000;
    v_available_nano_usd numeric;
    v_month_used_nano_usd numeric;
    v_month_limit_nano_usd bigint;
    v_threshold_percent integer;
    v_allowed_models text[];
    v_past_threshold boolean;
    v_first_eligible text;
    v_candidate record;
    -- The first candidate that fits with fewer output tokens, and the cheapest of all.
    v_reduced_model text;
    v_reduced_price prices;
    v_reduced_tokens bigint;
    v_cheapest_model text;
    v_cheapest_hold_nano_usd numeric;
BEGIN
    SELECT
        array_agg(b.budget_key), array_agg(b.limit_nano_usd), bool_or(NOT b.has_account),
        least(min(b.limit_nano_usd::numeric - b.spent_nano_usd - b.held_nano_usd), c_hold_max_nano_usd),
        max(b.spent_nano_usd::numeric + b.held_nano_usd) FILTER (WHERE b.scope = 'ORGANIZATION'),
        max(b.limit_nano_usd) FILTER (WHERE b.scope = 'ORGANIZATION')
    INTO budget_keys, limits_nano_usd, lacks_account, v_available_nano_usd, v_month_used_nano_usd,
        v_month_limit_nano_usd
    FROM budgets_that_apply(p_organization_id, p_workflow_id, p_labels, month_of(p_now)) AS b;

    SELECT t.downgrade_threshold_percent, t.allowed_models INTO v_threshold_percent, v_allowed_models
    FROM tiers AS t
    WHERE t.tier = coalesce(
        (SELECT o.tier FROM organizations AS o WHERE o.organization_id = p_organization_id), 'default');
    v_past_threshold := coalesce(v_month_used_nano_usd * 100 > v_month_limit_nano_usd::numeric * v_threshold_percent,
        false);

    outcome := NULL;
    FOR v_candidate IN
        SELECT
            c.model, p AS price,
            hold_nano_usd(p, p_input_tokens_max, p_output_tokens_max, p_requests_max) AS hold_nano_usd,
            min(c.place) OVER () = c.place AS is_first
        FROM unnest(p_models) WITH ORDINALITY AS c (model, place)
        CROSS JOIN LATERAL (SELECT price_at(c.model, p_now) OFFSET 0) AS found (p)
        WHERE p IS DISTINCT FROM NULL
            AND (v_allowed_models = '{}' OR c.model = ANY (v_allowed_models))
        ORDER BY CASE WHEN v_past_threshold THEN hold_nano_usd(
            p, p_input_tokens_max, p_output_tokens_max, p_requests_max) END, c.place
    LOOP
        IF v_candidate.is_first THEN
            v_first_eligible := v_candidate.model;
        END IF;
        IF outcome IS NULL AND v_candidate.hold_nano_usd <= v_available_nano_usd THEN
            outcome := 'GRANTED';
            model := v_candidate.model;
            price_id := (v_candidate.price).price_id;
            output_tokens_max := p_output_tokens_max;
            held_nano_usd := v_candidate.hold_nano_usd;
        END IF;
        IF v_cheapest_model IS NULL OR v_candidate.hold_nano_usd < v_cheapest_hold_nano_usd THEN
            v_cheapest_model := v_candidate.model;
            v_cheapest_hold_nano_usd := v_candidate.hold_nano_usd;
        END IF;
        IF v_reduced_model IS NULL AND p_output_tokens_min IS NOT NULL THEN
            v_reduced_tokens := output_tokens_that_fit(
                v_candidate.price, v_available_nano_usd, p_input_tokens_max, p_requests_max, p_output_tokens_max);
            IF v_reduced_tokens >= p_output_tokens_min THEN
                v_reduced_model := v_candidate.model;
                v_reduced_price := v_candidate.price;
            END IF;
        END IF;
        EXIT WHEN outcome IS NOT NULL AND v_first_eligible IS NOT NULL;
    END LOOP;

    IF outcome IS NULL AND v_reduced_model IS NOT NULL THEN
        outcome := 'GRANTED';
        model := v_reduced_model;
        price_id := v_reduced_price.price_id;
        output_tokens_max := v_reduced_tokens;
        held_nano_usd := hold_nano_usd(v_reduced_price, p_input_tokens_max, v_reduced_tokens, p_requests_max);
    ELSIF outcome IS NULL AND v_cheapest_model IS NOT NULL THEN
        outcome := 'BUDGET_EXCEEDED';
        model := v_cheapest_model;
        output_tokens_max := p_output_tokens_max;
        held_nano_usd := v_cheapest_hold_nano_usd;
    ELSIF outcome IS NULL THEN
        model := p_models[1];
        outcome := CASE WHEN v_allowed_models = '{}' OR model = ANY (v_allowed_models)
            THEN 'MODEL_NOT_PRICED' ELSE 'MODEL_NOT_ALLOWED' END;
    END IF;

    IF outcome = 'GRANTED' AND model <> v_first_eligible THEN
        downgrade_reason := CASE WHEN v_past_threshold
            THEN format('the month is past %s%% of its quota: the cheapest candidate comes first', v_threshold_percent)
            ELSE format('%s does not fit the budgets', v_first_eligible) END;
    END IF;
END
$$;

-- Places holds for one organization: item i of the arrays is one request. Candidates are flattened: candidate c
-- belongs to item p_candidate_items[c]. Items are decided in order, each seeing the holds of those before it.
-- Answers one row an item, with its outcome:
--   GRANTED, REPLAYED            `hold` is the authorization, `budgets` where they stand after the whole call;
--   AUTHORIZATION_NOT_PENDING    a replay of a hold that has ended: `hold` is it;
--   REQUEST_ID_REUSED            the id was used with other content;
--   BUDGET_EXCEEDED              `hold` has the cheapest candidate's figures, `budgets` where they stand;
--   MODEL_NOT_ALLOWED, MODEL_NOT_PRICED   `hold` names the first candidate.
CREATE FUNCTION authorize_holds(
    p_organization_id uuid,
    p_request_ids uuid[], p_request_hashes bytea[], p_workflow_ids uuid[],
    p_input_tokens_max bigint[], p_output_tokens_max bigint[], p_output_tokens_min bigint[], p_requests_max bigint[],
    p_hold_durations interval[], p_on_expiry text[], p_labels jsonb[],
    p_candidate_items integer[], p_candidate_models text[],
    p_with_budgets boolean
)
RETURNS TABLE (item integer, outcome text, hold jsonb, budgets jsonb)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_replay authorizations;
    v_decision record;
    v_models text[];
    v_authorization_id uuid;
    v_outcomes text[] := '{}';
    v_authorization_ids uuid[] := '{}';
    v_denials jsonb[] := '{}';
    v_denied jsonb;
    v_moved integer;
BEGIN
    PERFORM lock_organization(p_organization_id);
    v_now := governor_now();

    FOR i IN 1 .. cardinality(p_request_ids) LOOP
        v_authorization_id := NULL;
        v_denied := NULL;

        SELECT * INTO v_replay FROM authorizations AS a
        WHERE a.organization_id = p_organization_id AND a.request_id = p_request_ids[i];
        IF FOUND THEN
            v_authorization_id := v_replay.authorization_id;
            v_outcomes[i] := CASE
                WHEN v_replay.request_hash <> p_request_hashes[i] THEN 'REQUEST_ID_REUSED'
                WHEN state_at(v_replay.state, v_replay.expire_time, v_now) = 'PENDING' THEN 'REPLAYED'
                ELSE 'AUTHORIZATION_NOT_PENDING'
            END;
        ELSE
            SELECT array_agg(c.model ORDER BY c.place) INTO v_models
            FROM unnest(p_candidate_items, p_candidate_models) WITH ORDINALITY AS c (item, model, place)
            WHERE c.item = i;

            v_decision := decide_authorization(
                p_organization_id, p_workflow_ids[i], p_labels[i], v_now, v_models,
                p_input_tokens_max[i], p_output_tokens_max[i], p_output_tokens_min[i], p_requests_max[i]);
            v_outcomes[i] := v_decision.outcome;

            IF v_decision.outcome <> 'GRANTED' THEN
                v_denied := jsonb_build_object(
                    'model', v_decision.model, 'held_nano_usd', v_decision.held_nano_usd,
                    'workflow_id', p_workflow_ids[i], 'labels', p_labels[i], 'time', v_now);
            ELSE
                -- From here on it must succeed.
                IF v_decision.lacks_account THEN
                    INSERT INTO budgets (organization_id, budget_key, scope, subject, period, period_start)
                    SELECT p_organization_id, b.budget_key, b.scope, b.subject, b.period, b.period_start
                    FROM budgets_that_apply(p_organization_id, p_workflow_ids[i], p_labels[i], month_of(v_now)) AS b
                    WHERE NOT b.has_account;
                END IF;

                -- The guard. The decision saw the same figures under the same lock; this is what makes it binding.
                UPDATE budgets AS b SET held_nano_usd = b.held_nano_usd + v_decision.held_nano_usd
                FROM unnest(v_decision.budget_keys, v_decision.limits_nano_usd) AS k (budget_key, limit_nano_usd)
                WHERE b.organization_id = p_organization_id AND b.budget_key = k.budget_key
                    AND (k.limit_nano_usd IS NULL
                        OR b.spent_nano_usd + b.held_nano_usd + v_decision.held_nano_usd <= k.limit_nano_usd);
                GET DIAGNOSTICS v_moved = ROW_COUNT;
                IF v_moved <> cardinality(v_decision.budget_keys) THEN
                    RAISE EXCEPTION 'a hold of organization % passed its decision and failed its guard',
                        p_organization_id;
                END IF;

                INSERT INTO authorizations (
                    organization_id, request_id, request_hash, state, workflow_id, requested_model, model, price_id,
                    input_tokens_max, output_tokens_max, requests_max, held_nano_usd, downgrade_reason, on_expiry,
                    labels, period_start, budget_keys, create_time, expire_time
                ) VALUES (
                    p_organization_id, p_request_ids[i], p_request_hashes[i], 'PENDING', p_workflow_ids[i],
                    v_models[1], v_decision.model, v_decision.price_id,
                    p_input_tokens_max[i], v_decision.output_tokens_max, p_requests_max[i], v_decision.held_nano_usd,
                    v_decision.downgrade_reason, p_on_expiry[i], p_labels[i], month_of(v_now), v_decision.budget_keys,
                    v_now, v_now + p_hold_durations[i]
                ) RETURNING authorization_id INTO v_authorization_id;
            END IF;
        END IF;
        v_authorization_ids[i] := v_authorization_id;
        v_denials[i] := v_denied;
    END LOOP;

    RETURN QUERY
    SELECT
        done.item::integer, done.outcome,
        coalesce(to_jsonb(a), done.denied),
        CASE
            WHEN done.outcome = 'BUDGET_EXCEEDED' THEN (
                SELECT jsonb_agg(to_jsonb(b)) FROM budgets_that_apply(
                    p_organization_id, (done.denied ->> 'workflow_id')::uuid, done.denied -> 'labels',
                    month_of(v_now)) AS b)
            WHEN p_with_budgets THEN budgets_as_json(p_organization_id, a.budget_keys)
        END
    FROM unnest(v_outcomes, v_authorization_ids, v_denials) WITH ORDINALITY
        AS done (outcome, authorization_id, denied, item)
    LEFT JOIN authorizations_with_price AS a
        ON a.organization_id = p_organization_id AND a.authorization_id = done.authorization_id
    ORDER BY done.item;
END
$$;

-- The answer of CheckBudget: the decision on one consistent snapshot, and the budgets it was made on.
CREATE FUNCTION check_budget(
    p_organization_id uuid, p_workflow_id uuid, p_labels jsonb, p_models text[],
    p_input_tokens_max bigint, p_output_tokens_max bigint, p_output_tokens_min bigint, p_requests_max bigint
)
RETURNS TABLE (outcome text, model text, output_tokens_max bigint, held_nano_usd bigint, budgets jsonb)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := governor_now();
BEGIN
    RETURN QUERY
    SELECT
        d.outcome, d.model, d.output_tokens_max, d.held_nano_usd,
        (SELECT jsonb_agg(to_jsonb(b))
            FROM budgets_that_apply(p_organization_id, p_workflow_id, p_labels, month_of(v_now)) AS b)
    FROM decide_authorization(
        p_organization_id, p_workflow_id, p_labels, v_now, p_models,
        p_input_tokens_max, p_output_tokens_max, p_output_tokens_min, p_requests_max) AS d;
END
$$;
