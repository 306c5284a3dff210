-- The rules that decisions share, in forms that the planner inlines: one definition serves a single decision
-- (0004, 0005, 0008) and a whole set of them (0015, 0016).

-- The budgets of labels that a limit has been set for, sorted.
CREATE FUNCTION label_budgets(p_organization_id uuid, p_labels jsonb, p_month text) RETURNS text[]
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(array_agg(DISTINCT asked.budget_key ORDER BY asked.budget_key), '{}')
    FROM jsonb_each_text(p_labels) AS label
    CROSS JOIN LATERAL (VALUES
        ('label/lifetime/', 'label/lifetime/'),
        ('label/month/standing/', 'label/month/' || p_month || '/'),
        ('label/month/' || p_month || '/', 'label/month/' || p_month || '/')
    ) AS prefix (limit_key, budget_key)
    CROSS JOIN LATERAL (
        SELECT prefix.limit_key || label.key || '=' || label.value AS limit_key,
            prefix.budget_key || label.key || '=' || label.value AS budget_key
    ) AS asked
    WHERE EXISTS (
        SELECT FROM budget_limits AS l
        WHERE l.organization_id = p_organization_id AND l.budget_key = asked.limit_key
    );
END;

-- The keys of the budgets that a call of this workflow with these labels is placed on in a month, sorted.
-- p_has_limits: whether any limit has been set for one of the organization's budgets.
CREATE FUNCTION budget_keys_for(
    p_organization_id uuid, p_has_limits boolean, p_workflow_id uuid, p_labels jsonb, p_month text
) RETURNS text[]
LANGUAGE sql STABLE
RETURN CASE WHEN p_has_limits AND p_labels <> '{}' THEN label_budgets(p_organization_id, p_labels, p_month)
        ELSE '{}' END
    || ARRAY['month/' || p_month, 'workflow/' || p_workflow_id];

CREATE OR REPLACE FUNCTION budgets_that_apply(
    p_organization_id uuid, p_terms organization_terms, p_workflow_id uuid, p_labels jsonb, p_month text
) RETURNS text[]
LANGUAGE sql STABLE
RETURN budget_keys_for(p_organization_id, p_terms.has_limits, p_workflow_id, p_labels, p_month);

-- The limit of a budget that none has been set for: what the organization's override or its tier says.
CREATE FUNCTION default_limit(
    p_budget_key text, p_monthly_quota_nano_usd bigint, p_workflow_limit_nano_usd bigint
) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN starts_with(p_budget_key, 'month/') THEN p_monthly_quota_nano_usd
    WHEN starts_with(p_budget_key, 'workflow/') THEN p_workflow_limit_nano_usd
END;

-- The limit in force on a budget, or NULL where there is none: its own for its period, else its standing one, else
-- the default.
CREATE FUNCTION limit_in_force(
    p_organization_id uuid, p_has_limits boolean, p_monthly_quota_nano_usd bigint, p_workflow_limit_nano_usd bigint,
    p_budget_key text
) RETURNS TABLE (limit_nano_usd bigint)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(
        CASE WHEN p_has_limits THEN coalesce(
            (
                SELECT own.limit_nano_usd FROM budget_limits AS own
                WHERE own.organization_id = p_organization_id AND own.budget_key = p_budget_key
            ),
            (
                SELECT standing.limit_nano_usd FROM budget_limits AS standing
                WHERE standing.organization_id = p_organization_id AND standing.budget_key
                    = regexp_replace(p_budget_key, '^((?:label/)?month/)[0-9]{4}-[0-9]{2}', '\1standing')
            )
        ) END,
        default_limit(p_budget_key, p_monthly_quota_nano_usd, p_workflow_limit_nano_usd)
    );
END;

CREATE OR REPLACE FUNCTION limits_in_force(p_organization_id uuid, p_terms organization_terms, p_budget_keys text[])
RETURNS bigint[]
LANGUAGE plpgsql STABLE AS $$
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

-- What a settlement charges, and what it says of itself: the pure part of Settle.
-- p_price rates it (NULL: the served model has none); p_held_nano_usd is what was held, p_live_nano_usd what of it is
-- still to be released (0 after a release).
CREATE FUNCTION charges_of(
    p_price prices, p_held_nano_usd bigint, p_live_nano_usd bigint,
    p_is_unknown boolean, p_is_drift boolean, p_is_late boolean,
    p_input_tokens bigint, p_cached_input_tokens bigint, p_cache_write_tokens bigint,
    p_output_tokens bigint, p_reasoning_tokens bigint, p_requests bigint, p_provider_cost_nano_usd bigint
) RETURNS TABLE (cost_nano_usd numeric, rated_cost_nano_usd numeric, overage_nano_usd numeric, flags text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT charge.nano_usd, rated.nano_usd, overage.nano_usd, array_remove(ARRAY[
        CASE WHEN p_is_drift THEN 'MODEL_DRIFT' END,
        CASE WHEN (p_price).price_id IS NULL THEN 'UNPRICED_MODEL' END,
        CASE WHEN overage.nano_usd > 0 THEN 'OVERAGE' END,
        CASE WHEN p_is_late THEN 'LATE' END,
        CASE WHEN (p_price).price_id IS NOT NULL AND NOT p_is_unknown
            AND abs(p_provider_cost_nano_usd - rated.nano_usd) > greatest(1000, rated.nano_usd * 0.01)
            THEN 'PROVIDER_VARIANCE' END,
        CASE WHEN p_is_unknown THEN 'UNKNOWN_OUTCOME' END
    ], NULL)
    FROM (
        SELECT CASE WHEN (p_price).price_id IS NOT NULL AND NOT p_is_unknown THEN
            rated_cost_nano_usd(p_price, p_input_tokens, p_cached_input_tokens, p_cache_write_tokens,
                p_output_tokens, p_reasoning_tokens, p_requests)
            ELSE 0 END AS nano_usd
        -- OFFSET 0, here and below: computed once, not wherever it is mentioned.
        OFFSET 0
    ) AS rated
    CROSS JOIN LATERAL (
        -- Where nothing can be rated, the bound stands for the cost.
        SELECT greatest(
            CASE WHEN (p_price).price_id IS NOT NULL AND NOT p_is_unknown THEN rated.nano_usd ELSE p_held_nano_usd END,
            p_provider_cost_nano_usd) AS nano_usd
        OFFSET 0
    ) AS charge
    CROSS JOIN LATERAL (SELECT greatest(charge.nano_usd - p_live_nano_usd, 0) AS nano_usd) AS overage;
END;

CREATE OR REPLACE FUNCTION charge_of(
    p_price prices, p_held_nano_usd bigint, p_live_nano_usd bigint,
    p_is_unknown boolean, p_is_drift boolean, p_is_late boolean,
    p_input_tokens bigint, p_cached_input_tokens bigint, p_cache_write_tokens bigint,
    p_output_tokens bigint, p_reasoning_tokens bigint, p_requests bigint, p_provider_cost_nano_usd bigint,
    OUT cost_nano_usd numeric, OUT rated_cost_nano_usd numeric, OUT overage_nano_usd numeric, OUT flags text[]
)
LANGUAGE plpgsql IMMUTABLE AS $$
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

-- Totals move once for all the entries of a statement.
DROP TRIGGER ai_usage_ledger_moves_totals ON ai_usage_ledger;
CREATE OR REPLACE FUNCTION add_to_totals() RETURNS trigger
LANGUAGE plpgsql AS $$
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
CREATE TRIGGER ai_usage_ledger_moves_totals AFTER INSERT ON ai_usage_ledger
REFERENCING NEW TABLE AS entries
FOR EACH STATEMENT EXECUTE FUNCTION add_to_totals();
