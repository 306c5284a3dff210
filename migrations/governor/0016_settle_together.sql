-- Settle, for the many holds that are settled as they were meant to be: charged as a set, written as a set.
--
-- That is: the hold is live, the usage is known, and the granted model served. Settlements never stand in each other's
-- way, so that each of those is taken, and each other left out; 0005 decides these in turn.

-- Item i of the arrays is one settlement, of any organization; a hash of NULL says that the outcome is unknown.
-- p_served_models are canonical, '' for the granted one. Answers a row for each budget of each hold that was settled,
-- with what the entry does not have from the request, and the budget as it stands after that entry; no row for an item
-- that was left out, which has changed nothing.
CREATE FUNCTION settle_together(
    p_organization_ids uuid[],
    p_authorization_ids uuid[], p_settlement_hashes bytea[], p_served_models text[],
    p_input_tokens bigint[], p_cached_input_tokens bigint[], p_cache_write_tokens bigint[],
    p_output_tokens bigint[], p_reasoning_tokens bigint[], p_requests bigint[],
    p_provider_costs_nano_usd bigint[], p_provider_generation_ids text[], p_authors text[]
)
RETURNS TABLE (
    item integer, sequence bigint, workflow_id uuid, requested_model text, model text,
    cost_nano_usd bigint, rated_cost_nano_usd bigint, held_nano_usd bigint, overage_nano_usd bigint,
    price_id uuid, flags text[], labels jsonb, month text, created_at timestamptz,
    budget_key text, limit_nano_usd bigint, budget_spent_nano_usd bigint, budget_held_nano_usd bigint,
    budget_unguarded_nano_usd bigint
)
LANGUAGE plpgsql
-- Every table is reached by its whole key, whatever its size was when a session made its plan. For the same reason
-- look-ups below have OFFSET 0: they are neither joined by a part of the key nor hashed as a whole.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
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
