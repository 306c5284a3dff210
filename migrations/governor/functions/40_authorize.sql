-- Authorize: grants a model, and places the hold for it.
--
--   decide_authorization         decides one request, and changes nothing
--   check_budget                 the answer of CheckBudget: the decision alone
--   authorize_set_based          decides and writes a batch of several organizations as one set
--   authorize_sequential         decides the requests of one organization one after the other
--   authorize_sequential_batch   does the same for several organizations

-- Decides what would be granted now. Authorize calls it under the organization's lock, CheckBudget without that lock.
-- Sets `outcome` to
--   GRANTED              with the model, its price, the output tokens and the hold;
--   BUDGET_EXCEEDED      with the model and the hold of the cheapest candidate;
--   VALUE_TOO_LARGE      the same, if no limit denies the hold but it exceeds the bound of an entry or of a budget;
--   FROZEN, MODEL_NOT_ALLOWED, MODEL_NOT_PRICED   with the first candidate, if none is eligible;
--   FROZEN, ORGANIZATION_UNKNOWN                  without a model, if nothing is authorized for the organization;
-- and always returns the budgets that apply, with their figures before the hold.
-- p_models are candidates in order of preference, each as its possible names (21_model_names.sql).
-- p_output_tokens_min NULL: all output tokens or none. requested_model is the first candidate.
--
-- Steps:
--   1. The budgets that apply, their limits and figures. If the whole organization is refused, the steps end here.
--   2. What is available in the tightest budget and within the bounds, and whether the month is past its downgrade
--      threshold.
--   3. The order of the candidates: the caller's or, past the threshold, the cheapest first.
--   4. Each candidate in that order: eligible? Does it fit in full, does it fit with fewer output tokens, is it the
--      cheapest so far?
--   5. The outcome: the first that fits in full, else the first that fits with fewer output tokens, else the denial.
--   6. The reason, where the granted model is not the first that was eligible.
CREATE OR REPLACE FUNCTION decide_authorization(
    p_organization_id uuid, p_terms organization_terms, p_now timestamptz,
    p_workflow_id uuid, p_labels jsonb, p_models text[],
    p_input_tokens_max bigint, p_output_tokens_max bigint, p_output_tokens_min bigint, p_requests_max bigint,
    p_cache_write_tokens_max bigint, p_cache_write_1h_tokens_max bigint, p_other_units_max jsonb, p_price_context jsonb,
    OUT outcome text, OUT requested_model text, OUT model text, OUT price_id uuid, OUT output_tokens_max bigint, OUT held_nano_usd bigint,
    OUT downgrade_reason text,
    OUT budget_keys text[], OUT limits_nano_usd bigint[], OUT spent_nano_usd bigint[], OUT held_before_nano_usd bigint[],
    OUT unguarded_nano_usd bigint[], OUT lacks_account boolean
)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    -- The amount that the tightest limit leaves (NULL: there is no limit), and the amount within the bounds, too.
    v_within_limits_nano_usd numeric;
    v_available_nano_usd numeric := largest_entry_nano_usd();
    v_past_threshold boolean := false;
    -- The candidates, each once, and in the order in which they are tried.
    v_candidates text[] := '{}';
    v_models text[];
    v_model text;
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
    -- 1.
    budget_keys := budget_keys_for(
        p_organization_id, p_terms.has_limits, p_workflow_id, p_labels, periods_at(p_now));
    SELECT f.limits_nano_usd, f.spent_nano_usd, f.held_nano_usd, f.unguarded_nano_usd, f.lacks_account
    INTO limits_nano_usd, spent_nano_usd, held_before_nano_usd, unguarded_nano_usd, lacks_account
    FROM budget_figures(p_organization_id, p_terms, budget_keys) AS f;
    IF p_terms.refusal IS NOT NULL THEN
        outcome := p_terms.refusal;
        model := '';
        RETURN;
    END IF;

    -- 2.
    FOR i IN 1 .. cardinality(budget_keys) LOOP
        v_within_limits_nano_usd := least(v_within_limits_nano_usd,
            limits_nano_usd[i]::numeric - spent_nano_usd[i] - held_before_nano_usd[i]);
        v_available_nano_usd := least(v_available_nano_usd, v_within_limits_nano_usd,
            largest_total_nano_usd()::numeric - spent_nano_usd[i] - held_before_nano_usd[i]);
        IF starts_with(budget_keys[i], 'month/') THEN
            v_past_threshold := coalesce((spent_nano_usd[i]::numeric + held_before_nano_usd[i]) * 100
                > limits_nano_usd[i]::numeric * p_terms.downgrade_threshold_percent, false);
        END IF;
    END LOOP;

    -- 3.
    FOREACH v_model IN ARRAY p_models LOOP
        v_model := resolved_model(v_model, p_now);
        IF v_model <> ALL (v_candidates) THEN
            v_candidates := v_candidates || v_model;
        END IF;
    END LOOP;
    requested_model := v_candidates[1];
    v_models := v_candidates;
    IF v_past_threshold THEN
        SELECT array_agg(c.model ORDER BY hold_nano_usd(
            found.p, p_input_tokens_max, p_output_tokens_max, p_requests_max,
            p_cache_write_tokens_max, p_cache_write_1h_tokens_max, p_other_units_max), c.place) INTO v_models
        FROM unnest(v_candidates) WITH ORDINALITY AS c (model, place)
        -- OFFSET 0: the price is looked up once, not once for each mention.
        CROSS JOIN LATERAL (SELECT price_at(c.model, p_price_context, p_now) OFFSET 0) AS found (p);
    END IF;

    -- 4.
    FOR i IN 1 .. cardinality(v_models) LOOP
        CONTINUE WHEN v_models[i] = ANY (p_terms.frozen_models)
            OR NOT (p_terms.allowed_models = '{}' OR v_models[i] = ANY (p_terms.allowed_models));
        v_price := price_at(v_models[i], p_price_context, p_now);
        CONTINUE WHEN v_price.price_id IS NULL;
        v_hold_nano_usd := hold_nano_usd(
            v_price, p_input_tokens_max, p_output_tokens_max, p_requests_max,
            p_cache_write_tokens_max, p_cache_write_1h_tokens_max, p_other_units_max);

        v_place := array_position(v_candidates, v_models[i]);
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
        -- Past the threshold the loop goes on, to find out whether this model is a downgrade: a later candidate may
        -- come before it in the caller's order.
        EXIT WHEN outcome IS NOT NULL AND NOT v_past_threshold;
        IF v_cheapest_model IS NULL OR v_hold_nano_usd < v_cheapest_hold_nano_usd THEN
            v_cheapest_model := v_models[i];
            v_cheapest_hold_nano_usd := v_hold_nano_usd;
        END IF;
        IF v_reduced_model IS NULL AND p_output_tokens_min IS NOT NULL THEN
            v_reduced_tokens := output_tokens_that_fit(
                v_price, v_available_nano_usd, p_input_tokens_max, p_requests_max, p_output_tokens_max,
                p_cache_write_tokens_max, p_cache_write_1h_tokens_max, p_other_units_max);
            IF v_reduced_tokens >= p_output_tokens_min THEN
                v_reduced_model := v_models[i];
                v_reduced_price := v_price;
            END IF;
        END IF;
    END LOOP;

    -- 5.
    IF outcome IS NULL AND v_reduced_model IS NOT NULL THEN
        outcome := 'GRANTED';
        model := v_reduced_model;
        price_id := v_reduced_price.price_id;
        output_tokens_max := v_reduced_tokens;
        held_nano_usd := hold_nano_usd(
            v_reduced_price, p_input_tokens_max, v_reduced_tokens, p_requests_max,
            p_cache_write_tokens_max, p_cache_write_1h_tokens_max, p_other_units_max);
    ELSIF outcome IS NULL AND v_cheapest_model IS NOT NULL THEN
        outcome := CASE WHEN v_cheapest_hold_nano_usd > v_within_limits_nano_usd THEN 'BUDGET_EXCEEDED'
            ELSE 'VALUE_TOO_LARGE' END;
        model := v_cheapest_model;
        output_tokens_max := p_output_tokens_max;
        held_nano_usd := v_cheapest_hold_nano_usd;
    ELSIF outcome IS NULL THEN
        model := v_candidates[1];
        outcome := CASE
            WHEN model = ANY (p_terms.frozen_models) THEN 'FROZEN'
            WHEN p_terms.allowed_models = '{}' OR model = ANY (p_terms.allowed_models) THEN 'MODEL_NOT_PRICED'
            ELSE 'MODEL_NOT_ALLOWED'
        END;
    END IF;

    -- 6.
    IF outcome = 'GRANTED' AND model <> v_candidates[v_first_place] THEN
        downgrade_reason := CASE WHEN v_past_threshold
            THEN format('the month is past %s%% of its quota: the cheapest candidate comes first',
                p_terms.downgrade_threshold_percent)
            ELSE format('%s does not fit the budgets', v_candidates[v_first_place]) END;
    END IF;
END
$$;

-- The answer of CheckBudget: the decision, and the budgets that it is based on, from one consistent snapshot.
CREATE OR REPLACE FUNCTION check_budget(
    p_organization_id uuid, p_workflow_id uuid, p_labels jsonb, p_models text[],
    p_input_tokens_max bigint, p_output_tokens_max bigint, p_output_tokens_min bigint, p_requests_max bigint,
    p_cache_write_tokens_max bigint, p_cache_write_1h_tokens_max bigint, p_other_units_max jsonb, p_price_context jsonb,
    p_denies_unknown boolean
)
RETURNS TABLE (
    outcome text, model text, output_tokens_max bigint, held_nano_usd bigint,
    budget_keys text[], limits_nano_usd bigint[], budgets_spent_nano_usd bigint[], budgets_held_nano_usd bigint[],
    budgets_unguarded_nano_usd bigint[]
)
LANGUAGE sql STABLE AS $$
    SELECT
        d.outcome, d.model, d.output_tokens_max, d.held_nano_usd,
        d.budget_keys, d.limits_nano_usd, d.spent_nano_usd, d.held_before_nano_usd, d.unguarded_nano_usd
    FROM decide_authorization(
        p_organization_id, terms_of(p_organization_id, p_denies_unknown), governor_now(), p_workflow_id, p_labels,
        p_models, p_input_tokens_max, p_output_tokens_max, p_output_tokens_min, p_requests_max,
        p_cache_write_tokens_max, p_cache_write_1h_tokens_max, p_other_units_max, p_price_context) AS d
$$;

-- Decides a batch as a set and writes it as a set. An organization is part of the set if each of its requests in the
-- batch can be granted its first candidate in full: then all of them fit together, and their order does not matter. The
-- requests of all other organizations are left out, and so are those that select a variant of a price;
-- authorize_sequential decides them.
--
-- Item i of the arrays is one request, of any organization. An item's other units and price context are NULL where they
-- are empty. p_candidates[i] has its candidates, one on each line, each as
-- its possible names (21_model_names.sql); only the first is used. The function returns a row for each budget of each hold that was placed, with the budget's figures
-- after that hold. An item that was left out has no row and has changed nothing.
--
-- It waits for each lock at most p_lock_timeout_milliseconds. With 0, it also leaves out an organization that another
-- transaction has locked: each of its items has a row in which every column but the item is NULL.
--
-- The statement, by its CTEs:
--   asked      each item with its organization's terms, its hold, its budgets, and whether it may be granted at all
--   demanded   a line for each budget of each item: the budget, its limit, and the running sum of its held amount
--   decided    the same, with the decision for the whole organization
--   demands    the amount that all granted items together add to each budget
--   opened     inserts the budgets that have no row yet
--   moved      adds to the existing budgets, guarded by their limits
--   placed     writes the holds
CREATE OR REPLACE FUNCTION authorize_set_based(
    p_organization_ids uuid[],
    p_authorization_ids uuid[], p_request_ids uuid[], p_request_hashes bytea[], p_workflow_ids uuid[],
    p_input_tokens_max bigint[], p_output_tokens_max bigint[], p_requests_max bigint[],
    p_cache_write_tokens_max bigint[], p_cache_write_1h_tokens_max bigint[], p_other_units_max jsonb[],
    p_price_contexts jsonb[],
    p_hold_durations interval[], p_on_expiry text[], p_labels jsonb[],
    p_candidates text[],
    p_denies_unknown boolean, p_lock_timeout_milliseconds integer
)
RETURNS TABLE (
    item integer, model text, price_id uuid, held_nano_usd bigint, month text, create_time timestamptz,
    budget_key text, limit_nano_usd bigint, budget_spent_nano_usd bigint, budget_held_nano_usd bigint,
    budget_unguarded_nano_usd bigint
)
LANGUAGE plpgsql
-- lock_organizations changes it; this SET restores it when the function ends.
SET lock_timeout = '20ms'
-- Every table is read by its whole key, whatever its size was when a session made its plan. For the same reason
-- look-ups have OFFSET 0: the planner then neither joins them by a part of the key nor hashes them as a whole.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    v_locked uuid[];
    v_now timestamptz;
    v_month text;
    v_periods text[];
    v_has_aliases boolean;
BEGIN
    -- The one lock order: organizations, sorted by id. Requests of an organization that is inserted after this are left
    -- out, since its row is not locked.
    v_locked := lock_organizations(p_organization_ids, p_lock_timeout_milliseconds);
    v_now := governor_now();
    v_month := month_of(v_now);
    v_periods := periods_at(v_now);
    v_has_aliases := EXISTS (SELECT FROM model_aliases);

    IF p_lock_timeout_milliseconds = 0 THEN
        RETURN QUERY
        SELECT sent.item::integer, NULL::text, NULL::uuid, NULL::bigint, NULL::text, NULL::timestamptz,
            NULL::text, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint
        FROM unnest(p_organization_ids) WITH ORDINALITY AS sent (organization_id, item)
        WHERE is_locked_by_others(sent.organization_id, v_locked);
    END IF;

    RETURN QUERY
    WITH asked AS (
        SELECT
            a.item::integer AS item, a.organization_id, a.model, p.price_id,
            hold_nano_usd(
                p, a.input_tokens_max, a.output_tokens_max, a.requests_max,
                a.cache_write_tokens_max, a.cache_write_1h_tokens_max, coalesce(a.other_units_max, '{}')) AS hold_nano_usd,
            budget_keys_for(a.organization_id, limited.is_so, a.workflow_id, a.labels, v_periods) AS budget_keys,
            limited.is_so AS has_limits,
            coalesce(o.monthly_quota_nano_usd, t.monthly_quota_nano_usd) AS monthly_quota_nano_usd,
            coalesce(o.workflow_limit_nano_usd, t.workflow_limit_nano_usd) AS workflow_limit_nano_usd,
            t.downgrade_threshold_percent,
            (o.is_set_up OR NOT p_denies_unknown)
                AND a.price_context IS NULL
                AND (t.allowed_models = '{}' OR a.model = ANY (t.allowed_models))
                AND NOT EXISTS (
                    SELECT FROM freezes AS f
                    WHERE f.organization_id IN (a.organization_id, every_organization()) AND f.model IN ('', a.model)
                    OFFSET 0
                ) AS is_allowed,
            -- Neither an earlier item nor an earlier call has its id.
            array_position(p_authorization_ids, a.authorization_id) = a.item
                AND NOT EXISTS (
                    SELECT FROM authorizations AS known
                    WHERE known.organization_id = a.organization_id AND known.authorization_id = a.authorization_id
                    OFFSET 0
                ) AS is_new
        FROM (
            SELECT sent.*, CASE
                -- Most ids are canonical names already: then nothing has to be resolved.
                WHEN NOT v_has_aliases AND EXISTS (
                    SELECT FROM prices AS named
                    WHERE named.model = first.name AND named.price_context = '{}' AND named.effective_time <= v_now
                ) THEN first.name
                ELSE resolved_model(first.names, v_now)
            END AS model
            FROM unnest(
                p_organization_ids, p_authorization_ids, p_workflow_ids,
                p_input_tokens_max, p_output_tokens_max, p_requests_max,
                p_cache_write_tokens_max, p_cache_write_1h_tokens_max, p_other_units_max, p_price_contexts,
                p_labels, p_candidates
            ) WITH ORDINALITY AS sent (
                organization_id, authorization_id, workflow_id,
                input_tokens_max, output_tokens_max, requests_max,
                cache_write_tokens_max, cache_write_1h_tokens_max, other_units_max, price_context,
                labels, candidates, item
            )
            CROSS JOIN LATERAL (
                SELECT split_part(sent.candidates, E'\n', 1) AS names,
                    split_part(split_part(sent.candidates, E'\n', 1), E'\t', 1) AS name
            ) AS first
            OFFSET 0
        ) AS a
        JOIN organizations AS o ON o.organization_id = a.organization_id
        JOIN tiers AS t ON t.tier = o.tier
        CROSS JOIN LATERAL (
            SELECT EXISTS (SELECT FROM budget_limits AS l WHERE l.organization_id = a.organization_id) AS is_so
            OFFSET 0
        ) AS limited
        LEFT JOIN LATERAL (
            SELECT * FROM prices AS version
            WHERE version.model = a.model AND version.price_context = '{}' AND version.effective_time <= v_now
                AND is_at_this_hour(version.daily_start, version.daily_end, v_now)
            ORDER BY version.effective_time DESC, version.revision DESC, version.daily_start LIMIT 1
        ) AS p ON true
        WHERE a.organization_id = ANY (v_locked)
        OFFSET 0
    ),
    -- held_nano_usd is the held amount of the budget after this item, if every item up to this one is granted.
    demanded AS (
        SELECT
            a.item, a.organization_id, a.model, a.price_id, a.hold_nano_usd, a.budget_keys,
            a.downgrade_threshold_percent,
            a.is_allowed AND a.is_new AS is_eligible,
            k.budget_key, k.place, l.limit_nano_usd, b.budget_key IS NULL AS lacks_account,
            coalesce(b.spent_nano_usd, 0) AS spent_nano_usd,
            coalesce(b.unguarded_nano_usd, 0) AS unguarded_nano_usd,
            coalesce(b.held_nano_usd, 0) + sum(a.hold_nano_usd) OVER (
                PARTITION BY a.organization_id, k.budget_key ORDER BY a.item ROWS UNBOUNDED PRECEDING
            ) AS held_nano_usd
        FROM asked AS a
        CROSS JOIN LATERAL unnest(a.budget_keys) WITH ORDINALITY AS k (budget_key, place)
        CROSS JOIN LATERAL limit_in_force(
            a.organization_id, a.has_limits, a.monthly_quota_nano_usd, a.workflow_limit_nano_usd, k.budget_key) AS l
        LEFT JOIN LATERAL (
            SELECT * FROM budgets AS budget
            WHERE budget.organization_id = a.organization_id AND budget.budget_key = k.budget_key
            OFFSET 0
        ) AS b ON true
    ),
    decided AS MATERIALIZED (
        SELECT d.*, bool_and(
            -- Without a price there is no hold, and the comparison is NULL.
            d.is_eligible AND d.hold_nano_usd <= largest_entry_nano_usd() IS TRUE
            AND d.spent_nano_usd + d.held_nano_usd <= largest_total_nano_usd()
            AND d.spent_nano_usd + d.held_nano_usd <= d.limit_nano_usd IS NOT FALSE
            -- The threshold is compared with the figures before the hold. Past it, the cheapest candidate comes first.
            AND NOT (starts_with(d.budget_key, 'month/') AND coalesce(
                (d.spent_nano_usd + d.held_nano_usd - d.hold_nano_usd) * 100
                    > d.limit_nano_usd::numeric * d.downgrade_threshold_percent, false))
        ) OVER (PARTITION BY d.organization_id) AS is_granted
        FROM demanded AS d
    ),
    -- From here on it must succeed.
    demands AS (
        SELECT d.organization_id, d.budget_key, d.limit_nano_usd, d.lacks_account, sum(d.hold_nano_usd) AS nano_usd
        FROM decided AS d
        WHERE d.is_granted
        GROUP BY d.organization_id, d.budget_key, d.limit_nano_usd, d.lacks_account
    ),
    opened AS (
        INSERT INTO budgets (organization_id, budget_key, held_nano_usd)
        SELECT d.organization_id, d.budget_key, d.nano_usd FROM demands AS d WHERE d.lacks_account
    ),
    moved AS (
        -- The guard. The decision saw the same figures under the same lock; the guard makes it binding.
        UPDATE budgets AS b SET held_nano_usd = b.held_nano_usd + d.nano_usd
        FROM demands AS d
        WHERE b.organization_id = d.organization_id AND b.budget_key = d.budget_key
            AND (d.limit_nano_usd IS NULL OR d.limit_nano_usd >= b.spent_nano_usd + b.held_nano_usd + d.nano_usd)
        RETURNING true
    ),
    placed AS (
        INSERT INTO authorizations (
            organization_id, authorization_id, request_id, request_hash, state, workflow_id, requested_model, model,
            price_id, input_tokens_max, output_tokens_max, requests_max,
            cache_write_tokens_max, cache_write_1h_tokens_max, other_units_max, held_nano_usd, on_expiry,
            labels, month, budget_keys, create_time, expire_time
        )
        SELECT
            d.organization_id, p_authorization_ids[d.item], p_request_ids[d.item], p_request_hashes[d.item], 'PENDING',
            p_workflow_ids[d.item], d.model, d.model, d.price_id,
            p_input_tokens_max[d.item], p_output_tokens_max[d.item], p_requests_max[d.item],
            p_cache_write_tokens_max[d.item], p_cache_write_1h_tokens_max[d.item],
            coalesce(p_other_units_max[d.item], '{}'), d.hold_nano_usd,
            p_on_expiry[d.item], p_labels[d.item], v_month, d.budget_keys, v_now, v_now + p_hold_durations[d.item]
        FROM decided AS d
        WHERE d.is_granted AND d.place = 1
    )
    SELECT
        d.item, d.model, d.price_id, d.hold_nano_usd::bigint, v_month, v_now,
        d.budget_key, d.limit_nano_usd, d.spent_nano_usd, d.held_nano_usd::bigint, d.unguarded_nano_usd
    FROM decided AS d
    WHERE d.is_granted
        AND all_were_moved((SELECT count(*) FROM moved), (SELECT count(*) FROM demands WHERE NOT lacks_account))
    ORDER BY d.item, d.place;
END
$$;

-- Places holds for one organization. Item i of the arrays is one request, as in authorize_set_based; p_candidates[i] has its candidates, one on
-- each line, each as its possible names. Items are decided in order, and each one sees the holds of those before it. Returns one row for each item,
-- with its outcome:
--   GRANTED, REPLAYED            the hold, and the present figures of its budgets;
--   AUTHORIZATION_NOT_PENDING    a replay of a hold that has ended: its id, state and entry;
--   REQUEST_ID_REUSED            the id was used with other content;
--   BUDGET_EXCEEDED, VALUE_TOO_LARGE   the model and the hold of the cheapest candidate, and the budgets;
--   FROZEN, MODEL_NOT_ALLOWED, MODEL_NOT_PRICED   the first candidate;
--   FROZEN, ORGANIZATION_UNKNOWN                  no model: nothing is authorized for the organization.
-- A hold that is PENDING is replayed even if its model or its organization has been frozen since.
--
-- Steps: lock the organization and read its terms; then, for each item, answer a replay, or decide
-- (decide_authorization), move each budget, and write the hold.
CREATE OR REPLACE FUNCTION authorize_sequential(
    p_organization_id uuid,
    p_authorization_ids uuid[], p_request_ids uuid[], p_request_hashes bytea[], p_workflow_ids uuid[],
    p_input_tokens_max bigint[], p_output_tokens_max bigint[], p_output_tokens_min bigint[], p_requests_max bigint[],
    p_cache_write_tokens_max bigint[], p_cache_write_1h_tokens_max bigint[], p_other_units_max jsonb[],
    p_price_contexts jsonb[],
    p_hold_durations interval[], p_on_expiry text[], p_labels jsonb[],
    p_candidates text[],
    p_denies_unknown boolean, p_lock_timeout_milliseconds integer
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
BEGIN
    PERFORM set_config('lock_timeout', p_lock_timeout_milliseconds::text, true);
    v_is_locked := lock_organization(p_organization_id, NOT p_denies_unknown) IS NOT NULL;
    v_now := governor_now();
    v_terms := terms_of(p_organization_id, p_denies_unknown);
    IF NOT v_is_locked THEN
        -- This applies even if it has been set up since: without the lock nothing may be decided.
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
                -- The hash takes a model for its variants and dates, which may have prices of their own.
                WHEN v_known.request_hash <> p_request_hashes[i]
                    OR v_known.requested_model
                        <> resolved_model(split_part(p_candidates[i], E'\n', 1), v_known.create_time)
                THEN 'REQUEST_ID_REUSED'
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

        v_decision := decide_authorization(
            p_organization_id, v_terms, v_now, p_workflow_ids[i], p_labels[i], string_to_array(p_candidates[i], E'\n'),
            p_input_tokens_max[i], p_output_tokens_max[i], p_output_tokens_min[i], p_requests_max[i],
            p_cache_write_tokens_max[i], p_cache_write_1h_tokens_max[i],
            coalesce(p_other_units_max[i], '{}'), coalesce(p_price_contexts[i], '{}'));
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

            -- The guard. The decision saw the same figures under the same lock; the guard makes it binding.
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
                organization_id, authorization_id, request_id, request_hash, state, workflow_id,
                requested_model, model, price_id, price_context,
                input_tokens_max, output_tokens_max, requests_max,
                cache_write_tokens_max, cache_write_1h_tokens_max, other_units_max,
                held_nano_usd, downgrade_reason, on_expiry, labels, month, budget_keys, create_time, expire_time
            ) VALUES (
                p_organization_id, authorization_id, p_request_ids[i], p_request_hashes[i], 'PENDING', p_workflow_ids[i],
                v_decision.requested_model, model, price_id, coalesce(p_price_contexts[i], '{}'),
                p_input_tokens_max[i], output_tokens_max, p_requests_max[i],
                p_cache_write_tokens_max[i], p_cache_write_1h_tokens_max[i], coalesce(p_other_units_max[i], '{}'),
                held_nano_usd, downgrade_reason, p_on_expiry[i], p_labels[i], month, budget_keys, create_time, expire_time
            );
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- Places holds for several organizations in one transaction. Items are grouped by organization: those of
-- p_organization_ids[k] end at p_ends[k]. The organizations are distinct and sorted, so that two batches lock them in
-- the same order. p_lock_timeout_milliseconds is as in authorize_set_based, but with 0 the items of an organization
-- that another transaction has locked have the outcome LOCKED. If organizations are on different shards, the service
-- calls authorize_sequential instead.
CREATE OR REPLACE FUNCTION authorize_sequential_batch(
    p_organization_ids uuid[], p_ends integer[],
    p_authorization_ids uuid[], p_request_ids uuid[], p_request_hashes bytea[], p_workflow_ids uuid[],
    p_input_tokens_max bigint[], p_output_tokens_max bigint[], p_output_tokens_min bigint[], p_requests_max bigint[],
    p_cache_write_tokens_max bigint[], p_cache_write_1h_tokens_max bigint[], p_other_units_max jsonb[],
    p_price_contexts jsonb[],
    p_hold_durations interval[], p_on_expiry text[], p_labels jsonb[],
    p_candidates text[],
    p_denies_unknown boolean, p_lock_timeout_milliseconds integer
)
RETURNS TABLE (
    item integer, outcome text,
    authorization_id uuid, state text, entry_id uuid, model text, price_id uuid, output_tokens_max bigint,
    held_nano_usd bigint, downgrade_reason text, month text, create_time timestamptz, expire_time timestamptz,
    budget_keys text[], limits_nano_usd bigint[], budgets_spent_nano_usd bigint[], budgets_held_nano_usd bigint[],
    budgets_unguarded_nano_usd bigint[]
)
LANGUAGE plpgsql
-- lock_organizations changes it; this SET restores it when the function ends.
SET lock_timeout = '20ms'
AS $$
DECLARE
    v_locked uuid[];
    a integer := 1;
    z integer;
BEGIN
    v_locked := lock_organizations(p_organization_ids, p_lock_timeout_milliseconds);
    FOR k IN 1 .. cardinality(p_organization_ids) LOOP
        z := p_ends[k];
        IF p_lock_timeout_milliseconds = 0 AND is_locked_by_others(p_organization_ids[k], v_locked) THEN
            outcome := 'LOCKED';
            FOR i IN a .. z LOOP
                item := i;
                RETURN NEXT;
            END LOOP;
            a := z + 1;
            CONTINUE;
        END IF;
        RETURN QUERY SELECT * FROM authorize_sequential(
            p_organization_ids[k],
            p_authorization_ids[a:z], p_request_ids[a:z], p_request_hashes[a:z], p_workflow_ids[a:z],
            p_input_tokens_max[a:z], p_output_tokens_max[a:z], p_output_tokens_min[a:z], p_requests_max[a:z],
            p_cache_write_tokens_max[a:z], p_cache_write_1h_tokens_max[a:z], p_other_units_max[a:z],
            p_price_contexts[a:z],
            p_hold_durations[a:z], p_on_expiry[a:z], p_labels[a:z],
            p_candidates[a:z], p_denies_unknown, greatest(p_lock_timeout_milliseconds, 20));
        a := z + 1;
    END LOOP;
END
$$;
