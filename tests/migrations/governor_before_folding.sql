SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE DOMAIN public.budget_key AS text
	CONSTRAINT budget_key_check CHECK ((VALUE ~ '^((label/)?month/([0-9]{4}-[0-9]{2}|standing)|workflow/[0-9a-f-]{36}$|label/lifetime)'::text));
CREATE DOMAIN public.account_key AS public.budget_key
	CONSTRAINT account_key_check CHECK (((VALUE)::text !~ '^(label/)?month/standing'::text));
CREATE DOMAIN public.amount_nano_usd AS bigint
	CONSTRAINT amount_nano_usd_check CHECK ((VALUE >= 0));
CREATE DOMAIN public.authorization_state AS text
	CONSTRAINT authorization_state_check CHECK ((VALUE = ANY (ARRAY['PENDING'::text, 'SETTLED'::text, 'VOIDED'::text, 'EXPIRED'::text])));
CREATE DOMAIN public.entry_kind AS text
	CONSTRAINT entry_kind_check CHECK ((VALUE = ANY (ARRAY['USAGE'::text, 'UNKNOWN'::text, 'ADJUSTMENT'::text])));
CREATE DOMAIN public.entry_nano_usd AS bigint
	CONSTRAINT entry_nano_usd_check CHECK (((VALUE >= '-1000000000000000'::bigint) AND (VALUE <= '1000000000000000'::bigint)));
CREATE DOMAIN public.expiry_action AS text
	CONSTRAINT expiry_action_check CHECK ((VALUE = ANY (ARRAY['RELEASE'::text, 'CHARGE'::text])));
CREATE DOMAIN public.limit_nano_usd AS bigint
	CONSTRAINT limit_nano_usd_check CHECK (((VALUE >= 0) AND (VALUE <= '100000000000000000'::bigint)));
CREATE TYPE public.organization_terms AS (
	workflow_limit_nano_usd bigint,
	monthly_quota_nano_usd bigint,
	allowed_models text[],
	downgrade_threshold_percent integer,
	has_limits boolean,
	refusal text,
	frozen_models text[]
);
CREATE DOMAIN public.request_count AS bigint
	CONSTRAINT request_count_check CHECK (((VALUE >= 0) AND (VALUE <= 1000000)));
CREATE DOMAIN public.token_count AS bigint
	CONSTRAINT token_count_check CHECK (((VALUE >= 0) AND (VALUE <= 1000000000)));
CREATE FUNCTION public.add_to_totals() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO daily_costs AS t
    SELECT e.organization_id, e.day, e.model,
        sum(e.cost_nano_usd), count(*), sum(e.prompt_tokens), sum(e.completion_tokens)
    FROM entries AS e
    GROUP BY e.organization_id, e.day, e.model
    ON CONFLICT (organization_id, day, model) DO UPDATE SET
        cost_nano_usd = t.cost_nano_usd + excluded.cost_nano_usd,
        entries = t.entries + excluded.entries,
        input_tokens = t.input_tokens + excluded.input_tokens,
        output_tokens = t.output_tokens + excluded.output_tokens;
    INSERT INTO workflow_costs AS t
    SELECT e.organization_id, e.month, e.workflow_id, e.model,
        sum(e.cost_nano_usd), count(*), sum(e.prompt_tokens), sum(e.completion_tokens)
    FROM entries AS e
    GROUP BY e.organization_id, e.month, e.workflow_id, e.model
    ON CONFLICT (organization_id, month, workflow_id, model) DO UPDATE SET
        cost_nano_usd = t.cost_nano_usd + excluded.cost_nano_usd,
        entries = t.entries + excluded.entries,
        input_tokens = t.input_tokens + excluded.input_tokens,
        output_tokens = t.output_tokens + excluded.output_tokens;
    INSERT INTO label_costs AS t
    SELECT e.organization_id, e.month, label.key, label.value, sum(e.cost_nano_usd), count(*)
    FROM entries AS e
    CROSS JOIN LATERAL jsonb_each_text(e.labels) AS label
    GROUP BY e.organization_id, e.month, label.key, label.value
    ON CONFLICT (organization_id, month, key, value) DO UPDATE SET
        cost_nano_usd = t.cost_nano_usd + excluded.cost_nano_usd,
        entries = t.entries + excluded.entries;
    RETURN NULL;
END
$$;
CREATE FUNCTION public.adjust_entry(p_organization_id uuid, p_idempotency_key uuid, p_request_hash bytea, p_entry_id uuid, p_corrected_cost_nano_usd bigint, p_reason text, p_author text, OUT outcome text, OUT entry jsonb) RETURNS record
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.all_were_moved(p_moved bigint, p_budgets bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    IF p_moved <> p_budgets THEN
        RAISE EXCEPTION '% budgets had to be moved, and % were', p_budgets, p_moved;
    END IF;
    RETURN true;
END
$$;
CREATE FUNCTION public.authorize_batch(p_organization_ids uuid[], p_ends integer[], p_authorization_ids uuid[], p_request_ids uuid[], p_request_hashes bytea[], p_workflow_ids uuid[], p_input_tokens_max bigint[], p_output_tokens_max bigint[], p_output_tokens_min bigint[], p_requests_max bigint[], p_hold_durations interval[], p_on_expiry text[], p_labels jsonb[], p_candidates text[]) RETURNS TABLE(item integer, outcome text, authorization_id uuid, state text, entry_id uuid, model text, price_id uuid, output_tokens_max bigint, held_nano_usd bigint, downgrade_reason text, month text, create_time timestamp with time zone, expire_time timestamp with time zone, budget_keys text[], limits_nano_usd bigint[], budgets_spent_nano_usd bigint[], budgets_held_nano_usd bigint[], budgets_unguarded_nano_usd bigint[])
    LANGUAGE plpgsql
    AS $$
DECLARE
    a integer := 1;
    z integer;
BEGIN
    FOR k IN 1 .. cardinality(p_organization_ids) LOOP
        z := p_ends[k];
        RETURN QUERY SELECT * FROM authorize_holds(
            p_organization_ids[k],
            p_authorization_ids[a:z], p_request_ids[a:z], p_request_hashes[a:z], p_workflow_ids[a:z],
            p_input_tokens_max[a:z], p_output_tokens_max[a:z], p_output_tokens_min[a:z], p_requests_max[a:z],
            p_hold_durations[a:z], p_on_expiry[a:z], p_labels[a:z],
            p_candidates[a:z]);
        a := z + 1;
    END LOOP;
END
$$;
CREATE FUNCTION public.authorize_holds(p_organization_id uuid, p_authorization_ids uuid[], p_request_ids uuid[], p_request_hashes bytea[], p_workflow_ids uuid[], p_input_tokens_max bigint[], p_output_tokens_max bigint[], p_output_tokens_min bigint[], p_requests_max bigint[], p_hold_durations interval[], p_on_expiry text[], p_labels jsonb[], p_candidates text[]) RETURNS TABLE(item integer, outcome text, authorization_id uuid, state text, entry_id uuid, model text, price_id uuid, output_tokens_max bigint, held_nano_usd bigint, downgrade_reason text, month text, create_time timestamp with time zone, expire_time timestamp with time zone, budget_keys text[], limits_nano_usd bigint[], budgets_spent_nano_usd bigint[], budgets_held_nano_usd bigint[], budgets_unguarded_nano_usd bigint[])
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.authorize_together(p_organization_ids uuid[], p_authorization_ids uuid[], p_request_ids uuid[], p_request_hashes bytea[], p_workflow_ids uuid[], p_input_tokens_max bigint[], p_output_tokens_max bigint[], p_requests_max bigint[], p_hold_durations interval[], p_on_expiry text[], p_labels jsonb[], p_candidates text[]) RETURNS TABLE(item integer, price_id uuid, held_nano_usd bigint, month text, create_time timestamp with time zone, budget_key text, limit_nano_usd bigint, budget_spent_nano_usd bigint, budget_held_nano_usd bigint, budget_unguarded_nano_usd bigint)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    v_locked uuid[];
    v_now timestamptz;
    v_month text;
BEGIN
    -- The one lock order: organizations, sorted. One that is made from here on is not ours to decide for.
    v_locked := ARRAY(
        SELECT o.organization_id FROM organizations AS o WHERE o.organization_id = ANY (p_organization_ids)
        ORDER BY o.organization_id FOR UPDATE
    );
    v_now := governor_now();
    v_month := month_of(v_now);
    RETURN QUERY
    WITH asked AS (
        SELECT
            a.item::integer AS item, a.organization_id, p.price_id,
            hold_nano_usd(p, a.input_tokens_max, a.output_tokens_max, a.requests_max) AS hold_nano_usd,
            budget_keys_for(a.organization_id, limited.is_so, a.workflow_id, a.labels, v_month) AS budget_keys,
            limited.is_so AS has_limits,
            coalesce(o.monthly_quota_nano_usd, t.monthly_quota_nano_usd) AS monthly_quota_nano_usd,
            coalesce(o.workflow_limit_nano_usd, t.workflow_limit_nano_usd) AS workflow_limit_nano_usd,
            t.downgrade_threshold_percent,
            (o.is_set_up OR NOT denies_unknown_organizations())
                AND (t.allowed_models = '{}' OR a.model = ANY (t.allowed_models))
                AND NOT EXISTS (
                    SELECT FROM freezes AS f
                    WHERE f.organization_id IN (a.organization_id, every_organization()) AND f.model IN ('', a.model)
                    OFFSET 0
                ) AS is_allowed,
            -- Neither an item before it nor a call before this one has its id.
            array_position(p_authorization_ids, a.authorization_id) = a.item
                AND NOT EXISTS (
                    SELECT FROM authorizations AS known
                    WHERE known.organization_id = a.organization_id AND known.authorization_id = a.authorization_id
                    OFFSET 0
                ) AS is_new
        FROM (
            SELECT *, split_part(sent.candidates, E'\n', 1) AS model
            FROM unnest(
                p_organization_ids, p_authorization_ids, p_workflow_ids,
                p_input_tokens_max, p_output_tokens_max, p_requests_max, p_labels, p_candidates
            ) WITH ORDINALITY AS sent (
                organization_id, authorization_id, workflow_id,
                input_tokens_max, output_tokens_max, requests_max, labels, candidates, item
            )
        ) AS a
        JOIN organizations AS o ON o.organization_id = a.organization_id
        JOIN tiers AS t ON t.tier = o.tier
        CROSS JOIN LATERAL (
            SELECT EXISTS (SELECT FROM budget_limits AS l WHERE l.organization_id = a.organization_id) AS is_so
            OFFSET 0
        ) AS limited
        LEFT JOIN LATERAL (
            SELECT * FROM prices AS version
            WHERE version.model = a.model AND version.effective_time <= v_now
            ORDER BY version.effective_time DESC LIMIT 1
        ) AS p ON true
        WHERE a.organization_id = ANY (v_locked)
        OFFSET 0
    ),
    -- A line for each budget of each item, with what the items up to it ask of the budget.
    demanded AS (
        SELECT
            a.item, a.organization_id, a.price_id, a.hold_nano_usd, a.budget_keys, a.downgrade_threshold_percent,
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
            -- Where there is no price, there is no hold, and this is NULL.
            d.is_eligible AND d.hold_nano_usd <= 1000000000000000 IS TRUE
            AND d.spent_nano_usd + d.held_nano_usd <= d.limit_nano_usd IS NOT FALSE
            -- The threshold counts before the hold: a month that is past it grants the cheapest.
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
        -- The guard. The decision saw the same figures under the same lock; this is what makes it binding.
        UPDATE budgets AS b SET held_nano_usd = b.held_nano_usd + d.nano_usd
        FROM demands AS d
        WHERE b.organization_id = d.organization_id AND b.budget_key = d.budget_key
            AND (d.limit_nano_usd IS NULL OR d.limit_nano_usd >= b.spent_nano_usd + b.held_nano_usd + d.nano_usd)
        RETURNING true
    ),
    placed AS (
        INSERT INTO authorizations (
            organization_id, authorization_id, request_id, request_hash, state, workflow_id, requested_model, model,
            price_id, input_tokens_max, output_tokens_max, requests_max, held_nano_usd, on_expiry,
            labels, month, budget_keys, create_time, expire_time
        )
        SELECT
            d.organization_id, p_authorization_ids[d.item], p_request_ids[d.item], p_request_hashes[d.item], 'PENDING',
            p_workflow_ids[d.item], granted.model, granted.model, d.price_id,
            p_input_tokens_max[d.item], p_output_tokens_max[d.item], p_requests_max[d.item], d.hold_nano_usd,
            p_on_expiry[d.item], p_labels[d.item], v_month, d.budget_keys, v_now, v_now + p_hold_durations[d.item]
        FROM decided AS d
        CROSS JOIN LATERAL (SELECT split_part(p_candidates[d.item], E'\n', 1) AS model) AS granted
        WHERE d.is_granted AND d.place = 1
    )
    SELECT
        d.item, d.price_id, d.hold_nano_usd::bigint, v_month, v_now,
        d.budget_key, d.limit_nano_usd, d.spent_nano_usd, d.held_nano_usd::bigint, d.unguarded_nano_usd
    FROM decided AS d
    WHERE d.is_granted
        AND all_were_moved((SELECT count(*) FROM moved), (SELECT count(*) FROM demands WHERE NOT lacks_account))
    ORDER BY d.item, d.place;
END
$$;
CREATE FUNCTION public.budget_figures(p_organization_id uuid, p_terms public.organization_terms, p_budget_keys text[], OUT limits_nano_usd bigint[], OUT spent_nano_usd bigint[], OUT held_nano_usd bigint[], OUT unguarded_nano_usd bigint[], OUT lacks_account boolean) RETURNS record
    LANGUAGE plpgsql STABLE
    AS $$
#variable_conflict use_column
DECLARE
    v_budget budgets;
BEGIN
    limits_nano_usd := limits_in_force(p_organization_id, p_terms, p_budget_keys);
    lacks_account := false;
    -- A look-up by key for each: a join of so few rows costs more to start than to do.
    FOR i IN 1 .. cardinality(p_budget_keys) LOOP
        SELECT * INTO v_budget FROM budgets AS b
        WHERE b.organization_id = p_organization_id AND b.budget_key = p_budget_keys[i];
        lacks_account := lacks_account OR NOT FOUND;
        spent_nano_usd[i] := coalesce(v_budget.spent_nano_usd, 0);
        held_nano_usd[i] := coalesce(v_budget.held_nano_usd, 0);
        unguarded_nano_usd[i] := coalesce(v_budget.unguarded_nano_usd, 0);
    END LOOP;
END
$$;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.budget_limits (
    organization_id uuid NOT NULL,
    budget_key public.budget_key NOT NULL,
    limit_nano_usd public.limit_nano_usd,
    author text NOT NULL,
    update_time timestamp with time zone NOT NULL
);
CREATE FUNCTION public.label_budgets(p_organization_id uuid, p_labels jsonb, p_month text) RETURNS text[]
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT COALESCE(array_agg(DISTINCT asked.budget_key ORDER BY asked.budget_key), '{}'::text[]) AS "coalesce"
    FROM ((jsonb_each_text(label_budgets.p_labels) label(key, value)
      CROSS JOIN LATERAL ( VALUES ('label/lifetime/'::text,'label/lifetime/'::text), ('label/month/standing/'::text,(('label/month/'::text || label_budgets.p_month) || '/'::text)), ((('label/month/'::text || label_budgets.p_month) || '/'::text),(('label/month/'::text || label_budgets.p_month) || '/'::text))) prefix(limit_key, budget_key))
      CROSS JOIN LATERAL ( SELECT (((prefix.limit_key || label.key) || '='::text) || label.value) AS limit_key,
             (((prefix.budget_key || label.key) || '='::text) || label.value) AS budget_key) asked)
   WHERE (EXISTS ( SELECT
            FROM public.budget_limits l
           WHERE ((l.organization_id = label_budgets.p_organization_id) AND ((l.budget_key)::text = asked.limit_key))));
END;
CREATE FUNCTION public.budget_keys_for(p_organization_id uuid, p_has_limits boolean, p_workflow_id uuid, p_labels jsonb, p_month text) RETURNS text[]
    LANGUAGE sql STABLE
    RETURN (CASE WHEN (p_has_limits AND (p_labels <> '{}'::jsonb)) THEN public.label_budgets(p_organization_id, p_labels, p_month) ELSE '{}'::text[] END || ARRAY[('month/'::text || p_month), ('workflow/'::text || p_workflow_id)]);
CREATE FUNCTION public.budgets_that_apply(p_organization_id uuid, p_terms public.organization_terms, p_workflow_id uuid, p_labels jsonb, p_month text) RETURNS text[]
    LANGUAGE sql STABLE
    RETURN public.budget_keys_for(p_organization_id, (p_terms).has_limits, p_workflow_id, p_labels, p_month);
CREATE FUNCTION public.canonical_model(p_model_id text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
DECLARE
    c_space CONSTANT text := E' \t\n\r\f\v\x1c\x1d\x1e\x1f';
    v_model text := rtrim(substring(lower(btrim(p_model_id, c_space)) FROM '^[^@:]*'), c_space);
    v_without_date text;
BEGIN
    LOOP
        v_without_date := rtrim(
            regexp_replace(
                v_model, '(?<=[^/])-20[0-9]{2}(-?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12][0-9]|3[01])\Z', ''),
            c_space);
        EXIT WHEN v_without_date = v_model;
        v_model := v_without_date;
    END LOOP;
    RETURN CASE
        WHEN v_model ~ '/' THEN v_model
        WHEN v_model ~ '\A(?:gpt-[0-9]|gpt-oss-|chatgpt-|o[1-9](?:-|\Z))' THEN 'openai/' || v_model
        WHEN v_model ~ '\Aclaude-' THEN 'anthropic/' || v_model
        WHEN v_model ~ '\Agemini-' THEN 'google/' || v_model
        WHEN v_model ~ '\Asonar(?:-|\Z)' THEN 'perplexity/' || v_model
        WHEN v_model ~ '\Agrok-' THEN 'x-ai/' || v_model
        ELSE v_model
    END;
END
$$;
CREATE FUNCTION public.charge_nano_usd(p_parameter text, p_usd numeric) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
BEGIN
    -- NaN and infinity are above every number.
    IF p_usd >= 0 AND p_usd <= 1000000 THEN
        RETURN ceil(p_usd * 1000000000);
    END IF;
    RAISE EXCEPTION '% must be between 0 and 1000000 USD', p_parameter USING ERRCODE = 'invalid_parameter_value';
END
$$;
CREATE TABLE public.prices (
    price_id uuid DEFAULT gen_random_uuid() NOT NULL,
    model text NOT NULL,
    effective_time timestamp with time zone NOT NULL,
    input_nano_usd_per_mtok bigint NOT NULL,
    cached_input_nano_usd_per_mtok bigint,
    cache_write_nano_usd_per_mtok bigint,
    output_nano_usd_per_mtok bigint NOT NULL,
    reasoning_nano_usd_per_mtok bigint,
    request_nano_usd bigint DEFAULT 0 NOT NULL,
    source text NOT NULL,
    author text NOT NULL,
    create_time timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT prices_author_check CHECK (((length(author) >= 1) AND (length(author) <= 200))),
    CONSTRAINT prices_cache_write_nano_usd_per_mtok_check CHECK (((cache_write_nano_usd_per_mtok >= 0) AND (cache_write_nano_usd_per_mtok <= '10000000000000'::bigint))),
    CONSTRAINT prices_cached_input_nano_usd_per_mtok_check CHECK (((cached_input_nano_usd_per_mtok >= 0) AND (cached_input_nano_usd_per_mtok <= '10000000000000'::bigint))),
    CONSTRAINT prices_check CHECK (((input_nano_usd_per_mtok > 0) OR (output_nano_usd_per_mtok > 0) OR (request_nano_usd > 0))),
    CONSTRAINT prices_effective_time_check CHECK (((effective_time >= '2000-01-01 00:00:00+00'::timestamp with time zone) AND isfinite(effective_time))),
    CONSTRAINT prices_input_nano_usd_per_mtok_check CHECK (((input_nano_usd_per_mtok >= 0) AND (input_nano_usd_per_mtok <= '10000000000000'::bigint))),
    CONSTRAINT prices_model_check CHECK (((model ~ '^[!-~]{1,200}$'::text) AND (model !~ '[@:A-Z]'::text))),
    CONSTRAINT prices_output_nano_usd_per_mtok_check CHECK (((output_nano_usd_per_mtok >= 0) AND (output_nano_usd_per_mtok <= '10000000000000'::bigint))),
    CONSTRAINT prices_reasoning_nano_usd_per_mtok_check CHECK (((reasoning_nano_usd_per_mtok >= 0) AND (reasoning_nano_usd_per_mtok <= '10000000000000'::bigint))),
    CONSTRAINT prices_request_nano_usd_check CHECK (((request_nano_usd >= 0) AND (request_nano_usd <= '1000000000000'::bigint))),
    CONSTRAINT prices_source_check CHECK (((length(source) >= 1) AND (length(source) <= 1024)))
);
CREATE FUNCTION public.charge_of(p_price public.prices, p_held_nano_usd bigint, p_live_nano_usd bigint, p_is_unknown boolean, p_is_drift boolean, p_is_late boolean, p_input_tokens bigint, p_cached_input_tokens bigint, p_cache_write_tokens bigint, p_output_tokens bigint, p_reasoning_tokens bigint, p_requests bigint, p_provider_cost_nano_usd bigint, OUT cost_nano_usd numeric, OUT rated_cost_nano_usd numeric, OUT overage_nano_usd numeric, OUT flags text[]) RETURNS record
    LANGUAGE plpgsql IMMUTABLE
    AS $$
#variable_conflict use_column
BEGIN
    SELECT c.cost_nano_usd, c.rated_cost_nano_usd, c.overage_nano_usd, c.flags
    INTO cost_nano_usd, rated_cost_nano_usd, overage_nano_usd, flags
    FROM charges_of(
        p_price, p_held_nano_usd, p_live_nano_usd, p_is_unknown, p_is_drift, p_is_late,
        p_input_tokens, p_cached_input_tokens, p_cache_write_tokens,
        p_output_tokens, p_reasoning_tokens, p_requests, p_provider_cost_nano_usd) AS c;
END
$$;
CREATE FUNCTION public.rated_cost_nano_usd(p_price public.prices, p_input_tokens bigint, p_cached_input_tokens bigint, p_cache_write_tokens bigint, p_output_tokens bigint, p_reasoning_tokens bigint, p_requests bigint) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (ceil((0.000001 * ((((((((p_input_tokens - p_cached_input_tokens) - p_cache_write_tokens))::numeric * ((p_price).input_nano_usd_per_mtok)::numeric) + ((p_cached_input_tokens)::numeric * (COALESCE((p_price).cached_input_nano_usd_per_mtok, (p_price).input_nano_usd_per_mtok))::numeric)) + ((p_cache_write_tokens)::numeric * (COALESCE((p_price).cache_write_nano_usd_per_mtok, (p_price).input_nano_usd_per_mtok))::numeric)) + (((p_output_tokens - p_reasoning_tokens))::numeric * ((p_price).output_nano_usd_per_mtok)::numeric)) + ((p_reasoning_tokens)::numeric * (COALESCE((p_price).reasoning_nano_usd_per_mtok, (p_price).output_nano_usd_per_mtok))::numeric)))) + ((GREATEST(p_requests, (1)::bigint))::numeric * ((p_price).request_nano_usd)::numeric));
CREATE FUNCTION public.charges_of(p_price public.prices, p_held_nano_usd bigint, p_live_nano_usd bigint, p_is_unknown boolean, p_is_drift boolean, p_is_late boolean, p_input_tokens bigint, p_cached_input_tokens bigint, p_cache_write_tokens bigint, p_output_tokens bigint, p_reasoning_tokens bigint, p_requests bigint, p_provider_cost_nano_usd bigint) RETURNS TABLE(cost_nano_usd numeric, rated_cost_nano_usd numeric, overage_nano_usd numeric, flags text[])
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    BEGIN ATOMIC
 SELECT charge.nano_usd,
     rated.nano_usd,
     overage.nano_usd,
     array_remove(ARRAY[
         CASE
             WHEN charges_of.p_is_drift THEN 'MODEL_DRIFT'::text
             ELSE NULL::text
         END,
         CASE
             WHEN ((charges_of.p_price).price_id IS NULL) THEN 'UNPRICED_MODEL'::text
             ELSE NULL::text
         END,
         CASE
             WHEN (overage.nano_usd > (0)::numeric) THEN 'OVERAGE'::text
             ELSE NULL::text
         END,
         CASE
             WHEN charges_of.p_is_late THEN 'LATE'::text
             ELSE NULL::text
         END,
         CASE
             WHEN (((charges_of.p_price).price_id IS NOT NULL) AND (NOT charges_of.p_is_unknown) AND (abs(((charges_of.p_provider_cost_nano_usd)::numeric - rated.nano_usd)) > GREATEST((1000)::numeric, (rated.nano_usd * 0.01)))) THEN 'PROVIDER_VARIANCE'::text
             ELSE NULL::text
         END,
         CASE
             WHEN charges_of.p_is_unknown THEN 'UNKNOWN_OUTCOME'::text
             ELSE NULL::text
         END], NULL::text) AS array_remove
    FROM ((( SELECT
                 CASE
                     WHEN (((charges_of.p_price).price_id IS NOT NULL) AND (NOT charges_of.p_is_unknown)) THEN public.rated_cost_nano_usd(charges_of.p_price, charges_of.p_input_tokens, charges_of.p_cached_input_tokens, charges_of.p_cache_write_tokens, charges_of.p_output_tokens, charges_of.p_reasoning_tokens, charges_of.p_requests)
                     ELSE (0)::numeric
                 END AS nano_usd
          OFFSET 0) rated
      CROSS JOIN LATERAL ( SELECT GREATEST(
                 CASE
                     WHEN (((charges_of.p_price).price_id IS NOT NULL) AND (NOT charges_of.p_is_unknown)) THEN rated.nano_usd
                     ELSE (charges_of.p_held_nano_usd)::numeric
                 END, (charges_of.p_provider_cost_nano_usd)::numeric) AS nano_usd
          OFFSET 0) charge)
      CROSS JOIN LATERAL ( SELECT GREATEST((charge.nano_usd - (charges_of.p_live_nano_usd)::numeric), (0)::numeric) AS nano_usd) overage);
END;
CREATE FUNCTION public.decide_authorization(p_organization_id uuid, p_terms public.organization_terms, p_now timestamp with time zone, p_workflow_id uuid, p_labels jsonb, p_models text[], p_input_tokens_max bigint, p_output_tokens_max bigint, p_output_tokens_min bigint, p_requests_max bigint, OUT outcome text, OUT model text, OUT price_id uuid, OUT output_tokens_max bigint, OUT held_nano_usd bigint, OUT downgrade_reason text, OUT budget_keys text[], OUT limits_nano_usd bigint[], OUT spent_nano_usd bigint[], OUT held_before_nano_usd bigint[], OUT unguarded_nano_usd bigint[], OUT lacks_account boolean) RETURNS record
    LANGUAGE plpgsql STABLE
    AS $$
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
CREATE FUNCTION public.denies_unknown_organizations() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN COALESCE((current_setting('governor.unknown_organizations'::text, true) = 'deny'::text), false);
CREATE FUNCTION public.every_organization() RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '00000000-0000-0000-0000-000000000000'::uuid;
CREATE FUNCTION public.governor_now() RETURNS timestamp with time zone
    LANGUAGE sql
    RETURN (clock_timestamp() + COALESCE((NULLIF(current_setting('governor.clock_offset'::text, true), ''::text))::interval, '00:00:00'::interval));
CREATE TABLE public.freezes (
    organization_id uuid NOT NULL,
    model text NOT NULL,
    reason text NOT NULL,
    author text NOT NULL,
    update_time timestamp with time zone NOT NULL,
    CONSTRAINT freezes_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 1024)))
);
CREATE TABLE public.organizations (
    organization_id uuid NOT NULL,
    tier text DEFAULT 'default'::text NOT NULL,
    workflow_limit_nano_usd public.limit_nano_usd,
    monthly_quota_nano_usd public.limit_nano_usd,
    last_sequence bigint DEFAULT 0 NOT NULL,
    create_time timestamp with time zone DEFAULT public.governor_now() NOT NULL,
    is_set_up boolean DEFAULT false NOT NULL,
    author text,
    update_time timestamp with time zone,
    CONSTRAINT organizations_check CHECK (((author IS NULL) = (update_time IS NULL))),
    CONSTRAINT organizations_check1 CHECK ((is_set_up OR (author IS NULL))),
    CONSTRAINT organizations_last_sequence_check CHECK ((last_sequence >= 0))
)
WITH (fillfactor='50');
CREATE TABLE public.tiers (
    tier text NOT NULL,
    workflow_limit_nano_usd public.limit_nano_usd,
    monthly_quota_nano_usd public.limit_nano_usd,
    allowed_models text[] DEFAULT '{}'::text[] NOT NULL,
    downgrade_threshold_percent integer,
    subscription_price_nano_usd public.limit_nano_usd DEFAULT 0 NOT NULL,
    author text NOT NULL,
    update_time timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tiers_allowed_models_check CHECK ((cardinality(allowed_models) <= 1000)),
    CONSTRAINT tiers_downgrade_threshold_percent_check CHECK (((downgrade_threshold_percent >= 1) AND (downgrade_threshold_percent <= 100))),
    CONSTRAINT tiers_tier_check CHECK (((length(tier) >= 1) AND (length(tier) <= 200)))
);
CREATE FUNCTION public.terms_of(p_organization_id uuid) RETURNS public.organization_terms
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT ROW((COALESCE(o.workflow_limit_nano_usd, t.workflow_limit_nano_usd))::bigint, (COALESCE(o.monthly_quota_nano_usd, t.monthly_quota_nano_usd))::bigint, t.allowed_models, t.downgrade_threshold_percent, (EXISTS ( SELECT
            FROM public.budget_limits l
           WHERE (l.organization_id = terms_of.p_organization_id))),
         CASE
             WHEN (public.denies_unknown_organizations() AND (o.is_set_up IS NOT TRUE)) THEN 'ORGANIZATION_UNKNOWN'::text
             WHEN (''::text = ANY (frozen.models)) THEN 'FROZEN'::text
             ELSE NULL::text
         END, frozen.models)::public.organization_terms AS "row"
    FROM (((( VALUES (terms_of.p_organization_id)) asked(organization_id)
      LEFT JOIN public.organizations o USING (organization_id))
      JOIN public.tiers t ON ((t.tier = COALESCE(o.tier, 'default'::text))))
      CROSS JOIN ( SELECT ARRAY( SELECT f.model
                    FROM public.freezes f
                   WHERE (f.organization_id = ANY (ARRAY[terms_of.p_organization_id, public.every_organization()]))) AS models) frozen);
END;
CREATE FUNCTION public.check_budget(p_organization_id uuid, p_workflow_id uuid, p_labels jsonb, p_models text[], p_input_tokens_max bigint, p_output_tokens_max bigint, p_output_tokens_min bigint, p_requests_max bigint) RETURNS TABLE(outcome text, model text, output_tokens_max bigint, held_nano_usd bigint, budget_keys text[], limits_nano_usd bigint[], budgets_spent_nano_usd bigint[], budgets_held_nano_usd bigint[], budgets_unguarded_nano_usd bigint[])
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT d.outcome,
     d.model,
     d.output_tokens_max,
     d.held_nano_usd,
     d.budget_keys,
     d.limits_nano_usd,
     d.spent_nano_usd,
     d.held_before_nano_usd,
     d.unguarded_nano_usd
    FROM public.decide_authorization(check_budget.p_organization_id, public.terms_of(check_budget.p_organization_id), public.governor_now(), check_budget.p_workflow_id, check_budget.p_labels, check_budget.p_models, check_budget.p_input_tokens_max, check_budget.p_output_tokens_max, check_budget.p_output_tokens_min, check_budget.p_requests_max) d(outcome, model, price_id, output_tokens_max, held_nano_usd, downgrade_reason, budget_keys, limits_nano_usd, spent_nano_usd, held_before_nano_usd, unguarded_nano_usd, lacks_account);
END;
CREATE FUNCTION public.check_workflow_cost_limit(p_workflow_id uuid, p_additional_cost numeric, p_max_cost numeric DEFAULT 1.00) RETURNS boolean
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    -- NaN is above every number, and every number below NaN.
    IF p_workflow_id IS NULL OR (p_additional_cost >= 0 AND 'NaN' NOT IN (p_additional_cost, p_max_cost)) IS NOT TRUE
    THEN
        RAISE EXCEPTION 'p_workflow_id and amounts of USD, p_additional_cost not below 0, must be given'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN coalesce(sum(b.spent_nano_usd + b.held_nano_usd), 0) + ceil(p_additional_cost * 1000000000)
        <= p_max_cost * 1000000000
    FROM budgets AS b
    WHERE b.budget_key ^@ 'workflow/' AND b.budget_key = 'workflow/' || p_workflow_id;
END
$$;
CREATE FUNCTION public.claim_request_id(p_organization_id uuid, p_method text, p_request_id uuid, p_content_hash bytea, OUT outcome text, OUT answer jsonb) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
BEGIN
    IF p_request_id IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO request_ids AS r (organization_id, method, request_id, content_hash, create_time)
    VALUES (p_organization_id, p_method, p_request_id, p_content_hash, governor_now())
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT CASE WHEN r.content_hash = p_content_hash THEN 'REPLAYED' ELSE 'REQUEST_ID_REUSED' END, r.answer
        INTO outcome, answer
        FROM request_ids AS r
        WHERE r.organization_id = p_organization_id AND r.method = p_method AND r.request_id = p_request_id;
    END IF;
END
$$;
CREATE FUNCTION public.create_price(p_request_id uuid, p_content_hash bytea, p_model text, p_effective_time timestamp with time zone, p_input_nano_usd_per_mtok bigint, p_cached_input_nano_usd_per_mtok bigint, p_cache_write_nano_usd_per_mtok bigint, p_output_nano_usd_per_mtok bigint, p_reasoning_nano_usd_per_mtok bigint, p_request_nano_usd bigint, p_source text, p_author text, OUT outcome text, OUT price_id uuid) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_effective_time timestamptz;
    v_known price_requests;
BEGIN
    PERFORM lock_price_book();
    v_now := governor_now();
    v_effective_time := coalesce(p_effective_time, v_now);
    SELECT * INTO v_known FROM price_requests AS r WHERE r.request_id = p_request_id;
    IF FOUND THEN
        outcome := CASE WHEN v_known.content_hash = p_content_hash THEN 'REPLAYED' ELSE 'REQUEST_ID_REUSED' END;
        price_id := CASE WHEN outcome = 'REPLAYED' THEN v_known.price_id END;
        RETURN;
    ELSIF EXISTS (SELECT FROM prices AS p WHERE p.model = p_model AND p.effective_time = v_effective_time) THEN
        outcome := 'SAME_INSTANT';
        RETURN;
    ELSIF v_effective_time < v_now
        AND EXISTS (SELECT FROM prices AS p WHERE p.model = p_model AND p.effective_time < v_effective_time)
    THEN
        outcome := 'ALREADY_IN_FORCE';
        RETURN;
    END IF;
    -- From here on it must succeed.
    outcome := 'CREATED';
    INSERT INTO prices AS p (
        model, effective_time, input_nano_usd_per_mtok, cached_input_nano_usd_per_mtok, cache_write_nano_usd_per_mtok,
        output_nano_usd_per_mtok, reasoning_nano_usd_per_mtok, request_nano_usd, source, author, create_time
    ) VALUES (
        p_model, v_effective_time, p_input_nano_usd_per_mtok, p_cached_input_nano_usd_per_mtok,
        p_cache_write_nano_usd_per_mtok, p_output_nano_usd_per_mtok, p_reasoning_nano_usd_per_mtok,
        p_request_nano_usd, p_source, p_author, v_now
    ) RETURNING p.price_id INTO price_id;
    IF p_request_id IS NOT NULL THEN
        INSERT INTO price_requests (request_id, content_hash, price_id, create_time)
        VALUES (p_request_id, p_content_hash, price_id, v_now);
    END IF;
END
$$;
CREATE FUNCTION public.default_limit(p_budget_key text, p_monthly_quota_nano_usd bigint, p_workflow_limit_nano_usd bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN starts_with(p_budget_key, 'month/'::text) THEN p_monthly_quota_nano_usd WHEN starts_with(p_budget_key, 'workflow/'::text) THEN p_workflow_limit_nano_usd ELSE NULL::bigint END;
CREATE FUNCTION public.extend_hold(p_organization_id uuid, p_authorization_id uuid, p_expire_time timestamp with time zone, p_longest interval) RETURNS text
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_now timestamptz;
    v_hold authorizations;
BEGIN
    PERFORM FROM organizations AS o WHERE o.organization_id = p_organization_id FOR UPDATE;
    v_now := governor_now();
    SELECT * INTO v_hold FROM authorizations AS a
    WHERE a.organization_id = p_organization_id AND a.authorization_id = p_authorization_id;
    IF NOT FOUND THEN
        RETURN 'AUTHORIZATION_NOT_FOUND';
    ELSIF v_hold.state <> 'PENDING' THEN
        RETURN 'AUTHORIZATION_NOT_PENDING';
    ELSIF p_expire_time < v_hold.expire_time OR p_expire_time <= v_now THEN
        RETURN 'NOT_LATER';
    ELSIF p_expire_time > v_now + p_longest THEN
        RETURN 'TOO_LATE';
    END IF;
    UPDATE authorizations AS a SET expire_time = p_expire_time
    WHERE a.organization_id = p_organization_id AND a.authorization_id = p_authorization_id;
    RETURN 'EXTENDED';
END
$$;
CREATE FUNCTION public.state_at(p_state text, p_expire_time timestamp with time zone, p_now timestamp with time zone) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN ((p_state = 'PENDING'::text) AND (p_expire_time <= p_now)) THEN 'SUSPENSE'::text ELSE p_state END;
CREATE TABLE public.authorizations (
    organization_id uuid NOT NULL,
    authorization_id uuid NOT NULL,
    request_id uuid NOT NULL,
    request_hash bytea,
    state public.authorization_state NOT NULL,
    workflow_id uuid,
    requested_model text,
    model text,
    price_id uuid,
    input_tokens_max public.token_count,
    output_tokens_max public.token_count,
    requests_max public.request_count,
    held_nano_usd public.entry_nano_usd NOT NULL,
    downgrade_reason text,
    on_expiry public.expiry_action,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    month text,
    budget_keys text[] DEFAULT '{}'::text[] NOT NULL,
    create_time timestamp with time zone NOT NULL,
    expire_time timestamp with time zone NOT NULL,
    end_time timestamp with time zone,
    end_reason text,
    entry_id uuid,
    true_up_entry_id uuid,
    settlement_hash bytea,
    CONSTRAINT authorizations_check CHECK (((((state)::text = 'PENDING'::text) = (end_time IS NULL)) AND (((state)::text = 'SETTLED'::text) = (entry_id IS NOT NULL)) AND ((true_up_entry_id IS NULL) OR (settlement_hash IS NOT NULL)) AND ((held_nano_usd)::bigint >= 0))),
    CONSTRAINT authorizations_check1 CHECK (((num_nonnulls(request_hash, workflow_id, requested_model, model, price_id, input_tokens_max, output_tokens_max, requests_max, on_expiry, month) = 10) OR (((state)::text = 'VOIDED'::text) AND (request_hash IS NULL) AND (model IS NULL) AND ((held_nano_usd)::bigint = 0))))
)
WITH (fillfactor='70');
CREATE VIEW public.authorizations_with_price AS
 SELECT a.organization_id,
    a.authorization_id,
    a.request_id,
    a.workflow_id,
    public.state_at((a.state)::text, a.expire_time, public.governor_now()) AS state,
    a.model,
    a.input_tokens_max,
    a.output_tokens_max,
    a.requests_max,
    a.held_nano_usd,
    a.downgrade_reason,
    a.on_expiry,
    a.labels,
    a.month,
    a.budget_keys,
    a.create_time,
    a.expire_time,
    a.entry_id,
    to_jsonb(p.*) AS price
   FROM (public.authorizations a
     LEFT JOIN public.prices p ON ((p.price_id = a.price_id)));
CREATE FUNCTION public.find_hold(p_organization_id uuid, p_authorization_id uuid) RETURNS TABLE(hold jsonb, budget_keys text[], limits_nano_usd bigint[], budgets_spent_nano_usd bigint[], budgets_held_nano_usd bigint[], budgets_unguarded_nano_usd bigint[])
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT to_jsonb(a.*) AS to_jsonb,
     a.budget_keys,
     f.limits_nano_usd,
     f.spent_nano_usd,
     f.held_nano_usd,
     f.unguarded_nano_usd
    FROM (public.authorizations_with_price a
      CROSS JOIN LATERAL public.budget_figures(a.organization_id, public.terms_of(a.organization_id), a.budget_keys) f(limits_nano_usd, spent_nano_usd, held_nano_usd, unguarded_nano_usd, lacks_account))
   WHERE ((a.organization_id = find_hold.p_organization_id) AND (a.authorization_id = find_hold.p_authorization_id));
END;
CREATE FUNCTION public.first_day_of(p_month text) RETURNS date
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN make_date(("left"(p_month, 4))::integer, ("right"(p_month, 2))::integer, 1);
CREATE FUNCTION public.month_of(p_time timestamp with time zone) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_char((p_time AT TIME ZONE 'UTC'::text), 'YYYY-MM'::text);
CREATE TABLE public.budgets (
    organization_id uuid NOT NULL,
    budget_key public.account_key NOT NULL,
    spent_nano_usd public.amount_nano_usd DEFAULT 0 NOT NULL,
    held_nano_usd public.amount_nano_usd DEFAULT 0 NOT NULL,
    unguarded_nano_usd public.amount_nano_usd DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');
CREATE FUNCTION public.get_organization_monthly_ai_cost(p_organization_id uuid) RETURNS numeric
    LANGUAGE sql
    RETURN ((COALESCE(((SELECT b.spent_nano_usd FROM public.budgets b WHERE ((b.organization_id = get_organization_monthly_ai_cost.p_organization_id) AND ((b.budget_key)::text = ('month/'::text || public.month_of(public.governor_now()))))))::bigint, (0)::bigint))::numeric * 0.000000001);
CREATE FUNCTION public.hold_nano_usd(p_price public.prices, p_input_tokens_max bigint, p_output_tokens_max bigint, p_requests_max bigint) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (ceil((0.000001 * (((p_input_tokens_max)::numeric * (GREATEST((p_price).input_nano_usd_per_mtok, (p_price).cached_input_nano_usd_per_mtok, (p_price).cache_write_nano_usd_per_mtok))::numeric) + ((p_output_tokens_max)::numeric * (GREATEST((p_price).output_nano_usd_per_mtok, (p_price).reasoning_nano_usd_per_mtok))::numeric)))) + ((GREATEST(p_requests_max, (1)::bigint))::numeric * ((p_price).request_nano_usd)::numeric));
CREATE FUNCTION public.increment_workflow_cost(p_workflow_id uuid, p_additional_cost numeric) RETURNS numeric
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_cost_nano_usd CONSTANT bigint := charge_nano_usd('p_additional_cost', p_additional_cost);
    v_organization_ids CONSTANT uuid[] := ARRAY(
        SELECT b.organization_id FROM budgets AS b
        WHERE b.budget_key ^@ 'workflow/' AND b.budget_key = 'workflow/' || p_workflow_id
        LIMIT 2
    );
BEGIN
    CASE cardinality(v_organization_ids)
        WHEN 0 THEN
            RAISE EXCEPTION 'no organization knows workflow %', p_workflow_id USING ERRCODE = 'no_data_found';
        WHEN 2 THEN
            RAISE EXCEPTION 'several organizations know workflow %', p_workflow_id USING ERRCODE = 'too_many_rows';
        ELSE
            IF v_cost_nano_usd > 0 THEN
                PERFORM record_usage(
                    v_organization_ids[1], gen_random_uuid(), NULL, p_workflow_id, '', 0, 0, 0, 0, 0, 0,
                    v_cost_nano_usd, '{}', NULL, 'sql:' || session_user);
            END IF;
            RETURN workflow_total(v_organization_ids[1], p_workflow_id);
    END CASE;
END
$$;
CREATE FUNCTION public.last_day_of(p_month text) RETURNS date
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((public.first_day_of(p_month) + '1 mon -1 days'::interval))::date;
CREATE FUNCTION public.limit_in_force(p_organization_id uuid, p_has_limits boolean, p_monthly_quota_nano_usd bigint, p_workflow_limit_nano_usd bigint, p_budget_key text) RETURNS TABLE(limit_nano_usd bigint)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT COALESCE(
         CASE
             WHEN p_has_limits THEN (COALESCE(( SELECT own.limit_nano_usd
                FROM public.budget_limits own
               WHERE ((own.organization_id = limit_in_force.p_organization_id) AND ((own.budget_key)::text = limit_in_force.p_budget_key))), ( SELECT standing.limit_nano_usd
                FROM public.budget_limits standing
               WHERE ((standing.organization_id = limit_in_force.p_organization_id) AND ((standing.budget_key)::text = regexp_replace(limit_in_force.p_budget_key, '^((?:label/)?month/)[0-9]{4}-[0-9]{2}'::text, '\1standing'::text))))))::bigint
             ELSE NULL::bigint
         END, public.default_limit(p_budget_key, p_monthly_quota_nano_usd, p_workflow_limit_nano_usd)) AS "coalesce";
END;
CREATE FUNCTION public.limits_in_force(p_organization_id uuid, p_terms public.organization_terms, p_budget_keys text[]) RETURNS bigint[]
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    v_limits bigint[] := '{}';
BEGIN
    FOR i IN 1 .. cardinality(p_budget_keys) LOOP
        IF p_terms.has_limits THEN
            v_limits[i] := (
                SELECT l.limit_nano_usd FROM limit_in_force(
                    p_organization_id, true, p_terms.monthly_quota_nano_usd, p_terms.workflow_limit_nano_usd,
                    p_budget_keys[i]) AS l
            );
        ELSE
            v_limits[i] := default_limit(
                p_budget_keys[i], p_terms.monthly_quota_nano_usd, p_terms.workflow_limit_nano_usd);
        END IF;
    END LOOP;
    RETURN v_limits;
END
$$;
CREATE FUNCTION public.lock_organization(p_organization_id uuid, p_makes_row boolean DEFAULT true) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_last_sequence bigint;
BEGIN
    SELECT last_sequence INTO v_last_sequence FROM organizations
    WHERE organization_id = p_organization_id FOR UPDATE;
    IF NOT FOUND AND p_makes_row THEN
        INSERT INTO organizations (organization_id) VALUES (p_organization_id) ON CONFLICT DO NOTHING;
        SELECT last_sequence INTO v_last_sequence FROM organizations
        WHERE organization_id = p_organization_id FOR UPDATE;
    END IF;
    RETURN v_last_sequence;
END
$$;
CREATE FUNCTION public.lock_price_book() RETURNS void
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT pg_advisory_xact_lock(hashtextextended('governor.prices'::text, (0)::bigint)) AS pg_advisory_xact_lock;
END;
CREATE FUNCTION public.organizations_to_sweep(p_retention interval, p_limit integer) RETURNS SETOF uuid
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT due.organization_id
    FROM ( SELECT a.organization_id
            FROM public.authorizations a
           WHERE (((a.state)::text = 'PENDING'::text) AND (a.expire_time <= ( SELECT (public.governor_now() - organizations_to_sweep.p_retention))))
           ORDER BY a.expire_time
          LIMIT (organizations_to_sweep.p_limit * 100)) due
   GROUP BY due.organization_id
  LIMIT organizations_to_sweep.p_limit;
END;
CREATE FUNCTION public.output_tokens_that_fit(p_price public.prices, p_available_nano_usd numeric, p_input_tokens_max bigint, p_requests_max bigint, p_output_tokens_max bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (public.hold_nano_usd(p_price, p_input_tokens_max, (0)::bigint, p_requests_max) <= p_available_nano_usd) THEN (LEAST((p_output_tokens_max)::numeric, div((((1000000)::numeric * (p_available_nano_usd - ((GREATEST(p_requests_max, (1)::bigint))::numeric * ((p_price).request_nano_usd)::numeric))) - ((p_input_tokens_max)::numeric * (GREATEST((p_price).input_nano_usd_per_mtok, (p_price).cached_input_nano_usd_per_mtok, (p_price).cache_write_nano_usd_per_mtok))::numeric)), (NULLIF(GREATEST((p_price).output_nano_usd_per_mtok, (p_price).reasoning_nano_usd_per_mtok), 0))::numeric)))::bigint ELSE NULL::bigint END;
CREATE FUNCTION public.price_at(p_model text, p_time timestamp with time zone) RETURNS public.prices
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
 SELECT p.*::public.prices AS p
    FROM public.prices p
   WHERE ((p.model = price_at.p_model) AND (p.effective_time <= price_at.p_time))
   ORDER BY p.effective_time DESC
  LIMIT 1;
END;
CREATE FUNCTION public.record_usage(p_organization_id uuid, p_idempotency_key uuid, p_request_hash bytea, p_workflow_id uuid, p_served_model text, p_input_tokens bigint, p_cached_input_tokens bigint, p_cache_write_tokens bigint, p_output_tokens bigint, p_reasoning_tokens bigint, p_requests bigint, p_provider_cost_nano_usd bigint, p_labels jsonb, p_occurred_time timestamp with time zone, p_author text, OUT outcome text, OUT entry jsonb) RETURNS record
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.record_usage_and_increment(p_workflow_id uuid, p_organization_id uuid, p_model text, p_prompt_tokens integer, p_completion_tokens integer, p_cost numeric, p_idempotency_key uuid DEFAULT gen_random_uuid()) RETURNS numeric
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_cost_nano_usd CONSTANT bigint := charge_nano_usd('p_cost', p_cost);
    v_model CONSTANT text := canonical_model(p_model);
    v_outcome text;
BEGIN
    IF num_nulls(p_workflow_id, p_organization_id, p_idempotency_key) > 0 OR coalesce(v_model, '') = '' THEN
        RAISE EXCEPTION 'p_workflow_id, p_organization_id, p_model and p_idempotency_key must be given'
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF (p_prompt_tokens BETWEEN 0 AND 1000000000 AND p_completion_tokens BETWEEN 0 AND 1000000000) IS NOT TRUE THEN
        RAISE EXCEPTION 'p_prompt_tokens and p_completion_tokens must be between 0 and 1000000000'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT r.outcome INTO v_outcome
    FROM record_usage(
        p_organization_id, p_idempotency_key,
        sha256(convert_to(concat_ws(
            '|', 'record_usage_and_increment', p_workflow_id, p_prompt_tokens, p_completion_tokens, v_cost_nano_usd,
            v_model), 'UTF8')),
        p_workflow_id, v_model, p_prompt_tokens, 0, 0, p_completion_tokens, 0, 1,
        v_cost_nano_usd, '{}', NULL, 'sql:' || session_user) AS r;
    CASE v_outcome
        WHEN 'RECORDED', 'REPLAYED' THEN
            RETURN workflow_total(p_organization_id, p_workflow_id);
        WHEN 'REQUEST_ID_REUSED' THEN
            RAISE EXCEPTION 'p_idempotency_key was used before, with other content' USING ERRCODE = 'unique_violation';
        WHEN 'MODEL_NOT_PRICED' THEN
            RAISE EXCEPTION 'the price book has no price for %, and p_cost is 0', v_model
                USING ERRCODE = 'invalid_parameter_value';
        WHEN 'COST_TOO_LARGE' THEN
            RAISE EXCEPTION 'the usage costs more than one entry takes' USING ERRCODE = 'numeric_value_out_of_range';
    END CASE;
END
$$;
CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
CREATE FUNCTION public.set_budget(p_organization_id uuid, p_request_id uuid, p_content_hash bytea, p_budget_key text, p_limit_nano_usd bigint, p_author text) RETURNS text
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_now timestamptz;
    v_claim record;
BEGIN
    PERFORM lock_organization(p_organization_id);
    v_now := governor_now();
    v_claim := claim_request_id(p_organization_id, 'SetBudget', p_request_id, p_content_hash);
    IF v_claim.outcome IS NOT NULL THEN
        RETURN v_claim.outcome;
    END IF;
    UPDATE organizations AS o SET is_set_up = true
    WHERE o.organization_id = p_organization_id AND NOT o.is_set_up;
    INSERT INTO budget_limits (organization_id, budget_key, limit_nano_usd, author, update_time)
    VALUES (p_organization_id, p_budget_key, p_limit_nano_usd, p_author, v_now)
    ON CONFLICT (organization_id, budget_key) DO UPDATE
    SET limit_nano_usd = excluded.limit_nano_usd, author = excluded.author, update_time = excluded.update_time;
    INSERT INTO budget_limit_changes (organization_id, budget_key, limit_nano_usd, author, change_time)
    VALUES (p_organization_id, p_budget_key, p_limit_nano_usd, p_author, v_now);
    RETURN 'SET';
END
$$;
CREATE FUNCTION public.set_freeze(p_organization_id uuid, p_request_id uuid, p_content_hash bytea, p_model text, p_frozen boolean, p_reason text, p_author text, OUT outcome text, OUT answer jsonb) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_claim record;
    v_change freeze_changes;
BEGIN
    -- To be frozen is not to be set up: an organization without a row stays without.
    PERFORM lock_organization(p_organization_id, false);
    -- One change at a time, so that the newest of the history is what stands. Readers do not wait.
    LOCK TABLE freezes IN SHARE ROW EXCLUSIVE MODE;
    v_now := governor_now();
    v_claim := claim_request_id(p_organization_id, 'SetFreeze', p_request_id, p_content_hash);
    IF v_claim.outcome IS NOT NULL THEN
        outcome := v_claim.outcome;
        answer := v_claim.answer;
        RETURN;
    END IF;
    IF p_frozen THEN
        INSERT INTO freezes AS f VALUES (p_organization_id, p_model, p_reason, p_author, v_now)
        ON CONFLICT (organization_id, model) DO UPDATE
        SET reason = excluded.reason, author = excluded.author, update_time = excluded.update_time;
    ELSE
        DELETE FROM freezes AS f WHERE f.organization_id = p_organization_id AND f.model = p_model;
    END IF;
    INSERT INTO freeze_changes AS c (organization_id, model, frozen, reason, author, change_time)
    VALUES (p_organization_id, p_model, p_frozen, p_reason, p_author, v_now)
    RETURNING c.* INTO v_change;
    outcome := 'SET';
    answer := to_jsonb(v_change);
    UPDATE request_ids AS r SET answer = to_jsonb(v_change)
    WHERE r.organization_id = p_organization_id AND r.method = 'SetFreeze' AND r.request_id = p_request_id;
END
$$;
CREATE FUNCTION public.set_organization(p_organization_id uuid, p_request_id uuid, p_content_hash bytea, p_fields text[], p_tier text, p_workflow_limit_nano_usd bigint, p_monthly_quota_nano_usd bigint, p_author text, OUT outcome text, OUT answer jsonb) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_claim record;
    v_organization organizations;
BEGIN
    -- Tiers are never taken away: what is there now is there for good.
    PERFORM FROM tiers AS t WHERE t.tier = coalesce(p_tier, 'default');
    IF NOT FOUND THEN
        outcome := 'TIER_NOT_FOUND';
        RETURN;
    END IF;
    PERFORM lock_organization(p_organization_id);
    v_now := governor_now();
    v_claim := claim_request_id(p_organization_id, 'SetOrganization', p_request_id, p_content_hash);
    IF v_claim.outcome IS NOT NULL THEN
        outcome := v_claim.outcome;
        answer := v_claim.answer;
        RETURN;
    END IF;
    UPDATE organizations AS o SET
        tier = CASE WHEN 'tier' = ANY (p_fields) THEN coalesce(p_tier, 'default') ELSE o.tier END,
        workflow_limit_nano_usd = CASE WHEN 'workflow_limit_nano_usd' = ANY (p_fields)
            THEN p_workflow_limit_nano_usd ELSE o.workflow_limit_nano_usd END,
        monthly_quota_nano_usd = CASE WHEN 'monthly_quota_nano_usd' = ANY (p_fields)
            THEN p_monthly_quota_nano_usd ELSE o.monthly_quota_nano_usd END,
        is_set_up = true,
        author = p_author,
        update_time = v_now
    WHERE o.organization_id = p_organization_id
    RETURNING o.* INTO v_organization;
    INSERT INTO organization_changes (
        organization_id, tier, workflow_limit_nano_usd, monthly_quota_nano_usd, author, change_time
    ) VALUES (
        p_organization_id, v_organization.tier, v_organization.workflow_limit_nano_usd,
        v_organization.monthly_quota_nano_usd, p_author, v_now
    );
    outcome := 'SET';
    answer := to_jsonb(v_organization);
    UPDATE request_ids AS r SET answer = to_jsonb(v_organization)
    WHERE r.organization_id = p_organization_id AND r.method = 'SetOrganization' AND r.request_id = p_request_id;
END
$$;
CREATE FUNCTION public.set_tier(p_request_id uuid, p_content_hash bytea, p_tier text, p_workflow_limit_nano_usd bigint, p_monthly_quota_nano_usd bigint, p_allowed_models text[], p_downgrade_threshold_percent integer, p_subscription_price_nano_usd bigint, p_author text, OUT outcome text, OUT answer jsonb) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_claim record;
    v_tier tiers;
BEGIN
    -- One change at a time, so that the newest of the history is what stands. Readers do not wait.
    LOCK TABLE tiers IN SHARE ROW EXCLUSIVE MODE;
    v_now := governor_now();
    v_claim := claim_request_id(every_organization(), 'SetTier', p_request_id, p_content_hash);
    IF v_claim.outcome IS NOT NULL THEN
        outcome := v_claim.outcome;
        answer := v_claim.answer;
        RETURN;
    END IF;
    INSERT INTO tiers AS t VALUES (
        p_tier, p_workflow_limit_nano_usd, p_monthly_quota_nano_usd, p_allowed_models,
        p_downgrade_threshold_percent, p_subscription_price_nano_usd, p_author, v_now
    )
    ON CONFLICT (tier) DO UPDATE SET
        workflow_limit_nano_usd = excluded.workflow_limit_nano_usd,
        monthly_quota_nano_usd = excluded.monthly_quota_nano_usd,
        allowed_models = excluded.allowed_models,
        downgrade_threshold_percent = excluded.downgrade_threshold_percent,
        subscription_price_nano_usd = excluded.subscription_price_nano_usd,
        author = excluded.author,
        update_time = excluded.update_time
    RETURNING t.* INTO v_tier;
    INSERT INTO tier_changes (
        tier, workflow_limit_nano_usd, monthly_quota_nano_usd, allowed_models, downgrade_threshold_percent,
        subscription_price_nano_usd, author, change_time
    ) VALUES (
        v_tier.tier, v_tier.workflow_limit_nano_usd, v_tier.monthly_quota_nano_usd, v_tier.allowed_models,
        v_tier.downgrade_threshold_percent, v_tier.subscription_price_nano_usd, p_author, v_now
    );
    outcome := 'SET';
    answer := to_jsonb(v_tier);
    UPDATE request_ids AS r SET answer = to_jsonb(v_tier)
    WHERE r.organization_id = every_organization() AND r.method = 'SetTier' AND r.request_id = p_request_id;
END
$$;
CREATE FUNCTION public.settle_batch(p_organization_ids uuid[], p_ends integer[], p_authorization_ids uuid[], p_settlement_hashes bytea[], p_true_up_keys uuid[], p_served_models text[], p_input_tokens bigint[], p_cached_input_tokens bigint[], p_cache_write_tokens bigint[], p_output_tokens bigint[], p_reasoning_tokens bigint[], p_requests bigint[], p_provider_costs_nano_usd bigint[], p_provider_generation_ids text[], p_authors text[]) RETURNS TABLE(item integer, outcome text, hold_state text, entry jsonb, budget_keys text[], limits_nano_usd bigint[], budgets_spent_nano_usd bigint[], budgets_held_nano_usd bigint[], budgets_unguarded_nano_usd bigint[])
    LANGUAGE plpgsql
    AS $$
DECLARE
    a integer := 1;
    z integer;
BEGIN
    FOR k IN 1 .. cardinality(p_organization_ids) LOOP
        z := p_ends[k];
        RETURN QUERY SELECT * FROM settle_holds(
            p_organization_ids[k],
            p_authorization_ids[a:z], p_settlement_hashes[a:z], p_true_up_keys[a:z], p_served_models[a:z],
            p_input_tokens[a:z], p_cached_input_tokens[a:z], p_cache_write_tokens[a:z],
            p_output_tokens[a:z], p_reasoning_tokens[a:z], p_requests[a:z],
            p_provider_costs_nano_usd[a:z], p_provider_generation_ids[a:z], p_authors[a:z]);
        a := z + 1;
    END LOOP;
END
$$;
CREATE FUNCTION public.settle_holds(p_organization_id uuid, p_authorization_ids uuid[], p_settlement_hashes bytea[], p_true_up_keys uuid[], p_served_models text[], p_input_tokens bigint[], p_cached_input_tokens bigint[], p_cache_write_tokens bigint[], p_output_tokens bigint[], p_reasoning_tokens bigint[], p_requests bigint[], p_provider_costs_nano_usd bigint[], p_provider_generation_ids text[], p_authors text[]) RETURNS TABLE(item integer, outcome text, hold_state text, entry jsonb, budget_keys text[], limits_nano_usd bigint[], budgets_spent_nano_usd bigint[], budgets_held_nano_usd bigint[], budgets_unguarded_nano_usd bigint[])
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.settle_together(p_organization_ids uuid[], p_authorization_ids uuid[], p_settlement_hashes bytea[], p_served_models text[], p_input_tokens bigint[], p_cached_input_tokens bigint[], p_cache_write_tokens bigint[], p_output_tokens bigint[], p_reasoning_tokens bigint[], p_requests bigint[], p_provider_costs_nano_usd bigint[], p_provider_generation_ids text[], p_authors text[]) RETURNS TABLE(item integer, sequence bigint, workflow_id uuid, requested_model text, model text, cost_nano_usd bigint, rated_cost_nano_usd bigint, held_nano_usd bigint, overage_nano_usd bigint, price_id uuid, flags text[], labels jsonb, month text, created_at timestamp with time zone, budget_key text, limit_nano_usd bigint, budget_spent_nano_usd bigint, budget_held_nano_usd bigint, budget_unguarded_nano_usd bigint)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    v_locked uuid[];
    v_now timestamptz;
BEGIN
    -- The one lock order: organizations, sorted. One that is made from here on is not ours to decide for.
    v_locked := ARRAY(
        SELECT o.organization_id FROM organizations AS o WHERE o.organization_id = ANY (p_organization_ids)
        ORDER BY o.organization_id FOR UPDATE
    );
    v_now := governor_now();
    RETURN QUERY
    WITH charged AS (
        SELECT
            s.item::integer AS item, s.organization_id, s.authorization_id,
            h.workflow_id, h.requested_model, h.model, h.price_id, h.held_nano_usd::bigint AS held_nano_usd,
            h.labels, h.month, h.budget_keys,
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
            p_input_tokens, p_cached_input_tokens, p_cache_write_tokens,
            p_output_tokens, p_reasoning_tokens, p_requests, p_provider_costs_nano_usd
        ) WITH ORDINALITY AS s (
            organization_id, authorization_id, settlement_hash, served_model,
            input_tokens, cached_input_tokens, cache_write_tokens,
            output_tokens, reasoning_tokens, requests, provider_cost_nano_usd, item
        )
        JOIN organizations AS o ON o.organization_id = s.organization_id
        JOIN tiers AS t ON t.tier = o.tier
        CROSS JOIN LATERAL (
            SELECT * FROM authorizations AS hold
            WHERE hold.organization_id = s.organization_id AND hold.authorization_id = s.authorization_id
            OFFSET 0
        ) AS h
        JOIN prices AS p ON p.price_id = h.price_id
        CROSS JOIN LATERAL charges_of(
            p, h.held_nano_usd, h.held_nano_usd, false, false, false,
            s.input_tokens, s.cached_input_tokens, s.cache_write_tokens,
            s.output_tokens, s.reasoning_tokens, s.requests, s.provider_cost_nano_usd) AS charge
        WHERE s.organization_id = ANY (v_locked)
            AND state_at(h.state, h.expire_time, v_now) = 'PENDING'
            AND s.settlement_hash IS NOT NULL AND s.served_model IN ('', h.model)
            -- Above a million USD it is no entry.
            AND charge.cost_nano_usd <= 1000000000000000
            -- No item before it settles the same hold.
            AND array_position(p_authorization_ids, s.authorization_id) = s.item
    ),
    -- A line for each budget of each item, with what the items up to it make of the budget.
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
            prompt_tokens, cached_input_tokens, cache_write_tokens, completion_tokens, reasoning_tokens, requests,
            cost_nano_usd, rated_cost_nano_usd, provider_cost_nano_usd, provider_generation_id,
            held_nano_usd, overage_nano_usd, price_id, flags, labels, month, author, created_at
        )
        SELECT
            s.organization_id, s.authorization_id, s.sequence, 'USAGE', s.workflow_id, s.authorization_id,
            s.requested_model, s.model, s.model,
            p_input_tokens[s.item], p_cached_input_tokens[s.item], p_cache_write_tokens[s.item],
            p_output_tokens[s.item], p_reasoning_tokens[s.item], p_requests[s.item],
            s.cost_nano_usd, s.rated_cost_nano_usd,
            p_provider_costs_nano_usd[s.item], p_provider_generation_ids[s.item],
            s.held_nano_usd, s.overage_nano_usd, s.price_id, s.flags, s.labels, s.month, p_authors[s.item], v_now
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
        s.price_id, s.flags, s.labels, s.month, v_now,
        s.budget_key, s.limit_nano_usd, s.budget_spent_nano_usd::bigint, s.budget_held_nano_usd::bigint,
        s.budget_unguarded_nano_usd::bigint
    FROM shared AS s
    WHERE all_were_moved((SELECT count(*) FROM moved), (SELECT count(*) FROM changes))
    ORDER BY s.item, s.place;
END
$$;
CREATE FUNCTION public.sweep_holds(p_organization_id uuid, p_retention interval, p_limit integer, p_author text) RETURNS TABLE(released_holds integer, charged_holds integer)
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_now timestamptz;
    v_hold authorizations;
    v_charged uuid[] := '{}';
BEGIN
    released_holds := 0;
    charged_holds := 0;
    PERFORM FROM organizations AS o WHERE o.organization_id = p_organization_id FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        v_now := governor_now();
        FOR v_hold IN
            SELECT * FROM authorizations AS a
            WHERE a.organization_id = p_organization_id AND a.state = 'PENDING'
                AND a.expire_time <= v_now - p_retention
            -- Those of one instant by their requests, so that no accident orders the ledger.
            ORDER BY a.expire_time, a.request_id
            LIMIT p_limit
        LOOP
            IF v_hold.on_expiry = 'CHARGE' THEN
                v_charged := v_charged || v_hold.authorization_id;
            ELSE
                UPDATE budgets AS b SET held_nano_usd = b.held_nano_usd - v_hold.held_nano_usd
                WHERE b.organization_id = p_organization_id AND b.budget_key = ANY (v_hold.budget_keys);
                UPDATE authorizations AS a SET state = 'EXPIRED', end_time = v_now, end_reason = 'retention passed'
                WHERE a.organization_id = p_organization_id AND a.authorization_id = v_hold.authorization_id;
                released_holds := released_holds + 1;
            END IF;
        END LOOP;
        charged_holds := cardinality(v_charged);
        IF charged_holds > 0 THEN
            PERFORM settle_holds(
                p_organization_id, v_charged,
                array_fill(NULL::bytea, ARRAY[charged_holds]), array_fill(NULL::uuid, ARRAY[charged_holds]),
                array_fill(''::text, ARRAY[charged_holds]),
                array_fill(0::bigint, ARRAY[charged_holds]), array_fill(0::bigint, ARRAY[charged_holds]),
                array_fill(0::bigint, ARRAY[charged_holds]), array_fill(0::bigint, ARRAY[charged_holds]),
                array_fill(0::bigint, ARRAY[charged_holds]), array_fill(0::bigint, ARRAY[charged_holds]),
                array_fill(NULL::bigint, ARRAY[charged_holds]), array_fill(''::text, ARRAY[charged_holds]),
                array_fill(p_author, ARRAY[charged_holds]));
        END IF;
    END IF;
    RETURN NEXT;
END
$$;
CREATE FUNCTION public.void_hold(p_organization_id uuid, p_authorization_id uuid, p_request_id uuid, p_reason text) RETURNS text
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.workflow_total(p_organization_id uuid, p_workflow_id uuid) RETURNS numeric
    LANGUAGE sql STABLE
    RETURN ((COALESCE(((SELECT b.spent_nano_usd FROM public.budgets b WHERE ((b.organization_id = workflow_total.p_organization_id) AND ((b.budget_key)::text = ('workflow/'::text || workflow_total.p_workflow_id)))))::bigint, (0)::bigint))::numeric * 0.000000001);
CREATE TABLE public.ai_usage_ledger (
    organization_id uuid NOT NULL,
    idempotency_key uuid NOT NULL,
    id uuid GENERATED ALWAYS AS (idempotency_key) STORED NOT NULL,
    sequence bigint NOT NULL,
    kind public.entry_kind NOT NULL,
    workflow_id uuid NOT NULL,
    authorization_id uuid,
    requested_model text NOT NULL,
    granted_model text NOT NULL,
    model text NOT NULL,
    prompt_tokens public.token_count NOT NULL,
    cached_input_tokens public.token_count NOT NULL,
    cache_write_tokens public.token_count NOT NULL,
    completion_tokens public.token_count NOT NULL,
    reasoning_tokens public.token_count NOT NULL,
    requests public.request_count NOT NULL,
    cost_nano_usd public.entry_nano_usd NOT NULL,
    cost numeric GENERATED ALWAYS AS (((cost_nano_usd)::numeric * 0.000000001)) STORED NOT NULL,
    rated_cost_nano_usd public.amount_nano_usd NOT NULL,
    provider_cost_nano_usd public.amount_nano_usd,
    provider_generation_id text DEFAULT ''::text NOT NULL,
    held_nano_usd public.amount_nano_usd NOT NULL,
    overage_nano_usd public.amount_nano_usd NOT NULL,
    price_id uuid,
    flags text[] DEFAULT '{}'::text[] NOT NULL,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    month text NOT NULL,
    adjusts_entry_id uuid,
    reason text DEFAULT ''::text NOT NULL,
    author text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    occurred_at timestamp with time zone,
    budget_keys text[],
    request_hash bytea,
    day date GENERATED ALWAYS AS (GREATEST(make_date(("left"(month, 4))::integer, ("right"(month, 2))::integer, 1), LEAST(((COALESCE(occurred_at, created_at) AT TIME ZONE 'UTC'::text))::date, ((make_date(("left"(month, 4))::integer, ("right"(month, 2))::integer, 1) + '1 mon -1 days'::interval))::date))) STORED NOT NULL,
    CONSTRAINT ai_usage_ledger_check CHECK (((sequence > 0) AND (((cached_input_tokens)::bigint + (cache_write_tokens)::bigint) <= (prompt_tokens)::bigint) AND ((reasoning_tokens)::bigint <= (completion_tokens)::bigint) AND
CASE
    WHEN ((kind)::text = 'ADJUSTMENT'::text) THEN (adjusts_entry_id IS NOT NULL)
    ELSE ((adjusts_entry_id IS NULL) AND (((cost_nano_usd)::bigint >= 0) AND ((cost_nano_usd)::bigint <= ((held_nano_usd)::bigint + (overage_nano_usd)::bigint))))
END)),
    CONSTRAINT ai_usage_ledger_check1 CHECK ((num_nonnulls(authorization_id, budget_keys) = 1)),
    CONSTRAINT ai_usage_ledger_check2 CHECK (((occurred_at IS NOT NULL) = ((authorization_id IS NULL) AND ((kind)::text = 'USAGE'::text))))
);
CREATE TABLE public.budget_limit_changes (
    organization_id uuid NOT NULL,
    change_id uuid DEFAULT gen_random_uuid() NOT NULL,
    budget_key public.budget_key NOT NULL,
    limit_nano_usd public.limit_nano_usd,
    author text NOT NULL,
    change_time timestamp with time zone NOT NULL
);
CREATE TABLE public.daily_costs (
    organization_id uuid NOT NULL,
    day date NOT NULL,
    model text NOT NULL,
    cost_nano_usd bigint NOT NULL,
    entries bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE public.freeze_changes (
    organization_id uuid NOT NULL,
    change_id uuid DEFAULT gen_random_uuid() NOT NULL,
    model text NOT NULL,
    frozen boolean NOT NULL,
    reason text NOT NULL,
    author text NOT NULL,
    change_time timestamp with time zone NOT NULL,
    CONSTRAINT freeze_changes_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 1024)))
);
CREATE TABLE public.label_costs (
    organization_id uuid NOT NULL,
    month text NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    cost_nano_usd bigint NOT NULL,
    entries bigint NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE public.organization_changes (
    organization_id uuid NOT NULL,
    change_id uuid DEFAULT gen_random_uuid() NOT NULL,
    tier text NOT NULL,
    workflow_limit_nano_usd public.limit_nano_usd,
    monthly_quota_nano_usd public.limit_nano_usd,
    author text NOT NULL,
    change_time timestamp with time zone NOT NULL
);
CREATE TABLE public.price_requests (
    request_id uuid NOT NULL,
    content_hash bytea NOT NULL,
    price_id uuid NOT NULL,
    create_time timestamp with time zone NOT NULL
);
CREATE TABLE public.request_ids (
    organization_id uuid NOT NULL,
    method text NOT NULL,
    request_id uuid NOT NULL,
    content_hash bytea NOT NULL,
    create_time timestamp with time zone NOT NULL,
    answer jsonb
);
CREATE TABLE public.schema_migrations (
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_time timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.tier_changes (
    change_id uuid DEFAULT gen_random_uuid() NOT NULL,
    tier text NOT NULL,
    workflow_limit_nano_usd public.limit_nano_usd,
    monthly_quota_nano_usd public.limit_nano_usd,
    allowed_models text[] NOT NULL,
    downgrade_threshold_percent integer,
    subscription_price_nano_usd public.limit_nano_usd NOT NULL,
    author text NOT NULL,
    change_time timestamp with time zone NOT NULL
);
CREATE TABLE public.workflow_costs (
    organization_id uuid NOT NULL,
    month text NOT NULL,
    workflow_id uuid NOT NULL,
    model text NOT NULL,
    cost_nano_usd bigint NOT NULL,
    entries bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL
)
WITH (fillfactor='50');
INSERT INTO public.ai_usage_ledger VALUES
	('56676808-a68f-57e3-9f50-7530c7b3772e', '5c42a5a1-0892-5034-bbe4-32d4da5578e8', DEFAULT, 1, 'USAGE', 'cbd32939-8421-5f57-9fdd-de210fb67d98', '5c42a5a1-0892-5034-bbe4-32d4da5578e8', 'perplexity/sonar', 'perplexity/sonar', 'perplexity/sonar', 600, 0, 0, 100, 0, 1, 800000, DEFAULT, 800000, NULL, '', 2400000, 0, '0da6d1dc-6bac-4b46-82a2-431fc0661525', '{}', '{"team": "growth"}', '2026-11', NULL, '', 'anonymous', '2026-11-27 23:13:51.462468+00', NULL, NULL, NULL, DEFAULT),
	('56676808-a68f-57e3-9f50-7530c7b3772e', '77bbc45d-07b6-58ea-8ce2-a744e4280265', DEFAULT, 2, 'UNKNOWN', 'cbd32939-8421-5f57-9fdd-de210fb67d98', '77bbc45d-07b6-58ea-8ce2-a744e4280265', 'perplexity/sonar', 'perplexity/sonar', 'perplexity/sonar', 0, 0, 0, 0, 0, 0, 2400000, DEFAULT, 0, NULL, '', 2400000, 0, '0da6d1dc-6bac-4b46-82a2-431fc0661525', '{UNKNOWN_OUTCOME}', '{}', '2026-11', NULL, '', 'anonymous', '2026-11-27 23:13:51.484448+00', NULL, NULL, NULL, DEFAULT),
	('56676808-a68f-57e3-9f50-7530c7b3772e', '2ef3fd34-0388-567d-bbc9-5aa318a91efa', DEFAULT, 3, 'UNKNOWN', 'cbd32939-8421-5f57-9fdd-de210fb67d98', '2ef3fd34-0388-567d-bbc9-5aa318a91efa', 'perplexity/sonar', 'perplexity/sonar', 'perplexity/sonar', 0, 0, 0, 0, 0, 0, 2400000, DEFAULT, 0, NULL, '', 2400000, 0, '0da6d1dc-6bac-4b46-82a2-431fc0661525', '{UNKNOWN_OUTCOME}', '{}', '2026-11', NULL, '', 'anonymous', '2026-11-27 23:13:51.502143+00', NULL, NULL, NULL, DEFAULT),
	('56676808-a68f-57e3-9f50-7530c7b3772e', 'c5848901-87b9-572e-b27c-184ed5a3505e', DEFAULT, 4, 'ADJUSTMENT', 'cbd32939-8421-5f57-9fdd-de210fb67d98', '2ef3fd34-0388-567d-bbc9-5aa318a91efa', 'perplexity/sonar', 'perplexity/sonar', 'perplexity/sonar', 600, 0, 0, 100, 0, 1, -1600000, DEFAULT, 800000, NULL, '', 0, 0, '0da6d1dc-6bac-4b46-82a2-431fc0661525', '{}', '{}', '2026-11', '2ef3fd34-0388-567d-bbc9-5aa318a91efa', 'the outcome became known', 'anonymous', '2026-11-27 23:13:51.507956+00', NULL, NULL, NULL, DEFAULT),
	('56676808-a68f-57e3-9f50-7530c7b3772e', '276c5518-c4d0-5161-adbc-289a4638052c', DEFAULT, 5, 'USAGE', 'cbd32939-8421-5f57-9fdd-de210fb67d98', NULL, '', '', 'perplexity/sonar', 600, 0, 0, 100, 0, 1, 800000, DEFAULT, 800000, NULL, '', 0, 800000, '0da6d1dc-6bac-4b46-82a2-431fc0661525', '{UNGUARDED}', '{"team": "growth"}', '2026-11', NULL, '', 'anonymous', '2026-11-27 23:13:51.520883+00', '2026-11-27 23:13:51.520883+00', '{label/lifetime/team=growth,label/month/2026-11/team=growth,month/2026-11,workflow/cbd32939-8421-5f57-9fdd-de210fb67d98}', '\x7e28fb791b2b9130339e3809ff240f4984a5765b8ab76fde537ab0d69db86417', DEFAULT),
	('56676808-a68f-57e3-9f50-7530c7b3772e', 'f80cfcfa-3d1b-581c-8a87-b9d275e93bd2', DEFAULT, 6, 'ADJUSTMENT', 'cbd32939-8421-5f57-9fdd-de210fb67d98', NULL, '', '', 'perplexity/sonar', 0, 0, 0, 0, 0, 0, -700000, DEFAULT, 0, NULL, '', 0, 0, NULL, '{}', '{"team": "growth"}', '2026-11', '276c5518-c4d0-5161-adbc-289a4638052c', 'the provider''s invoice', 'anonymous', '2026-11-27 23:13:51.526703+00', NULL, '{label/lifetime/team=growth,label/month/2026-11/team=growth,month/2026-11,workflow/cbd32939-8421-5f57-9fdd-de210fb67d98}', '\x84d58be9049ee94d2b0839e6e105b14e62f6e6a4426d7673e642c3a99174c79f', DEFAULT),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', 'c7c67a22-0c06-5b9f-a9db-2ce67a41de2b', DEFAULT, 1, 'USAGE', '8b1d06da-a8f7-556c-ab6c-a13aed40490a', 'c7c67a22-0c06-5b9f-a9db-2ce67a41de2b', 'perplexity/sonar', 'perplexity/sonar', 'perplexity/sonar', 600, 0, 0, 100, 0, 1, 800000, DEFAULT, 800000, NULL, '', 2400000, 0, '0da6d1dc-6bac-4b46-82a2-431fc0661525', '{}', '{"team": "growth"}', '2026-11', NULL, '', 'anonymous', '2026-11-27 23:13:51.544917+00', NULL, NULL, NULL, DEFAULT),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', 'b921cb6a-4af3-58a0-b076-0db1bffff598', DEFAULT, 2, 'UNKNOWN', '8b1d06da-a8f7-556c-ab6c-a13aed40490a', 'b921cb6a-4af3-58a0-b076-0db1bffff598', 'perplexity/sonar', 'perplexity/sonar', 'perplexity/sonar', 0, 0, 0, 0, 0, 0, 2400000, DEFAULT, 0, NULL, '', 2400000, 0, '0da6d1dc-6bac-4b46-82a2-431fc0661525', '{UNKNOWN_OUTCOME}', '{}', '2026-11', NULL, '', 'anonymous', '2026-11-27 23:13:51.563059+00', NULL, NULL, NULL, DEFAULT),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', 'bf417645-38e1-53fd-90fc-2575cd3697c4', DEFAULT, 3, 'UNKNOWN', '8b1d06da-a8f7-556c-ab6c-a13aed40490a', 'bf417645-38e1-53fd-90fc-2575cd3697c4', 'perplexity/sonar', 'perplexity/sonar', 'perplexity/sonar', 0, 0, 0, 0, 0, 0, 2400000, DEFAULT, 0, NULL, '', 2400000, 0, '0da6d1dc-6bac-4b46-82a2-431fc0661525', '{UNKNOWN_OUTCOME}', '{}', '2026-11', NULL, '', 'anonymous', '2026-11-27 23:13:51.572828+00', NULL, NULL, NULL, DEFAULT),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', '48bf9110-4996-5f37-a06e-ce4a5f159ac3', DEFAULT, 4, 'ADJUSTMENT', '8b1d06da-a8f7-556c-ab6c-a13aed40490a', 'bf417645-38e1-53fd-90fc-2575cd3697c4', 'perplexity/sonar', 'perplexity/sonar', 'perplexity/sonar', 600, 0, 0, 100, 0, 1, -1600000, DEFAULT, 800000, NULL, '', 0, 0, '0da6d1dc-6bac-4b46-82a2-431fc0661525', '{}', '{}', '2026-11', 'bf417645-38e1-53fd-90fc-2575cd3697c4', 'the outcome became known', 'anonymous', '2026-11-27 23:13:51.578981+00', NULL, NULL, NULL, DEFAULT),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', '8b722d19-55fd-5bec-91cd-7fb6c7472bf9', DEFAULT, 5, 'USAGE', '8b1d06da-a8f7-556c-ab6c-a13aed40490a', NULL, '', '', 'perplexity/sonar', 600, 0, 0, 100, 0, 1, 800000, DEFAULT, 800000, NULL, '', 0, 800000, '0da6d1dc-6bac-4b46-82a2-431fc0661525', '{UNGUARDED}', '{"team": "growth"}', '2026-11', NULL, '', 'anonymous', '2026-11-27 23:13:51.5904+00', '2026-11-27 23:13:51.5904+00', '{month/2026-11,workflow/8b1d06da-a8f7-556c-ab6c-a13aed40490a}', '\xa3cb1b201f43d8d4b5a1f5d4300be00c68afeadfac52bf567385600e1522490b', DEFAULT),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', 'f38f1e80-c505-5719-a425-9c46bbb51ebd', DEFAULT, 6, 'ADJUSTMENT', '8b1d06da-a8f7-556c-ab6c-a13aed40490a', NULL, '', '', 'perplexity/sonar', 0, 0, 0, 0, 0, 0, -700000, DEFAULT, 0, NULL, '', 0, 0, NULL, '{}', '{"team": "growth"}', '2026-11', '8b722d19-55fd-5bec-91cd-7fb6c7472bf9', 'the provider''s invoice', 'anonymous', '2026-11-27 23:13:51.595381+00', NULL, '{month/2026-11,workflow/8b1d06da-a8f7-556c-ab6c-a13aed40490a}', '\x01622b1f790875df95298be8f6c13a27a57d4bb58ed71c2612eedb3d8d0c675e', DEFAULT);
INSERT INTO public.authorizations VALUES
	('56676808-a68f-57e3-9f50-7530c7b3772e', '5c42a5a1-0892-5034-bbe4-32d4da5578e8', '52b92e1e-bcc7-5326-9a98-61d3d24c40dd', '\x7f1637fe4165d1477940d0cbb3c270c97b598e68fc926c298bc1b627140c173f', 'SETTLED', 'cbd32939-8421-5f57-9fdd-de210fb67d98', 'perplexity/sonar', 'perplexity/sonar', '0da6d1dc-6bac-4b46-82a2-431fc0661525', 1000, 700, 1, 2400000, NULL, 'RELEASE', '{"team": "growth"}', '2026-11', '{label/lifetime/team=growth,label/month/2026-11/team=growth,month/2026-11,workflow/cbd32939-8421-5f57-9fdd-de210fb67d98}', '2026-11-27 23:13:51.452225+00', '2026-11-27 23:23:51.452225+00', '2026-11-27 23:13:51.462468+00', NULL, '5c42a5a1-0892-5034-bbe4-32d4da5578e8', NULL, '\xbf2051d5a716a7f2978058501b70f0f7cd9467d09e952720e49cefb0b6d2817a'),
	('56676808-a68f-57e3-9f50-7530c7b3772e', '77bbc45d-07b6-58ea-8ce2-a744e4280265', 'd6744dd6-b2c5-507b-97c9-52287450aab5', '\x1ae77493c5eb1fed94841caaf00c2565fed52b10dc26a1c511bcf9723285d40a', 'SETTLED', 'cbd32939-8421-5f57-9fdd-de210fb67d98', 'perplexity/sonar', 'perplexity/sonar', '0da6d1dc-6bac-4b46-82a2-431fc0661525', 1000, 700, 1, 2400000, NULL, 'RELEASE', '{}', '2026-11', '{month/2026-11,workflow/cbd32939-8421-5f57-9fdd-de210fb67d98}', '2026-11-27 23:13:51.478366+00', '2026-11-27 23:23:51.478366+00', '2026-11-27 23:13:51.484448+00', NULL, '77bbc45d-07b6-58ea-8ce2-a744e4280265', NULL, NULL),
	('56676808-a68f-57e3-9f50-7530c7b3772e', '2ef3fd34-0388-567d-bbc9-5aa318a91efa', 'ff07c594-663f-5356-8347-94a61e2fbddd', '\xc8ca9d13242ec69c81385d147f1db8c9606d2184a9e53a64f270d3c0285404f6', 'SETTLED', 'cbd32939-8421-5f57-9fdd-de210fb67d98', 'perplexity/sonar', 'perplexity/sonar', '0da6d1dc-6bac-4b46-82a2-431fc0661525', 1000, 700, 1, 2400000, NULL, 'RELEASE', '{}', '2026-11', '{month/2026-11,workflow/cbd32939-8421-5f57-9fdd-de210fb67d98}', '2026-11-27 23:13:51.496811+00', '2026-11-27 23:23:51.496811+00', '2026-11-27 23:13:51.502143+00', NULL, '2ef3fd34-0388-567d-bbc9-5aa318a91efa', 'c5848901-87b9-572e-b27c-184ed5a3505e', '\x7a6459a4ae214269b98d8268aa725eaacb9f0ee51bec291025a99fe3c9b6f0f8'),
	('56676808-a68f-57e3-9f50-7530c7b3772e', 'c9e26331-0ec0-5171-961c-62ce1eefcae5', '6e6ac3b9-ea9d-545b-86e6-8cb0af843fbd', '\x05d9da22ca2d9ca248a90ff5237f5195a8d9782e820c8027535f74c0148ddf91', 'VOIDED', 'cbd32939-8421-5f57-9fdd-de210fb67d98', 'perplexity/sonar', 'perplexity/sonar', '0da6d1dc-6bac-4b46-82a2-431fc0661525', 1000, 700, 1, 2400000, NULL, 'RELEASE', '{}', '2026-11', '{month/2026-11,workflow/cbd32939-8421-5f57-9fdd-de210fb67d98}', '2026-11-27 23:13:51.51206+00', '2026-11-27 23:23:51.51206+00', '2026-11-27 23:13:51.515447+00', 'never sent', NULL, NULL, NULL),
	('56676808-a68f-57e3-9f50-7530c7b3772e', '62ec0c0a-c794-5642-82c4-7ab3aef6289c', '864d392f-c3e6-5589-b927-de6a4b4c1e5e', '\x2115d440e6b773d6e1bfa25e2f1b3dc3e787b226f328a1e056640c2af89e3cb1', 'PENDING', 'cbd32939-8421-5f57-9fdd-de210fb67d98', 'perplexity/sonar', 'perplexity/sonar', '0da6d1dc-6bac-4b46-82a2-431fc0661525', 1000, 700, 1, 2400000, NULL, 'RELEASE', '{"team": "growth"}', '2026-11', '{label/lifetime/team=growth,label/month/2026-11/team=growth,month/2026-11,workflow/cbd32939-8421-5f57-9fdd-de210fb67d98}', '2026-11-27 23:13:51.529546+00', '2026-11-27 23:23:51.529546+00', NULL, NULL, NULL, NULL, NULL),
	('56676808-a68f-57e3-9f50-7530c7b3772e', '3bb289f4-e149-5a79-a82f-0e3954bcac88', '6b86d383-1444-5a61-9f98-0d857e37949a', '\xfc23c282b26a3e4a89957ced7366dd6b1ae46cce6298a4c5050168761076d3c2', 'PENDING', 'cbd32939-8421-5f57-9fdd-de210fb67d98', 'perplexity/sonar', 'perplexity/sonar', '0da6d1dc-6bac-4b46-82a2-431fc0661525', 1000, 700, 1, 2400000, NULL, 'RELEASE', '{}', '2026-11', '{month/2026-11,workflow/cbd32939-8421-5f57-9fdd-de210fb67d98}', '2026-11-27 23:13:51.532469+00', '2026-11-27 23:23:51.532469+00', NULL, NULL, NULL, NULL, NULL),
	('56676808-a68f-57e3-9f50-7530c7b3772e', 'f1a8c314-5e22-5db2-8842-8c9dab5eee84', 'df4585d1-3029-5e7b-8fab-8f20b0ccf30e', '\x47ff01ad5eac72515d756b5c8d6451e01687ac5a40b71ff04e6ab97f8fba36ad', 'PENDING', 'cbd32939-8421-5f57-9fdd-de210fb67d98', 'openai/gpt-4o-mini', 'openai/gpt-4o-mini', '540c8f63-819b-4015-9016-2a8de6177338', 1000, 700, 1, 570000, NULL, 'RELEASE', '{}', '2026-11', '{month/2026-11,workflow/cbd32939-8421-5f57-9fdd-de210fb67d98}', '2026-11-27 23:13:51.535343+00', '2026-11-27 23:23:51.535343+00', NULL, NULL, NULL, NULL, NULL),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', 'c7c67a22-0c06-5b9f-a9db-2ce67a41de2b', 'f79f572a-648b-5228-b9af-eab98827b386', '\x68e7daae33b87c0033660009a037e314053317d05d707c0623906504ef62a2ea', 'SETTLED', '8b1d06da-a8f7-556c-ab6c-a13aed40490a', 'perplexity/sonar', 'perplexity/sonar', '0da6d1dc-6bac-4b46-82a2-431fc0661525', 1000, 700, 1, 2400000, NULL, 'RELEASE', '{"team": "growth"}', '2026-11', '{month/2026-11,workflow/8b1d06da-a8f7-556c-ab6c-a13aed40490a}', '2026-11-27 23:13:51.541922+00', '2026-11-27 23:23:51.541922+00', '2026-11-27 23:13:51.544917+00', NULL, 'c7c67a22-0c06-5b9f-a9db-2ce67a41de2b', NULL, '\xa8c31a24ea6981ee5bf2d1e802e619bf6ba528fcb3b2246cce24455f673ede2c'),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', 'b921cb6a-4af3-58a0-b076-0db1bffff598', '5309b14f-9797-5487-9954-68d9055134cd', '\x03020520e39b6aa0e54fadf12d2ee68989e0edc96212c9bb0dd2c8edd80961d6', 'SETTLED', '8b1d06da-a8f7-556c-ab6c-a13aed40490a', 'perplexity/sonar', 'perplexity/sonar', '0da6d1dc-6bac-4b46-82a2-431fc0661525', 1000, 700, 1, 2400000, NULL, 'RELEASE', '{}', '2026-11', '{month/2026-11,workflow/8b1d06da-a8f7-556c-ab6c-a13aed40490a}', '2026-11-27 23:13:51.550962+00', '2026-11-27 23:23:51.550962+00', '2026-11-27 23:13:51.563059+00', NULL, 'b921cb6a-4af3-58a0-b076-0db1bffff598', NULL, NULL),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', 'bf417645-38e1-53fd-90fc-2575cd3697c4', 'd15d3ac7-628b-522a-a1a1-94fdcb393d82', '\x3206583b2aa43b0fd798d4ec88f65ca09e625a5cfdec15a7add57ad457abf87a', 'SETTLED', '8b1d06da-a8f7-556c-ab6c-a13aed40490a', 'perplexity/sonar', 'perplexity/sonar', '0da6d1dc-6bac-4b46-82a2-431fc0661525', 1000, 700, 1, 2400000, NULL, 'RELEASE', '{}', '2026-11', '{month/2026-11,workflow/8b1d06da-a8f7-556c-ab6c-a13aed40490a}', '2026-11-27 23:13:51.568013+00', '2026-11-27 23:23:51.568013+00', '2026-11-27 23:13:51.572828+00', NULL, 'bf417645-38e1-53fd-90fc-2575cd3697c4', '48bf9110-4996-5f37-a06e-ce4a5f159ac3', '\x48c352eca547146356ccba252cd9c0ff400aa1ce1387794dfa0dc9c87b490f4f'),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', 'd05fc7ec-16f2-570e-9b79-76a9478e6033', 'a9d5b1e3-06d7-52f6-921b-f93835102101', '\x72e72631e331a49d36f2aa4530f958c7c5d879b470a9cee223625d0b96fb3ec3', 'VOIDED', '8b1d06da-a8f7-556c-ab6c-a13aed40490a', 'perplexity/sonar', 'perplexity/sonar', '0da6d1dc-6bac-4b46-82a2-431fc0661525', 1000, 700, 1, 2400000, NULL, 'RELEASE', '{}', '2026-11', '{month/2026-11,workflow/8b1d06da-a8f7-556c-ab6c-a13aed40490a}', '2026-11-27 23:13:51.582981+00', '2026-11-27 23:23:51.582981+00', '2026-11-27 23:13:51.585999+00', 'never sent', NULL, NULL, NULL),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', '5cf8ab16-8f45-528d-bb57-149d9edccab8', '53a3a063-1b53-5f42-a619-3270ff84599e', '\x19b3ff28cabcfc04e7de3b77797c5ff35086c83ffefeeb8d8d64a70d66b98955', 'PENDING', '8b1d06da-a8f7-556c-ab6c-a13aed40490a', 'perplexity/sonar', 'perplexity/sonar', '0da6d1dc-6bac-4b46-82a2-431fc0661525', 1000, 700, 1, 2400000, NULL, 'RELEASE', '{"team": "growth"}', '2026-11', '{month/2026-11,workflow/8b1d06da-a8f7-556c-ab6c-a13aed40490a}', '2026-11-27 23:13:51.598959+00', '2026-11-27 23:23:51.598959+00', NULL, NULL, NULL, NULL, NULL),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', '9a429ff1-4026-58e3-87f0-e066f11ac735', '1e75eb96-cd05-5670-b604-ebbe4725316c', '\x5f262c1aa1e01b6039fa173dbddbf516fd076bfb1272314fbf56253bade111c0', 'PENDING', '8b1d06da-a8f7-556c-ab6c-a13aed40490a', 'perplexity/sonar', 'perplexity/sonar', '0da6d1dc-6bac-4b46-82a2-431fc0661525', 1000, 700, 1, 2400000, NULL, 'RELEASE', '{}', '2026-11', '{month/2026-11,workflow/8b1d06da-a8f7-556c-ab6c-a13aed40490a}', '2026-11-27 23:13:51.623132+00', '2026-11-27 23:23:51.623132+00', NULL, NULL, NULL, NULL, NULL),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', 'e611edc2-6a4a-5f42-a984-0a4033c4def0', '01cc2584-58e1-5e0a-9da4-807fb3331e74', '\xdcdce32f3822cb2c8cfd4af44ed84dbcbbd607f541eac4c3a9e302cf92ad8140', 'PENDING', '8b1d06da-a8f7-556c-ab6c-a13aed40490a', 'openai/gpt-4o-mini', 'openai/gpt-4o-mini', '540c8f63-819b-4015-9016-2a8de6177338', 1000, 700, 1, 570000, NULL, 'RELEASE', '{}', '2026-11', '{month/2026-11,workflow/8b1d06da-a8f7-556c-ab6c-a13aed40490a}', '2026-11-27 23:13:51.631771+00', '2026-11-27 23:23:51.631771+00', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.budget_limit_changes VALUES
	('56676808-a68f-57e3-9f50-7530c7b3772e', '636b93b8-8179-4770-8b42-d092cefc7814', 'label/lifetime/team=growth', 50000000, 'anonymous', '2026-11-27 23:13:51.41817+00'),
	('56676808-a68f-57e3-9f50-7530c7b3772e', '3237c4af-4558-40fe-a9d5-c904a8bfad3c', 'label/month/standing/team=growth', 50000000, 'anonymous', '2026-11-27 23:13:51.428722+00'),
	('56676808-a68f-57e3-9f50-7530c7b3772e', '76ec1aae-2f30-4917-bf10-91bcbbb57a4d', 'workflow/cbd32939-8421-5f57-9fdd-de210fb67d98', 2000000000, 'anonymous', '2026-11-27 23:13:51.432925+00'),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', '470a4eb0-3c00-4b56-a6f8-159a0a2b47d1', 'workflow/8b1d06da-a8f7-556c-ab6c-a13aed40490a', 2000000000, 'anonymous', '2026-11-27 23:13:51.538713+00');
INSERT INTO public.budget_limits VALUES
	('56676808-a68f-57e3-9f50-7530c7b3772e', 'label/lifetime/team=growth', 50000000, 'anonymous', '2026-11-27 23:13:51.41817+00'),
	('56676808-a68f-57e3-9f50-7530c7b3772e', 'label/month/standing/team=growth', 50000000, 'anonymous', '2026-11-27 23:13:51.428722+00'),
	('56676808-a68f-57e3-9f50-7530c7b3772e', 'workflow/cbd32939-8421-5f57-9fdd-de210fb67d98', 2000000000, 'anonymous', '2026-11-27 23:13:51.432925+00'),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', 'workflow/8b1d06da-a8f7-556c-ab6c-a13aed40490a', 2000000000, 'anonymous', '2026-11-27 23:13:51.538713+00');
INSERT INTO public.budgets VALUES
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', 'workflow/8b1d06da-a8f7-556c-ab6c-a13aed40490a', 4100000, 5370000, 800000),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', 'month/2026-11', 4100000, 5370000, 800000),
	('56676808-a68f-57e3-9f50-7530c7b3772e', 'label/lifetime/team=growth', 900000, 2400000, 800000),
	('56676808-a68f-57e3-9f50-7530c7b3772e', 'label/month/2026-11/team=growth', 900000, 2400000, 800000),
	('56676808-a68f-57e3-9f50-7530c7b3772e', 'month/2026-11', 4100000, 5370000, 800000),
	('56676808-a68f-57e3-9f50-7530c7b3772e', 'workflow/cbd32939-8421-5f57-9fdd-de210fb67d98', 4100000, 5370000, 800000);
INSERT INTO public.daily_costs VALUES
	('56676808-a68f-57e3-9f50-7530c7b3772e', '2026-11-27', 'perplexity/sonar', 4100000, 6, 1800, 300),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', '2026-11-27', 'perplexity/sonar', 4100000, 6, 1800, 300);
INSERT INTO public.freeze_changes VALUES
	('00000000-0000-0000-0000-000000000000', '8618e0b3-763a-45ac-8568-4af714895aa4', 'openai/gpt-4o-mini', true, 'a test', 'anonymous', '2026-11-27 23:13:51.644289+00');
INSERT INTO public.freezes VALUES
	('00000000-0000-0000-0000-000000000000', 'openai/gpt-4o-mini', 'a test', 'anonymous', '2026-11-27 23:13:51.644289+00');
INSERT INTO public.label_costs VALUES
	('56676808-a68f-57e3-9f50-7530c7b3772e', '2026-11', 'team', 'growth', 900000, 3),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', '2026-11', 'team', 'growth', 900000, 3);
INSERT INTO public.organization_changes VALUES
	('56676808-a68f-57e3-9f50-7530c7b3772e', '47839da6-e54b-449f-82e0-665058b4a850', 'default', NULL, 40000000000, 'anonymous', '2026-11-27 23:13:51.412056+00');
INSERT INTO public.organizations VALUES
	('56676808-a68f-57e3-9f50-7530c7b3772e', 'default', NULL, 40000000000, 6, '2026-11-27 23:13:51.41142+00', true, 'anonymous', '2026-11-27 23:13:51.412056+00'),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', 'default', NULL, NULL, 6, '2026-11-27 23:13:51.538604+00', true, NULL, NULL);
INSERT INTO public.prices VALUES
	('540c8f63-819b-4015-9016-2a8de6177338', 'openai/gpt-4o-mini', '2000-01-01 00:00:00+00', 150000000, NULL, NULL, 600000000, NULL, 0, 'the document', 'price list document', '2026-11-27 23:13:51.343633+00'),
	('0da6d1dc-6bac-4b46-82a2-431fc0661525', 'perplexity/sonar', '2000-01-01 00:00:00+00', 1000000000, NULL, NULL, 2000000000, NULL, 0, 'the document', 'price list document', '2026-11-27 23:13:51.343633+00'),
	('3c42daaf-d76a-453a-b4bf-326a105e8583', 'x-ai/grok-4-fast', '2000-01-01 00:00:00+00', 200000000, NULL, NULL, 500000000, NULL, 0, 'the document', 'price list document', '2026-11-27 23:13:51.343633+00'),
	('18d4d978-54cd-4f83-81e2-7369394f8982', 'z-ai/glm-4.7', '2000-01-01 00:00:00+00', 100000000, NULL, NULL, 100000000, NULL, 0, 'the document', 'price list document', '2026-11-27 23:13:51.343633+00'),
	('91987d28-2cc6-493d-a7cd-8c4c650a65db', 'z-ai/glm-5', '2000-01-01 00:00:00+00', 100000000, NULL, NULL, 100000000, NULL, 0, 'the document', 'price list document', '2026-11-27 23:13:51.343633+00');
INSERT INTO public.request_ids VALUES
	('56676808-a68f-57e3-9f50-7530c7b3772e', 'SetOrganization', '8e7816a2-ace5-506e-832b-fed255d961b8', '\x25fd80fc69181c3f86b5cbec39ee9e4a513a9339cd8e514413bc049a52739869', '2026-11-27 23:13:51.412311+00', '{"tier": "default", "author": "anonymous", "is_set_up": true, "create_time": "2026-11-27T23:13:51.41142+00:00", "update_time": "2026-11-27T23:13:51.412056+00:00", "last_sequence": 0, "organization_id": "56676808-a68f-57e3-9f50-7530c7b3772e", "monthly_quota_nano_usd": 40000000000, "workflow_limit_nano_usd": null}');
INSERT INTO public.schema_migrations VALUES
	('0001_prices.sql', '71872fe9433c548aa25538f58d97ae469b84825b8eae1e31b8a4878ed6a6a00f', '2026-11-27 23:13:51.194259+00'),
	('0002_budgets.sql', '501fdd013f8a0dba96038dcb3ff72e88508c2514c48aacfff06db0982b089004', '2026-11-27 23:13:51.208293+00'),
	('0003_holds_and_ledger.sql', '1fefc7def83f56b8b56fb50fc55c5020970923a5b702be509a4471494b7ae5f6', '2026-11-27 23:13:51.239311+00'),
	('0004_authorize.sql', '0ae1f9d5e177c5ec4673879c6ca86c70da3b916946bf846212f6ff24fea90468', '2026-11-27 23:13:51.255356+00'),
	('0005_end_holds.sql', '1690e89149c77978f21facdbab0ffd9b5c6fcf2772bcd47b97974162f5ea9b23', '2026-11-27 23:13:51.26078+00'),
	('0006_limits.sql', 'fe79cc9aab6b27053c428002d10ca28dd6870116f97fcd9aca9086af3941d3cf', '2026-11-27 23:13:51.265962+00'),
	('0007_batches.sql', 'f1811c945f8d5fc5e02216232acb8a603b81b48042829d36d25070e9d9f1a0d4', '2026-11-27 23:13:51.269698+00'),
	('0008_postings.sql', 'aae9308aaf35327bbb375ae040dcb3bef1994a6e7194d9b544b6532c09f8cd81', '2026-11-27 23:13:51.271342+00'),
	('0009_tiers.sql', '82ea4ce80b8aae152d55d05b76da546b4bf6afbb79192e08c32e48eeb95e418f', '2026-11-27 23:13:51.276101+00'),
	('0010_reports.sql', '573e9f7e11028d46e0932fbeb4dd9a23d1cc58106606bcdb3ca430924785168f', '2026-11-27 23:13:51.286441+00'),
	('0011_sql_functions.sql', '66ec6f9604589703daaf8586b2379da468e9dc2adf861481717962fcf6c954f5', '2026-11-27 23:13:51.302162+00'),
	('0012_price_versions.sql', '2d6509278e349e34a2689f069ed3f435aceb533c1e376a1457ff7e8476b1b175', '2026-11-27 23:13:51.30804+00'),
	('0013_expiry.sql', 'c060f88ffbf0ebc0f913291071df922664a63cfa5b09a084fa622fecb0e1252b', '2026-11-27 23:13:51.312076+00'),
	('0014_rules_in_sets.sql', 'fc1ce31de91a1314c2833f22733f4f07e7a95b6a79607b6193eca054805ac395', '2026-11-27 23:13:51.316506+00'),
	('0015_authorize_together.sql', 'e5d244fef8cce5ec566801e34600e34f54dc5abb6f69d796477cb2fe3ec58778', '2026-11-27 23:13:51.324336+00'),
	('0016_settle_together.sql', '693eec3518a97bcbb5f714a097e5e42b89b792cabfea9bac54fe00fa79a12884', '2026-11-27 23:13:51.326906+00'),
	('0017_sweep_in_order.sql', 'c2bae0ba1599742519df4c5ee68afdcff012e9fa4c18f121b14c857f88f525c8', '2026-11-27 23:13:51.329745+00');
INSERT INTO public.tier_changes VALUES
	('dd7b16be-f93c-4b7d-985f-427e359a1c06', 'default', 1000000000, 25000000000, '{}', NULL, 0, 'migration', '2026-11-27 23:13:51.208293+00');
INSERT INTO public.tiers VALUES
	('default', 1000000000, 25000000000, '{}', NULL, 0, 'migration', '2026-11-27 23:13:51.208293+00');
INSERT INTO public.workflow_costs VALUES
	('56676808-a68f-57e3-9f50-7530c7b3772e', '2026-11', 'cbd32939-8421-5f57-9fdd-de210fb67d98', 'perplexity/sonar', 4100000, 6, 1800, 300),
	('bd055a68-eff3-511e-ab4e-abb3e41b8bbd', '2026-11', '8b1d06da-a8f7-556c-ab6c-a13aed40490a', 'perplexity/sonar', 4100000, 6, 1800, 300);
ALTER TABLE ONLY public.ai_usage_ledger
    ADD CONSTRAINT ai_usage_ledger_pkey PRIMARY KEY (organization_id, idempotency_key);
ALTER TABLE ONLY public.authorizations
    ADD CONSTRAINT authorizations_pkey PRIMARY KEY (organization_id, authorization_id);
ALTER TABLE ONLY public.budget_limit_changes
    ADD CONSTRAINT budget_limit_changes_pkey PRIMARY KEY (organization_id, change_id);
ALTER TABLE ONLY public.budget_limits
    ADD CONSTRAINT budget_limits_pkey PRIMARY KEY (organization_id, budget_key);
ALTER TABLE ONLY public.budgets
    ADD CONSTRAINT budgets_pkey PRIMARY KEY (organization_id, budget_key);
ALTER TABLE ONLY public.daily_costs
    ADD CONSTRAINT daily_costs_pkey PRIMARY KEY (organization_id, day, model);
ALTER TABLE ONLY public.freeze_changes
    ADD CONSTRAINT freeze_changes_pkey PRIMARY KEY (organization_id, change_id);
ALTER TABLE ONLY public.freezes
    ADD CONSTRAINT freezes_pkey PRIMARY KEY (organization_id, model);
ALTER TABLE ONLY public.label_costs
    ADD CONSTRAINT label_costs_pkey PRIMARY KEY (organization_id, month, key, value);
ALTER TABLE ONLY public.organization_changes
    ADD CONSTRAINT organization_changes_pkey PRIMARY KEY (organization_id, change_id);
ALTER TABLE ONLY public.organizations
    ADD CONSTRAINT organizations_pkey PRIMARY KEY (organization_id);
ALTER TABLE ONLY public.price_requests
    ADD CONSTRAINT price_requests_pkey PRIMARY KEY (request_id);
ALTER TABLE ONLY public.prices
    ADD CONSTRAINT prices_model_effective_time_key UNIQUE (model, effective_time);
ALTER TABLE ONLY public.prices
    ADD CONSTRAINT prices_pkey PRIMARY KEY (price_id);
ALTER TABLE ONLY public.request_ids
    ADD CONSTRAINT request_ids_pkey PRIMARY KEY (organization_id, method, request_id);
ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.tier_changes
    ADD CONSTRAINT tier_changes_pkey PRIMARY KEY (change_id);
ALTER TABLE ONLY public.tiers
    ADD CONSTRAINT tiers_pkey PRIMARY KEY (tier);
ALTER TABLE ONLY public.workflow_costs
    ADD CONSTRAINT workflow_costs_pkey PRIMARY KEY (organization_id, month, workflow_id, model);
CREATE INDEX ai_usage_ledger_adjustments ON public.ai_usage_ledger USING btree (organization_id, adjusts_entry_id) WHERE (adjusts_entry_id IS NOT NULL);
CREATE INDEX ai_usage_ledger_by_workflow ON public.ai_usage_ledger USING btree (workflow_id, organization_id, sequence);
CREATE UNIQUE INDEX ai_usage_ledger_sequences ON public.ai_usage_ledger USING btree (organization_id, sequence) WHERE (sequence > 0);
CREATE INDEX authorizations_by_age ON public.authorizations USING btree (organization_id, create_time, authorization_id) WHERE (create_time > '-infinity'::timestamp with time zone);
CREATE INDEX authorizations_live ON public.authorizations USING btree (expire_time, organization_id) WHERE ((state)::text = 'PENDING'::text);
CREATE INDEX budgets_by_workflow ON public.budgets USING btree (budget_key) WHERE ((budget_key)::text ^@ 'workflow/'::text);
CREATE INDEX tier_changes_by_tier ON public.tier_changes USING btree (tier, change_time);
CREATE INDEX workflow_costs_by_workflow ON public.workflow_costs USING btree (organization_id, workflow_id);
CREATE TRIGGER ai_usage_ledger_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.ai_usage_ledger FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
ALTER TABLE public.ai_usage_ledger ENABLE ALWAYS TRIGGER ai_usage_ledger_is_append_only;
CREATE TRIGGER ai_usage_ledger_moves_totals AFTER INSERT ON public.ai_usage_ledger REFERENCING NEW TABLE AS entries FOR EACH STATEMENT EXECUTE FUNCTION public.add_to_totals();
CREATE TRIGGER budget_limit_changes_are_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.budget_limit_changes FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
ALTER TABLE public.budget_limit_changes ENABLE ALWAYS TRIGGER budget_limit_changes_are_append_only;
CREATE TRIGGER freeze_changes_are_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.freeze_changes FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
ALTER TABLE public.freeze_changes ENABLE ALWAYS TRIGGER freeze_changes_are_append_only;
CREATE TRIGGER organization_changes_are_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.organization_changes FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
ALTER TABLE public.organization_changes ENABLE ALWAYS TRIGGER organization_changes_are_append_only;
CREATE TRIGGER price_requests_are_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.price_requests FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
ALTER TABLE public.price_requests ENABLE ALWAYS TRIGGER price_requests_are_append_only;
CREATE TRIGGER prices_are_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.prices FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
ALTER TABLE public.prices ENABLE ALWAYS TRIGGER prices_are_append_only;
CREATE TRIGGER tier_changes_are_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.tier_changes FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
ALTER TABLE public.tier_changes ENABLE ALWAYS TRIGGER tier_changes_are_append_only;
ALTER TABLE ONLY public.organizations
    ADD CONSTRAINT organizations_tier_fkey FOREIGN KEY (tier) REFERENCES public.tiers(tier);
