-- The four functions for SQL clients. They use the same budgets, locks and ledger as the RPCs. Amounts are exact
-- numeric USD; a fraction of a nano-USD is rounded up.

-- An amount of USD as a charge in nano-USD. Refuses NULL, NaN, and amounts below 0 or above an entry's bound.
CREATE OR REPLACE FUNCTION charge_nano_usd(p_parameter text, p_usd numeric) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    -- NaN and infinity are above every number.
    IF p_usd >= 0 AND p_usd <= 1000000 THEN
        RETURN ceil(p_usd * 1000000000);
    END IF;
    RAISE EXCEPTION '% must be between 0 and 1000000 USD', p_parameter USING ERRCODE = 'invalid_parameter_value';
END
$$;

-- What a workflow has cost its organization so far, in USD.
CREATE OR REPLACE FUNCTION workflow_total(p_organization_id uuid, p_workflow_id uuid) RETURNS numeric
LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT b.spent_nano_usd FROM budgets AS b
        WHERE b.organization_id = p_organization_id AND b.budget_key = 'workflow/' || p_workflow_id
    ), 0) * 0.000000001
$$;

-- Whether a workflow's cost, with what is held for calls in flight and p_additional_cost, stays within p_max_cost. It
-- only reads and holds nothing, unlike Authorize. If several organizations have budgets of this workflow, their sum
-- counts.
CREATE OR REPLACE FUNCTION check_workflow_cost_limit(
    p_workflow_id uuid, p_additional_cost numeric, p_max_cost numeric DEFAULT 1.00
) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    -- NaN is greater than every number, so that it has to be excluded by name.
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

-- Posts what a call cost and returns the workflow's new total in USD. p_cost counts as the provider's cost: the greater
-- of it and the rated cost is charged, and a model without a price costs p_cost. The same key with the same content
-- charges nothing more, and returns the present total; with other content it is an error.
CREATE OR REPLACE FUNCTION record_usage_and_increment(
    p_workflow_id uuid, p_organization_id uuid, p_model text, p_prompt_tokens int, p_completion_tokens int,
    p_cost numeric, p_idempotency_key uuid DEFAULT gen_random_uuid()
) RETURNS numeric
LANGUAGE plpgsql AS $$
DECLARE
    v_cost_nano_usd CONSTANT bigint := charge_nano_usd('p_cost', p_cost);
    v_names CONSTANT text := candidate_names(p_model);
    -- The most general name, which stands for the model in the hash, as in the services' (domain/model_id.py).
    v_model CONSTANT text := substring(v_names FROM '[^\t]*\Z');
    v_outcome text;
BEGIN
    IF num_nulls(p_workflow_id, p_organization_id, p_idempotency_key) > 0
        OR coalesce(v_model, '') ~ '\A(?:[:@]|\Z)'
    THEN
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
        p_workflow_id, v_names, p_prompt_tokens, 0, 0, 0, p_completion_tokens, 0, 1, '{}', '{}',
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
        WHEN 'TOTAL_TOO_LARGE' THEN
            RAISE EXCEPTION 'a budget would go beyond its bound' USING ERRCODE = 'numeric_value_out_of_range';
    END CASE;
END
$$;

-- Adds a cost to a workflow by an entry without a model, and returns the workflow's new total in USD. Exactly one
-- organization must have a budget of this workflow.
CREATE OR REPLACE FUNCTION increment_workflow_cost(p_workflow_id uuid, p_additional_cost numeric) RETURNS numeric
LANGUAGE plpgsql AS $$
DECLARE
    v_cost_nano_usd CONSTANT bigint := charge_nano_usd('p_additional_cost', p_additional_cost);
    v_organization_ids CONSTANT uuid[] := ARRAY(
        SELECT b.organization_id FROM budgets AS b
        WHERE b.budget_key ^@ 'workflow/' AND b.budget_key = 'workflow/' || p_workflow_id
        LIMIT 2
    );
    v_outcome text;
BEGIN
    CASE cardinality(v_organization_ids)
        WHEN 0 THEN
            RAISE EXCEPTION 'no organization knows workflow %', p_workflow_id USING ERRCODE = 'no_data_found';
        WHEN 2 THEN
            RAISE EXCEPTION 'several organizations know workflow %', p_workflow_id USING ERRCODE = 'too_many_rows';
        ELSE
            IF v_cost_nano_usd > 0 THEN
                SELECT r.outcome INTO v_outcome
                FROM record_usage(
                    v_organization_ids[1], gen_random_uuid(), NULL, p_workflow_id, '', 0, 0, 0, 0, 0, 0, 0, '{}', '{}',
                    v_cost_nano_usd, '{}', NULL, 'sql:' || session_user) AS r;
                IF v_outcome <> 'RECORDED' THEN
                    RAISE EXCEPTION 'a budget would go beyond its bound' USING ERRCODE = 'numeric_value_out_of_range';
                END IF;
            END IF;
            RETURN workflow_total(v_organization_ids[1], p_workflow_id);
    END CASE;
END
$$;

-- What an organization has spent in this UTC month, in USD.
CREATE OR REPLACE FUNCTION get_organization_monthly_ai_cost(p_organization_id uuid) RETURNS numeric
LANGUAGE sql VOLATILE AS $$
    SELECT coalesce((
        SELECT b.spent_nano_usd FROM budgets AS b
        WHERE b.organization_id = p_organization_id AND b.budget_key = 'month/' || month_of(governor_now())
    ), 0) * 0.000000001
$$;

-- What psql's \df+ shows.
COMMENT ON FUNCTION check_workflow_cost_limit IS
    'Whether spent + held + p_additional_cost <= p_max_cost, in USD. Reads only; only Authorize binds.';
COMMENT ON FUNCTION record_usage_and_increment IS
    'Charges the greater of p_cost (USD) and the rated cost, once a key. Returns the workflow''s total in USD.';
COMMENT ON FUNCTION increment_workflow_cost IS
    'Charges p_additional_cost (USD) by an entry without a model. Returns the workflow''s total in USD.';
COMMENT ON FUNCTION get_organization_monthly_ai_cost IS
    'What the organization has spent in this UTC month, in USD.';
