-- Budgets: which of them a call is placed on, the limit in force on each, and their figures.

-- The periods that contain a time, one of each recurring kind, as keys write them. The month is the first.
CREATE OR REPLACE FUNCTION periods_at(p_time timestamptz) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ARRAY[
        'month/' || month_of(p_time),
        'day/' || to_char(p_time AT TIME ZONE 'UTC', 'YYYY-MM-DD'),
        'hour/' || to_char(p_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24')
    ]
$$;

-- The key of a budget's standing limit, which applies to every period. For a budget without recurring periods: its own
-- key.
CREATE OR REPLACE FUNCTION standing_key(p_budget_key text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT regexp_replace(p_budget_key, '^((?:(?:label|workflow)/)?(?:month|day|hour)/)[0-9T-]+', '\1standing')
$$;

-- The key of the limit for every value of a label: that of label/lifetime/team=growth is label/lifetime/team=*. Values
-- may contain `=` and `/`, keys of labels may not.
CREATE OR REPLACE FUNCTION key_of_every_value(p_budget_key text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT split_part(p_budget_key, '=', 1) || '=*'
$$;

-- The key of the budget that a limit governs at a time: for a standing limit, the one of the present period.
CREATE OR REPLACE FUNCTION key_at(p_limit_key text, p_time timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(
        (
            SELECT regexp_replace(p_limit_key, '^((?:label|workflow)/)?[a-z]+/standing', '\1' || p.period)
            FROM unnest(periods_at(p_time)) AS p (period)
            WHERE p_limit_key ~ ('^((label|workflow)/)?' || split_part(p.period, '/', 1) || '/standing(/|$)')
        ),
        p_limit_key)
$$;

-- The keys of the budgets that exist only because a limit has been set for them, out of those that a call of this
-- workflow with these labels may be on; sorted.
CREATE OR REPLACE FUNCTION limited_budgets(
    p_organization_id uuid, p_workflow_id uuid, p_labels jsonb, p_periods text[]
) RETURNS text[]
LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(DISTINCT asked.budget_key ORDER BY asked.budget_key), '{}')
    FROM (
        SELECT p.period AS budget_key FROM unnest(p_periods[2:] || ARRAY['lifetime']) AS p (period)
        UNION ALL
        SELECT 'workflow/' || p.period || '/' || p_workflow_id FROM unnest(p_periods) AS p (period)
        UNION ALL
        SELECT 'label/' || p.period || '/' || label.key || '=' || label.value
        FROM jsonb_each_text(p_labels) AS label CROSS JOIN unnest(p_periods || ARRAY['lifetime']) AS p (period)
    ) AS asked
    WHERE EXISTS (
        SELECT FROM budget_limits AS l
        WHERE l.organization_id = p_organization_id AND l.budget_key = ANY (
            ARRAY[asked.budget_key, standing_key(asked.budget_key)]
            || CASE WHEN starts_with(asked.budget_key, 'label/') THEN ARRAY[
                key_of_every_value(asked.budget_key), key_of_every_value(standing_key(asked.budget_key))] END)
    )
$$;

-- The keys of the budgets that a call of this workflow with these labels is placed on in these periods (periods_at).
-- p_has_limits: whether any limit has been set for one of the organization's budgets.
CREATE OR REPLACE FUNCTION budget_keys_for(
    p_organization_id uuid, p_has_limits boolean, p_workflow_id uuid, p_labels jsonb, p_periods text[]
) RETURNS text[]
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN p_has_limits THEN limited_budgets(p_organization_id, p_workflow_id, p_labels, p_periods) ELSE '{}' END
        || ARRAY[p_periods[1], 'workflow/' || p_workflow_id]
$$;

-- Whether a budget has a default limit: an organization's month and a workflow have one.
CREATE OR REPLACE FUNCTION has_default_limit(p_budget_key text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- A workflow's lifetime is workflow/<id>.
    SELECT starts_with(p_budget_key, 'month/') OR starts_with(p_budget_key, 'workflow/') AND length(p_budget_key) = 45
$$;

-- The limit of a budget that has none of its own: the organization's override or its tier's limit.
CREATE OR REPLACE FUNCTION default_limit(
    p_budget_key text, p_monthly_quota_nano_usd bigint, p_workflow_limit_nano_usd bigint
) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN starts_with(p_budget_key, 'month/') THEN p_monthly_quota_nano_usd
        WHEN starts_with(p_budget_key, 'workflow/') AND length(p_budget_key) = 45 THEN p_workflow_limit_nano_usd
    END
$$;

-- What a limit says now. One that has ended has given way to the limit that it stood in for.
CREATE OR REPLACE FUNCTION value_of_limit(p_limit budget_limits) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN (p_limit).expire_time IS NULL OR (p_limit).expire_time > governor_now()
        THEN (p_limit).limit_nano_usd ELSE (p_limit).limit_after_nano_usd END
$$;

-- The limit in force on a budget, or NULL where there is none: its own for its period, else its standing one, else (for
-- a label) that of every value, else the default. It is a table of one row, since the planner inlines it only as such.
CREATE OR REPLACE FUNCTION limit_in_force(
    p_organization_id uuid, p_has_limits boolean, p_monthly_quota_nano_usd bigint, p_workflow_limit_nano_usd bigint,
    p_budget_key text
) RETURNS TABLE (limit_nano_usd bigint)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        CASE WHEN p_has_limits THEN coalesce(
            (
                SELECT value_of_limit(own) FROM budget_limits AS own
                WHERE own.organization_id = p_organization_id AND own.budget_key = p_budget_key
            ),
            (
                SELECT value_of_limit(standing) FROM budget_limits AS standing
                WHERE standing.organization_id = p_organization_id AND standing.budget_key = standing_key(p_budget_key)
            ),
            CASE WHEN starts_with(p_budget_key, 'label/') THEN coalesce(
                (
                    SELECT value_of_limit(of_all) FROM budget_limits AS of_all
                    WHERE of_all.organization_id = p_organization_id AND of_all.budget_key = key_of_every_value(p_budget_key)
                ),
                (
                    SELECT value_of_limit(standing_of_all) FROM budget_limits AS standing_of_all
                    WHERE standing_of_all.organization_id = p_organization_id AND standing_of_all.budget_key = key_of_every_value(standing_key(p_budget_key))
                )
            ) END
        ) END,
        default_limit(p_budget_key, p_monthly_quota_nano_usd, p_workflow_limit_nano_usd)
    )
$$;

-- The limits in force on several budgets, in the order of their keys. For an organization without limits of its own it
-- avoids a query for each budget.
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

-- The figures of budgets, in the order of their keys; zeros for a budget that has no row yet.
CREATE OR REPLACE FUNCTION budget_figures(
    p_organization_id uuid, p_terms organization_terms, p_budget_keys text[],
    OUT limits_nano_usd bigint[], OUT spent_nano_usd bigint[], OUT held_nano_usd bigint[],
    OUT unguarded_nano_usd bigint[], OUT lacks_account boolean
)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    v_budget budgets;
BEGIN
    limits_nano_usd := limits_in_force(p_organization_id, p_terms, p_budget_keys);
    lacks_account := false;
    -- One look-up by key for each budget: starting a join costs more than a few look-ups.
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

-- Whether adding an amount would take one of these budgets beyond its bound.
CREATE OR REPLACE FUNCTION exceeds_total(p_organization_id uuid, p_budget_keys text[], p_nano_usd numeric)
RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM budgets AS b
        WHERE b.organization_id = p_organization_id AND b.budget_key = ANY (p_budget_keys)
            AND b.spent_nano_usd + b.held_nano_usd > largest_total_nano_usd() - p_nano_usd
    )
$$;

-- Raises an error if fewer budgets were updated than had to be: the row of one of a hold's budgets is missing.
CREATE OR REPLACE FUNCTION all_were_moved(p_moved bigint, p_budgets bigint) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF p_moved <> p_budgets THEN
        RAISE EXCEPTION '% budgets had to be moved, and % were', p_budgets, p_moved;
    END IF;
    RETURN true;
END
$$;
