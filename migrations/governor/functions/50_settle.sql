-- Settle: ends a hold with the actual usage of its call.
--
--   charge_of                 the charge of a settlement and its flags: the pure part
--   adjusted_so_far           the sums of an entry and its adjustments
--   settle_set_based          settles the plain settlements of a batch, of several organizations, as one set
--   settle_sequential         settles holds of one organization one after the other, in every case
--   settle_sequential_batch   does the same for several organizations
--
-- The sweeper (53_sweep.sql) settles as unknown through settle_sequential.

-- The charge of a settlement, and its flags.
--
-- p_price is the price of the served model, or NULL if it has none. p_held_nano_usd is the amount of the hold, and
-- p_live_nano_usd the part of it that is still held (0 after a release).
--
-- Where the usage can be rated, p_cost_basis decides between the rated cost and the provider's. Where it cannot, because
-- the usage is unknown or the model has no price, the provider's cost is charged; the amount of the hold if the provider
-- reported none. A provider that bills 0 for a model without a price is believed only with the basis PROVIDER, because
-- a missing price does not make a model free.
--
-- The function returns a table of one row because the planner inlines it only in this form.
CREATE OR REPLACE FUNCTION charge_of(
    p_price prices, p_held_nano_usd bigint, p_live_nano_usd bigint,
    p_is_unknown boolean, p_is_drift boolean, p_is_late boolean, p_cost_basis text,
    p_input_tokens bigint, p_cached_input_tokens bigint, p_cache_write_tokens bigint, p_cache_write_1h_tokens bigint,
    p_output_tokens bigint, p_reasoning_tokens bigint, p_requests bigint, p_other_units jsonb,
    p_provider_cost_nano_usd bigint
) RETURNS TABLE (cost_nano_usd numeric, rated_cost_nano_usd numeric, overage_nano_usd numeric, flags text[])
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT charge.nano_usd, coalesce(rated.nano_usd, 0), overage.nano_usd, array_remove(ARRAY[
        CASE WHEN p_is_drift THEN 'MODEL_DRIFT' END,
        CASE WHEN (p_price).price_id IS NULL THEN 'UNPRICED_MODEL' END,
        CASE WHEN overage.nano_usd > 0 THEN 'OVERAGE' END,
        CASE WHEN p_is_late THEN 'LATE' END,
        CASE WHEN abs(p_provider_cost_nano_usd - rated.nano_usd) > greatest(1000, rated.nano_usd * 0.01)
            THEN 'PROVIDER_VARIANCE' END,
        CASE WHEN p_is_unknown AND p_provider_cost_nano_usd IS NULL THEN 'UNKNOWN_OUTCOME' END,
        CASE WHEN p_is_unknown AND p_provider_cost_nano_usd IS NOT NULL THEN 'USAGE_UNKNOWN' END
    ], NULL)
    FROM (
        -- NULL if the usage cannot be rated.
        SELECT CASE WHEN NOT p_is_unknown THEN rated_cost_nano_usd(
            p_price, p_input_tokens, p_cached_input_tokens, p_cache_write_tokens, p_cache_write_1h_tokens,
            p_output_tokens, p_reasoning_tokens, p_requests, p_other_units) END AS nano_usd
        -- OFFSET 0, here and below: computed once, not once for each mention.
        OFFSET 0
    ) AS rated
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN rated.nano_usd IS NOT NULL THEN CASE p_cost_basis
                WHEN 'GREATER' THEN greatest(rated.nano_usd, p_provider_cost_nano_usd)
                WHEN 'PROVIDER' THEN coalesce(p_provider_cost_nano_usd, rated.nano_usd)
                ELSE rated.nano_usd
            END
            WHEN p_is_unknown OR p_cost_basis = 'PROVIDER' THEN coalesce(p_provider_cost_nano_usd, p_held_nano_usd)
            ELSE coalesce(nullif(p_provider_cost_nano_usd, 0), p_held_nano_usd)
        END AS nano_usd
        OFFSET 0
    ) AS charge
    CROSS JOIN LATERAL (SELECT greatest(charge.nano_usd - p_live_nano_usd, 0) AS nano_usd) AS overage
$$;

-- The cost of an entry and its adjustments so far, and the part of that cost that no hold covered.
--
-- A hold covers the cost of its entry up to its amount. An adjustment that lowers the cost first lowers the part that
-- no hold covered. The rest becomes free for other holds, so an adjustment that raises the cost again is not covered.
-- So the overage of an adjustment is greatest(difference, -overage so far), and a budget's unguarded amount, the sum of
-- overages, never exceeds its spent amount.
CREATE OR REPLACE FUNCTION adjusted_so_far(
    p_organization_id uuid, p_entry_id uuid, OUT cost_nano_usd numeric, OUT overage_nano_usd numeric
)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    v_original ai_usage_ledger;
BEGIN
    -- Two look-ups by key: the planner may make one look-up with OR a scan of the whole ledger.
    SELECT * INTO v_original FROM ai_usage_ledger AS e
    WHERE e.organization_id = p_organization_id AND e.idempotency_key = p_entry_id;
    SELECT v_original.cost_nano_usd + coalesce(sum(e.cost_nano_usd), 0),
        v_original.overage_nano_usd + coalesce(sum(e.overage_nano_usd), 0)
    INTO cost_nano_usd, overage_nano_usd
    FROM ai_usage_ledger AS e
    WHERE e.organization_id = p_organization_id AND e.adjusts_entry_id = p_entry_id;
END
$$;

-- Settles the plain settlements of a batch as a set: the hold is live, the usage is known, the granted model served, and
-- in the variant that the hold was placed for. Settlements do not depend on each other, so each plain one is part of the set. All others are left out;
-- settle_sequential decides them.
--
-- Item i of the arrays is one settlement, of any organization; a hash of NULL means that the outcome is unknown.
-- p_served_models are possible names (21_model_names.sql), '' for the granted model. p_price_contexts are NULL for
-- the variant of the hold, p_other_units NULL for none. The function returns a row for each budget of each hold that was settled, with those columns of the entry that are not in the request, and with the budget's figures after that
-- entry. An item that was left out has no row and has changed nothing. p_lock_timeout_milliseconds is as in
-- authorize_set_based.
--
-- The statement, by its CTEs:
--   charged    each plain settlement with its hold, its charge, its sequence and its organization's terms
--   shared     a line for each budget of each item, with the running figures of the budget after that item
--   posted     writes the ledger entries
--   ended      marks the holds SETTLED
--   counted    moves the last sequence of each organization
--   changes    the sums by which all items together change each budget
--   moved      applies that to the budgets
CREATE OR REPLACE FUNCTION settle_set_based(
    p_organization_ids uuid[],
    p_authorization_ids uuid[], p_settlement_hashes bytea[], p_served_models text[],
    p_input_tokens bigint[], p_cached_input_tokens bigint[], p_cache_write_tokens bigint[],
    p_cache_write_1h_tokens bigint[], p_output_tokens bigint[], p_reasoning_tokens bigint[], p_requests bigint[],
    p_other_units jsonb[], p_price_contexts jsonb[],
    p_provider_costs_nano_usd bigint[], p_provider_generation_ids text[], p_authors text[],
    p_lock_timeout_milliseconds integer
)
RETURNS TABLE (
    item integer, sequence bigint, workflow_id uuid, requested_model text, model text,
    cost_nano_usd bigint, rated_cost_nano_usd bigint, held_nano_usd bigint, overage_nano_usd bigint,
    price_id uuid, price_context jsonb, cost_basis text, flags text[], labels jsonb, month text, created_at timestamptz,
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
BEGIN
    -- The one lock order: organizations, sorted by id. Settlements of an organization inserted after this are left
    -- out, since its row is not locked.
    v_locked := lock_organizations(p_organization_ids, p_lock_timeout_milliseconds);
    v_now := governor_now();

    IF p_lock_timeout_milliseconds = 0 THEN
        RETURN QUERY
        SELECT sent.item::integer, NULL::bigint, NULL::uuid, NULL::text, NULL::text,
            NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint,
            NULL::uuid, NULL::jsonb, NULL::text, NULL::text[], NULL::jsonb, NULL::text, NULL::timestamptz,
            NULL::text, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint
        FROM unnest(p_organization_ids) WITH ORDINALITY AS sent (organization_id, item)
        WHERE is_locked_by_others(sent.organization_id, v_locked);
    END IF;

    RETURN QUERY
    WITH charged AS (
        SELECT
            s.item::integer AS item, s.organization_id, s.authorization_id,
            h.workflow_id, h.requested_model, h.model, h.price_id, h.held_nano_usd::bigint AS held_nano_usd,
            h.price_context, coalesce(o.cost_basis, t.cost_basis)::text AS cost_basis, h.labels, h.month, h.budget_keys,
            charge.cost_nano_usd::bigint AS cost_nano_usd, charge.rated_cost_nano_usd::bigint AS rated_cost_nano_usd,
            charge.overage_nano_usd::bigint AS overage_nano_usd, charge.flags,
            o.last_sequence + row_number() OVER (PARTITION BY s.organization_id ORDER BY s.item) AS sequence,
            coalesce(o.monthly_quota_nano_usd, t.monthly_quota_nano_usd) AS monthly_quota_nano_usd,
            coalesce(o.workflow_limit_nano_usd, t.workflow_limit_nano_usd) AS workflow_limit_nano_usd,
            EXISTS (
                SELECT FROM budget_limits AS l WHERE l.organization_id = s.organization_id OFFSET 0
            ) AS has_limits
        FROM unnest(
            p_organization_ids, p_authorization_ids, p_settlement_hashes, p_served_models,
            p_input_tokens, p_cached_input_tokens, p_cache_write_tokens, p_cache_write_1h_tokens,
            p_output_tokens, p_reasoning_tokens, p_requests, p_other_units, p_price_contexts, p_provider_costs_nano_usd
        ) WITH ORDINALITY AS s (
            organization_id, authorization_id, settlement_hash, served_model,
            input_tokens, cached_input_tokens, cache_write_tokens, cache_write_1h_tokens,
            output_tokens, reasoning_tokens, requests, other_units, price_context, provider_cost_nano_usd, item
        )
        JOIN organizations AS o ON o.organization_id = s.organization_id
        JOIN tiers AS t ON t.tier = o.tier
        CROSS JOIN LATERAL (
            SELECT * FROM authorizations AS hold
            WHERE hold.organization_id = s.organization_id AND hold.authorization_id = s.authorization_id
            OFFSET 0
        ) AS h
        JOIN prices AS p ON p.price_id = h.price_id
        CROSS JOIN LATERAL charge_of(
            p, h.held_nano_usd, h.held_nano_usd, false, false, false, coalesce(o.cost_basis, t.cost_basis),
            s.input_tokens, s.cached_input_tokens, s.cache_write_tokens, s.cache_write_1h_tokens,
            s.output_tokens, s.reasoning_tokens, s.requests, coalesce(s.other_units, '{}'), s.provider_cost_nano_usd
        ) AS charge
        WHERE s.organization_id = ANY (v_locked)
            AND state_at(h.state, h.expire_time, v_now) = 'PENDING'
            AND s.settlement_hash IS NOT NULL
            AND (s.price_context IS NULL OR s.price_context = h.price_context)
            -- Most providers name the granted model as it was granted: then nothing has to be resolved.
            AND (s.served_model = '' OR split_part(s.served_model, E'\t', 1) = h.model
                OR resolved_model(s.served_model, h.create_time) = h.model)
            AND charge.cost_nano_usd <= largest_entry_nano_usd()
            -- Only overage raises the total of a budget. An item is left out if the batch could take one of its budgets
            -- beyond the bound.
            AND (charge.overage_nano_usd = 0 OR NOT exceeds_total(
                s.organization_id, h.budget_keys, largest_entry_nano_usd()::numeric * cardinality(p_authorization_ids)))
            -- No earlier item settles the same hold.
            AND array_position(p_authorization_ids, s.authorization_id) = s.item
    ),
    shared AS MATERIALIZED (
        SELECT
            c.*, k.budget_key, k.place, l.limit_nano_usd,
            b.spent_nano_usd + sum(c.cost_nano_usd) OVER up_to AS budget_spent_nano_usd,
            b.held_nano_usd - sum(c.held_nano_usd) OVER up_to AS budget_held_nano_usd,
            b.unguarded_nano_usd + sum(c.overage_nano_usd) OVER up_to AS budget_unguarded_nano_usd
        FROM charged AS c
        CROSS JOIN LATERAL unnest(c.budget_keys) WITH ORDINALITY AS k (budget_key, place)
        CROSS JOIN LATERAL limit_in_force(
            c.organization_id, c.has_limits, c.monthly_quota_nano_usd, c.workflow_limit_nano_usd, k.budget_key) AS l
        LEFT JOIN LATERAL (
            SELECT * FROM budgets AS budget
            WHERE budget.organization_id = c.organization_id AND budget.budget_key = k.budget_key
            OFFSET 0
        ) AS b ON true
        WINDOW up_to AS (PARTITION BY c.organization_id, k.budget_key ORDER BY c.item ROWS UNBOUNDED PRECEDING)
    ),
    -- From here on it must succeed.
    posted AS (
        INSERT INTO ai_usage_ledger (
            organization_id, idempotency_key, sequence, kind, workflow_id, authorization_id,
            requested_model, granted_model, model,
            prompt_tokens, cached_input_tokens, cache_write_tokens, cache_write_1h_tokens,
            completion_tokens, reasoning_tokens, requests, other_units,
            cost_nano_usd, rated_cost_nano_usd, provider_cost_nano_usd, provider_generation_id,
            held_nano_usd, overage_nano_usd, price_id, price_context, cost_basis, flags, labels, month, author, created_at
        )
        SELECT
            s.organization_id, s.authorization_id, s.sequence, 'USAGE', s.workflow_id, s.authorization_id,
            s.requested_model, s.model, s.model,
            p_input_tokens[s.item], p_cached_input_tokens[s.item], p_cache_write_tokens[s.item],
            p_cache_write_1h_tokens[s.item],
            p_output_tokens[s.item], p_reasoning_tokens[s.item], p_requests[s.item], coalesce(p_other_units[s.item], '{}'),
            s.cost_nano_usd, s.rated_cost_nano_usd,
            p_provider_costs_nano_usd[s.item], p_provider_generation_ids[s.item],
            s.held_nano_usd, s.overage_nano_usd, s.price_id, s.price_context, s.cost_basis, s.flags, s.labels, s.month,
            p_authors[s.item], v_now
        FROM shared AS s
        WHERE s.place = 1
    ),
    ended AS (
        UPDATE authorizations AS a
        SET state = 'SETTLED', end_time = v_now, entry_id = s.authorization_id,
            settlement_hash = p_settlement_hashes[s.item]
        FROM shared AS s
        WHERE s.place = 1 AND a.organization_id = s.organization_id AND a.authorization_id = s.authorization_id
    ),
    counted AS (
        UPDATE organizations AS o SET last_sequence = newest.sequence
        FROM (SELECT s.organization_id, max(s.sequence) AS sequence FROM shared AS s GROUP BY s.organization_id) AS newest
        WHERE o.organization_id = newest.organization_id
    ),
    changes AS (
        SELECT s.organization_id, s.budget_key, sum(s.cost_nano_usd) AS cost_nano_usd,
            sum(s.held_nano_usd) AS held_nano_usd, sum(s.overage_nano_usd) AS overage_nano_usd
        FROM shared AS s
        GROUP BY s.organization_id, s.budget_key
    ),
    moved AS (
        UPDATE budgets AS b SET
            spent_nano_usd = b.spent_nano_usd + c.cost_nano_usd,
            held_nano_usd = b.held_nano_usd - c.held_nano_usd,
            unguarded_nano_usd = b.unguarded_nano_usd + c.overage_nano_usd
        FROM changes AS c
        WHERE b.organization_id = c.organization_id AND b.budget_key = c.budget_key
        RETURNING true
    )
    SELECT
        s.item, s.sequence, s.workflow_id, s.requested_model, s.model,
        s.cost_nano_usd, s.rated_cost_nano_usd, s.held_nano_usd, s.overage_nano_usd,
        -- NULL where it is empty, as in the request.
        s.price_id, nullif(s.price_context, '{}'), s.cost_basis, s.flags, s.labels, s.month, v_now,
        s.budget_key, s.limit_nano_usd, s.budget_spent_nano_usd::bigint, s.budget_held_nano_usd::bigint,
        s.budget_unguarded_nano_usd::bigint
    FROM shared AS s
    WHERE all_were_moved((SELECT count(*) FROM moved), (SELECT count(*) FROM changes))
    ORDER BY s.item, s.place;
END
$$;

-- Settles holds of one organization. Item i of the arrays is one settlement; items are decided in order. A settlement
-- hash of NULL means that the outcome is unknown; its counts are then 0. p_served_models are possible names, '' for the
-- granted model. p_price_contexts are NULL for the variant of the hold, p_other_units NULL for none. p_true_up_keys[i] is the idempotency key of the adjustment, if the item brings an unknown outcome to
-- its true cost. Returns one row for each item, with its outcome:
--   SETTLED, REPLAYED            the ledger entry, and the present figures of the hold's budgets;
--   AUTHORIZATION_NOT_FOUND      the organization has no such hold;
--   AUTHORIZATION_NOT_PENDING    `hold_state` and `entry` show how it ended;
--   COST_TOO_LARGE               the cost is above the bound of one entry: the hold stays as it is;
--   TOTAL_TOO_LARGE              a budget would go beyond its bound: the hold stays as it is.
--
-- Steps: lock the organization; then, for each item,
--   1. find the hold and the state that it is in;
--   2. find out whether the item is a replay, a refusal or a settlement, and compute the charge of a settlement;
--   3. for a settlement: post the entry, move each budget, end the hold;
--      otherwise: answer with the existing entry and the budgets' figures.
-- At the end, update the organization's last sequence.
CREATE OR REPLACE FUNCTION settle_sequential(
    p_organization_id uuid,
    p_authorization_ids uuid[], p_settlement_hashes bytea[], p_true_up_keys uuid[], p_served_models text[],
    p_input_tokens bigint[], p_cached_input_tokens bigint[], p_cache_write_tokens bigint[],
    p_cache_write_1h_tokens bigint[], p_output_tokens bigint[], p_reasoning_tokens bigint[], p_requests bigint[],
    p_other_units jsonb[], p_price_contexts jsonb[],
    p_provider_costs_nano_usd bigint[], p_provider_generation_ids text[], p_authors text[],
    p_lock_timeout_milliseconds integer
)
RETURNS TABLE (
    item integer, outcome text, hold_state text, entry jsonb,
    budget_keys text[], limits_nano_usd bigint[], budgets_spent_nano_usd bigint[], budgets_held_nano_usd bigint[],
    budgets_unguarded_nano_usd bigint[]
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_terms organization_terms;
    v_last_sequence bigint;
    v_sequence bigint;
    v_hold authorizations;
    v_is_unknown boolean;
    v_is_true_up boolean;
    v_served_model text;
    v_price_context jsonb;
    v_price prices;
    v_charge record;
    v_live_nano_usd bigint;
    v_cost_nano_usd numeric;
    v_overage_nano_usd numeric;
    v_so_far record;
    v_entry_id uuid;
    v_account budgets;
BEGIN
    PERFORM set_config('lock_timeout', p_lock_timeout_milliseconds::text, true);
    SELECT o.last_sequence INTO v_last_sequence FROM organizations AS o
    WHERE o.organization_id = p_organization_id FOR UPDATE;
    v_sequence := v_last_sequence;
    v_now := governor_now();
    v_terms := terms_of(p_organization_id, p_denies_unknown => false);

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

        -- 1.
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

        v_served_model := CASE
            WHEN p_served_models[i] = '' OR split_part(p_served_models[i], E'\t', 1) = v_hold.model THEN v_hold.model
            ELSE resolved_model(p_served_models[i], v_hold.create_time)
        END;
        v_price_context := coalesce(p_price_contexts[i], v_hold.price_context);

        -- 2.
        IF hold_state = 'SETTLED' AND NOT v_is_true_up THEN
            -- The hash covers everything but the served model and the variant. Both have defaults that the hold decides.
            outcome := CASE
                WHEN v_is_unknown THEN 'REPLAYED'
                WHEN v_hold.settlement_hash = p_settlement_hashes[i]
                    AND (v_served_model, v_price_context) = (
                        SELECT e.model, e.price_context FROM ai_usage_ledger AS e
                        WHERE e.organization_id = p_organization_id
                            AND e.idempotency_key = coalesce(v_hold.true_up_entry_id, v_hold.entry_id)
                    ) THEN 'REPLAYED'
                ELSE 'AUTHORIZATION_NOT_PENDING'
            END;
            -- The entry that the same content was answered with before.
            IF NOT v_is_unknown AND outcome = 'REPLAYED' THEN
                v_entry_id := coalesce(v_hold.true_up_entry_id, v_hold.entry_id);
            END IF;
        ELSIF hold_state IN ('VOIDED', 'EXPIRED') AND (v_is_unknown OR v_hold.model IS NULL) THEN
            -- A released hold cannot be settled as unknown, and a hold that was never placed cannot be settled at all.
            outcome := 'AUTHORIZATION_NOT_PENDING';
        ELSE
            -- The granted model is rated with the price of its hold, another model or variant with its own at that time.
            IF v_served_model = v_hold.model AND v_price_context = v_hold.price_context THEN
                SELECT * INTO v_price FROM prices AS p WHERE p.price_id = v_hold.price_id;
            ELSE
                v_price := price_at(v_served_model, v_price_context, v_hold.create_time);
            END IF;
            v_live_nano_usd := CASE WHEN hold_state IN ('PENDING', 'SUSPENSE') THEN v_hold.held_nano_usd ELSE 0 END;
            SELECT c.cost_nano_usd, c.rated_cost_nano_usd, c.overage_nano_usd, c.flags INTO v_charge
            FROM charge_of(
                v_price, v_hold.held_nano_usd, v_live_nano_usd, v_is_unknown, v_served_model <> v_hold.model,
                hold_state IN ('SUSPENSE', 'VOIDED', 'EXPIRED'), v_terms.cost_basis,
                p_input_tokens[i], p_cached_input_tokens[i], p_cache_write_tokens[i], p_cache_write_1h_tokens[i],
                p_output_tokens[i], p_reasoning_tokens[i], p_requests[i], coalesce(p_other_units[i], '{}'),
                p_provider_costs_nano_usd[i]) AS c;
            v_cost_nano_usd := v_charge.cost_nano_usd;
            v_overage_nano_usd := v_charge.overage_nano_usd;
            IF v_is_true_up THEN
                v_so_far := adjusted_so_far(p_organization_id, v_hold.entry_id);
                v_cost_nano_usd := v_cost_nano_usd - v_so_far.cost_nano_usd;
                v_overage_nano_usd := greatest(v_cost_nano_usd, -v_so_far.overage_nano_usd);
            END IF;
            IF v_charge.cost_nano_usd > largest_entry_nano_usd() THEN
                outcome := 'COST_TOO_LARGE';
            ELSIF v_overage_nano_usd > 0 AND exceeds_total(p_organization_id, budget_keys, v_overage_nano_usd) THEN
                -- Only overage raises the total of a budget.
                outcome := 'TOTAL_TOO_LARGE';
            END IF;
        END IF;

        -- 3.
        IF outcome IS NULL THEN
            -- From here on it must succeed.
            outcome := 'SETTLED';
            v_entry_id := v_hold.authorization_id;
            IF v_is_true_up THEN
                v_charge.flags := array_remove(v_charge.flags, 'OVERAGE')
                    || CASE WHEN v_overage_nano_usd > 0 THEN ARRAY['OVERAGE'] ELSE '{}' END;
                v_entry_id := p_true_up_keys[i];
            END IF;

            v_sequence := v_sequence + 1;
            INSERT INTO ai_usage_ledger AS e (
                organization_id, idempotency_key, sequence, kind, workflow_id, authorization_id,
                requested_model, granted_model, model,
                prompt_tokens, cached_input_tokens, cache_write_tokens, cache_write_1h_tokens,
                completion_tokens, reasoning_tokens, requests, other_units,
                cost_nano_usd, rated_cost_nano_usd, provider_cost_nano_usd, provider_generation_id,
                held_nano_usd, overage_nano_usd, price_id, price_context, cost_basis, flags, labels, month,
                adjusts_entry_id, reason, author, created_at
            ) VALUES (
                p_organization_id, v_entry_id, v_sequence,
                CASE
                    WHEN v_is_true_up THEN 'ADJUSTMENT'
                    WHEN v_is_unknown AND p_provider_costs_nano_usd[i] IS NULL THEN 'UNKNOWN'
                    ELSE 'USAGE'
                END,
                v_hold.workflow_id, v_hold.authorization_id,
                v_hold.requested_model, v_hold.model, v_served_model,
                p_input_tokens[i], p_cached_input_tokens[i], p_cache_write_tokens[i], p_cache_write_1h_tokens[i],
                p_output_tokens[i], p_reasoning_tokens[i], p_requests[i], coalesce(p_other_units[i], '{}'),
                v_cost_nano_usd, v_charge.rated_cost_nano_usd, p_provider_costs_nano_usd[i],
                p_provider_generation_ids[i],
                v_live_nano_usd, v_overage_nano_usd, v_price.price_id, v_price_context, v_terms.cost_basis,
                v_charge.flags, v_hold.labels, v_hold.month,
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

-- Settles holds of several organizations in one transaction. Items are grouped by organization: those of
-- p_organization_ids[k] end at p_ends[k]. The organizations are distinct and sorted, so that two batches lock them in
-- the same order. p_lock_timeout_milliseconds is as in settle_set_based, but with 0 the items of an organization that
-- another transaction has locked have the outcome LOCKED. If organizations are on different shards, the service
-- calls settle_sequential instead.
CREATE OR REPLACE FUNCTION settle_sequential_batch(
    p_organization_ids uuid[], p_ends integer[],
    p_authorization_ids uuid[], p_settlement_hashes bytea[], p_true_up_keys uuid[], p_served_models text[],
    p_input_tokens bigint[], p_cached_input_tokens bigint[], p_cache_write_tokens bigint[],
    p_cache_write_1h_tokens bigint[], p_output_tokens bigint[], p_reasoning_tokens bigint[], p_requests bigint[],
    p_other_units jsonb[], p_price_contexts jsonb[],
    p_provider_costs_nano_usd bigint[], p_provider_generation_ids text[], p_authors text[],
    p_lock_timeout_milliseconds integer
)
RETURNS TABLE (
    item integer, outcome text, hold_state text, entry jsonb,
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
        RETURN QUERY SELECT * FROM settle_sequential(
            p_organization_ids[k],
            p_authorization_ids[a:z], p_settlement_hashes[a:z], p_true_up_keys[a:z], p_served_models[a:z],
            p_input_tokens[a:z], p_cached_input_tokens[a:z], p_cache_write_tokens[a:z],
            p_cache_write_1h_tokens[a:z], p_output_tokens[a:z], p_reasoning_tokens[a:z], p_requests[a:z],
            p_other_units[a:z], p_price_contexts[a:z],
            p_provider_costs_nano_usd[a:z], p_provider_generation_ids[a:z], p_authors[a:z],
            greatest(p_lock_timeout_milliseconds, 20));
        a := z + 1;
    END LOOP;
END
$$;
