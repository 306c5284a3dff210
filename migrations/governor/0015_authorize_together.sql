-- Authorize, for the many holds that stand in nobody's way: decided as a set, written as a set.
--
-- An organization whose every request of a batch is granted its first candidate in full needs no order among them:
-- what was asked for in its budgets, all together, fits. All others are left out, and 0004 decides them in turn.

-- Refuses to go on where fewer budgets were moved than had to be.
CREATE FUNCTION all_were_moved(p_moved bigint, p_budgets bigint) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF p_moved <> p_budgets THEN
        RAISE EXCEPTION '% budgets had to be moved, and % were', p_budgets, p_moved;
    END IF;
    RETURN true;
END
$$;

-- Item i of the arrays is one request, of any organization; of its candidates, a line each in p_candidates[i], the
-- first is looked at. Answers a row for each budget of each hold that was placed, with the budget as it stands after
-- that hold; no row for an item that was left out, which has changed nothing.
CREATE FUNCTION authorize_together(
    p_organization_ids uuid[],
    p_authorization_ids uuid[], p_request_ids uuid[], p_request_hashes bytea[], p_workflow_ids uuid[],
    p_input_tokens_max bigint[], p_output_tokens_max bigint[], p_requests_max bigint[],
    p_hold_durations interval[], p_on_expiry text[], p_labels jsonb[],
    p_candidates text[]
)
RETURNS TABLE (
    item integer, price_id uuid, held_nano_usd bigint, month text, create_time timestamptz,
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
