-- Authorize: which model is granted, and the hold for it.

-- What would be granted now, without changing anything. Authorize calls it under the organization's lock, CheckBudget
-- without. Sets `outcome` to
--   GRANTED             and the model, its price, the output tokens and the hold;
--   BUDGET_EXCEEDED     and the model and hold of the cheapest candidate;
--   FROZEN, MODEL_NOT_ALLOWED, MODEL_NOT_PRICED   and the first candidate, where none is eligible;
--   FROZEN, ORGANIZATION_UNKNOWN          and no model, where nothing is authorized for the organization;
-- and always the budgets that apply, as they stand before the hold.
-- p_models are canonical, distinct, in order of preference. p_output_tokens_min NULL: in full or not at all.
CREATE FUNCTION decide_authorization(
    p_organization_id uuid, p_terms organization_terms, p_now timestamptz,
    p_workflow_id uuid, p_labels jsonb, p_models text[],
    p_input_tokens_max bigint, p_output_tokens_max bigint, p_output_tokens_min bigint, p_requests_max bigint,
    OUT outcome text, OUT model text, OUT price_id uuid, OUT output_tokens_max bigint, OUT held_nano_usd bigint,
    OUT downgrade_reason text,
    OUT budget_keys text[], OUT limits_nano_usd bigint[], OUT spent_nano_usd bigint[], OUT held_before_nano_usd bigint[],
    OUT unguarded_nano_usd bigint[], OUT lacks_account boolean
)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    -- No single call may cost more than the ledger takes in one entry.
    v_available_nano_usd numeric := 1000000000000000;
    v_past_threshold boolean := false;
    v_models text[];
    v_price prices;
    v_hold_nano_usd numeric;
    -- The place of a candidate in the caller's order, and the first of those that are eligible.
    v_place integer;
    v_first_place integer;
    -- The first candidate that fits with fewer output tokens, and the cheapest of all.
    v_reduced_model text;
    v_reduced_price prices;
    v_reduced_tokens bigint;
    v_cheapest_model text;
    v_cheapest_hold_nano_usd numeric;
BEGIN
    budget_keys := budgets_that_apply(p_organization_id, p_terms, p_workflow_id, p_labels, month_of(p_now));
    SELECT f.limits_nano_usd, f.spent_nano_usd, f.held_nano_usd, f.unguarded_nano_usd, f.lacks_account
    INTO limits_nano_usd, spent_nano_usd, held_before_nano_usd, unguarded_nano_usd, lacks_account
    FROM budget_figures(p_organization_id, p_terms, budget_keys) AS f;
    IF p_terms.refusal IS NOT NULL THEN
        outcome := p_terms.refusal;
        model := '';
        RETURN;
    END IF;

    FOR i IN 1 .. cardinality(budget_keys) LOOP
        v_available_nano_usd := least(v_available_nano_usd,
            limits_nano_usd[i]::numeric - spent_nano_usd[i] - held_before_nano_usd[i]);
        IF starts_with(budget_keys[i], 'month/') THEN
            v_past_threshold := coalesce((spent_nano_usd[i]::numeric + held_before_nano_usd[i]) * 100
                > limits_nano_usd[i]::numeric * p_terms.downgrade_threshold_percent, false);
        END IF;
    END LOOP;

    v_models := p_models;
    IF v_past_threshold THEN
        SELECT array_agg(c.model ORDER BY hold_nano_usd(
            found.p, p_input_tokens_max, p_output_tokens_max, p_requests_max), c.place) INTO v_models
        FROM unnest(p_models) WITH ORDINALITY AS c (model, place)
        -- OFFSET 0: the price is looked up once, not wherever it is mentioned.
        CROSS JOIN LATERAL (SELECT price_at(c.model, p_now) OFFSET 0) AS found (p);
    END IF;

    FOR i IN 1 .. cardinality(v_models) LOOP
        CONTINUE WHEN v_models[i] = ANY (p_terms.frozen_models)
            OR NOT (p_terms.allowed_models = '{}' OR v_models[i] = ANY (p_terms.allowed_models));
        SELECT * INTO v_price FROM prices AS p
        WHERE p.model = v_models[i] AND p.effective_time <= p_now
        ORDER BY p.effective_time DESC LIMIT 1;
        CONTINUE WHEN NOT FOUND;
        v_hold_nano_usd := hold_nano_usd(v_price, p_input_tokens_max, p_output_tokens_max, p_requests_max);

        v_place := array_position(p_models, v_models[i]);
        IF v_first_place IS NULL OR v_place < v_first_place THEN
            v_first_place := v_place;
        END IF;
        IF outcome IS NULL AND v_hold_nano_usd <= v_available_nano_usd THEN
            outcome := 'GRANTED';
            model := v_models[i];
            price_id := v_price.price_id;
            output_tokens_max := p_output_tokens_max;
            held_nano_usd := v_hold_nano_usd;
        END IF;
        -- Of those that are left, only what comes before it in the caller's order makes this one a downgrade.
        EXIT WHEN outcome IS NOT NULL AND NOT v_past_threshold;
        IF v_cheapest_model IS NULL OR v_hold_nano_usd < v_cheapest_hold_nano_usd THEN
            v_cheapest_model := v_models[i];
            v_cheapest_hold_nano_usd := v_hold_nano_usd;
        END IF;
        IF v_reduced_model IS NULL AND p_output_tokens_min IS NOT NULL THEN
            v_reduced_tokens := output_tokens_that_fit(
                v_price, v_available_nano_usd, p_input_tokens_max, p_requests_max, p_output_tokens_max);
            IF v_reduced_tokens >= p_output_tokens_min THEN
                v_reduced_model := v_models[i];
                v_reduced_price := v_price;
            END IF;
        END IF;
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
        outcome := CASE
            WHEN model = ANY (p_terms.frozen_models) THEN 'FROZEN'
            WHEN p_terms.allowed_models = '{}' OR model = ANY (p_terms.allowed_models) THEN 'MODEL_NOT_PRICED'
            ELSE 'MODEL_NOT_ALLOWED'
        END;
    END IF;

    IF outcome = 'GRANTED' AND model <> p_models[v_first_place] THEN
        downgrade_reason := CASE WHEN v_past_threshold
            THEN format('the month is past %s%% of its quota: the cheapest candidate comes first',
                p_terms.downgrade_threshold_percent)
            ELSE format('%s does not fit the budgets', p_models[v_first_place]) END;
    END IF;
END
$$;

-- Places holds for one organization: item i of the arrays is one request, its candidates in p_candidates[i], a line
-- each. Items are decided in order, each seeing the holds of those before it. Answers one row an item, with its
-- outcome:
--   GRANTED, REPLAYED            the hold, and its budgets as they stand now;
--   AUTHORIZATION_NOT_PENDING    a replay of a hold that has ended: its id, state and entry;
--   REQUEST_ID_REUSED            the id was used with other content;
--   BUDGET_EXCEEDED              the cheapest candidate's model and hold, and the budgets;
--   FROZEN, MODEL_NOT_ALLOWED, MODEL_NOT_PRICED   the first candidate;
--   FROZEN, ORGANIZATION_UNKNOWN          no model: nothing is authorized for the organization.
-- A hold that stands is replayed whatever has been frozen since.
CREATE FUNCTION authorize_holds(
    p_organization_id uuid,
    p_authorization_ids uuid[], p_request_ids uuid[], p_request_hashes bytea[], p_workflow_ids uuid[],
    p_input_tokens_max bigint[], p_output_tokens_max bigint[], p_output_tokens_min bigint[], p_requests_max bigint[],
    p_hold_durations interval[], p_on_expiry text[], p_labels jsonb[],
    p_candidates text[]
)
RETURNS TABLE (
    item integer, outcome text,
    authorization_id uuid, state text, entry_id uuid, model text, price_id uuid, output_tokens_max bigint,
    held_nano_usd bigint, downgrade_reason text, month text, create_time timestamptz, expire_time timestamptz,
    budget_keys text[], limits_nano_usd bigint[], budgets_spent_nano_usd bigint[], budgets_held_nano_usd bigint[],
    budgets_unguarded_nano_usd bigint[]
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_is_locked boolean;
    v_now timestamptz;
    v_terms organization_terms;
    v_known authorizations;
    v_decision record;
    v_figures record;
    v_account budgets;
    v_models text[];
BEGIN
    v_is_locked := lock_organization(p_organization_id, NOT denies_unknown_organizations()) IS NOT NULL;
    v_now := governor_now();
    v_terms := terms_of(p_organization_id);
    IF NOT v_is_locked THEN
        -- Also if it has been set up since: without the lock nothing may be decided.
        v_terms.refusal := 'ORGANIZATION_UNKNOWN';
    END IF;

    FOR i IN 1 .. cardinality(p_request_ids) LOOP
        item := i;
        SELECT * INTO v_known FROM authorizations AS a
        WHERE a.organization_id = p_organization_id AND a.authorization_id = p_authorization_ids[i];
        IF FOUND THEN
            authorization_id := v_known.authorization_id;
            state := state_at(v_known.state, v_known.expire_time, v_now);
            entry_id := v_known.entry_id;
            outcome := CASE
                WHEN v_known.request_hash <> p_request_hashes[i] THEN 'REQUEST_ID_REUSED'
                WHEN state = 'PENDING' THEN 'REPLAYED'
                ELSE 'AUTHORIZATION_NOT_PENDING'
            END;
            model := v_known.model;
            price_id := v_known.price_id;
            output_tokens_max := v_known.output_tokens_max;
            held_nano_usd := v_known.held_nano_usd;
            downgrade_reason := v_known.downgrade_reason;
            month := v_known.month;
            create_time := v_known.create_time;
            expire_time := v_known.expire_time;
            budget_keys := v_known.budget_keys;
            v_figures := budget_figures(p_organization_id, v_terms, budget_keys);
            limits_nano_usd := v_figures.limits_nano_usd;
            budgets_spent_nano_usd := v_figures.spent_nano_usd;
            budgets_held_nano_usd := v_figures.held_nano_usd;
            budgets_unguarded_nano_usd := v_figures.unguarded_nano_usd;
            RETURN NEXT;
            CONTINUE;
        END IF;

        v_models := string_to_array(p_candidates[i], E'\n');
        v_decision := decide_authorization(
            p_organization_id, v_terms, v_now, p_workflow_ids[i], p_labels[i], v_models,
            p_input_tokens_max[i], p_output_tokens_max[i], p_output_tokens_min[i], p_requests_max[i]);
        outcome := v_decision.outcome;
        authorization_id := NULL;
        state := NULL;
        entry_id := NULL;
        model := v_decision.model;
        price_id := v_decision.price_id;
        output_tokens_max := v_decision.output_tokens_max;
        held_nano_usd := v_decision.held_nano_usd;
        downgrade_reason := v_decision.downgrade_reason;
        month := month_of(v_now);
        create_time := v_now;
        expire_time := v_now + p_hold_durations[i];
        budget_keys := v_decision.budget_keys;
        limits_nano_usd := v_decision.limits_nano_usd;
        budgets_spent_nano_usd := v_decision.spent_nano_usd;
        budgets_held_nano_usd := v_decision.held_before_nano_usd;
        budgets_unguarded_nano_usd := v_decision.unguarded_nano_usd;

        IF outcome = 'GRANTED' THEN
            -- From here on it must succeed.
            state := 'PENDING';
            IF v_decision.lacks_account THEN
                INSERT INTO budgets (organization_id, budget_key)
                SELECT p_organization_id, k.budget_key FROM unnest(budget_keys) AS k (budget_key)
                ON CONFLICT DO NOTHING;
            END IF;

            -- The guard. The decision saw the same figures under the same lock; this is what makes it binding.
            FOR b IN 1 .. cardinality(budget_keys) LOOP
                UPDATE budgets AS account
                SET held_nano_usd = account.held_nano_usd + v_decision.held_nano_usd
                WHERE account.organization_id = p_organization_id AND account.budget_key = budget_keys[b]
                    AND (limits_nano_usd[b] IS NULL OR limits_nano_usd[b]
                        >= account.spent_nano_usd + account.held_nano_usd + v_decision.held_nano_usd)
                RETURNING account.* INTO v_account;
                IF NOT FOUND THEN
                    RAISE EXCEPTION 'a hold of organization % passed its decision and failed its guard',
                        p_organization_id;
                END IF;
                budgets_held_nano_usd[b] := v_account.held_nano_usd;
            END LOOP;

            authorization_id := p_authorization_ids[i];
            INSERT INTO authorizations (
                organization_id, authorization_id, request_id, request_hash, state, workflow_id, requested_model, model, price_id,
                input_tokens_max, output_tokens_max, requests_max, held_nano_usd, downgrade_reason, on_expiry,
                labels, month, budget_keys, create_time, expire_time
            ) VALUES (
                p_organization_id, authorization_id, p_request_ids[i], p_request_hashes[i], 'PENDING', p_workflow_ids[i],
                v_models[1], model, price_id,
                p_input_tokens_max[i], output_tokens_max, p_requests_max[i], held_nano_usd,
                downgrade_reason, p_on_expiry[i], p_labels[i], month, budget_keys, create_time, expire_time
            );
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- The answer of CheckBudget: the decision on one consistent snapshot, and the budgets it was made on.
CREATE FUNCTION check_budget(
    p_organization_id uuid, p_workflow_id uuid, p_labels jsonb, p_models text[],
    p_input_tokens_max bigint, p_output_tokens_max bigint, p_output_tokens_min bigint, p_requests_max bigint
)
RETURNS TABLE (
    outcome text, model text, output_tokens_max bigint, held_nano_usd bigint,
    budget_keys text[], limits_nano_usd bigint[], budgets_spent_nano_usd bigint[], budgets_held_nano_usd bigint[],
    budgets_unguarded_nano_usd bigint[]
)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT
        d.outcome, d.model, d.output_tokens_max, d.held_nano_usd,
        d.budget_keys, d.limits_nano_usd, d.spent_nano_usd, d.held_before_nano_usd, d.unguarded_nano_usd
    FROM decide_authorization(
        p_organization_id, terms_of(p_organization_id), governor_now(), p_workflow_id, p_labels, p_models,
        p_input_tokens_max, p_output_tokens_max, p_output_tokens_min, p_requests_max) AS d;
END;
