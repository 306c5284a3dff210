-- Many organizations in one transaction: thin wrappers around the functions that decide for one.
--
-- Items come grouped by organization: those of p_organization_ids[k] end at p_ends[k]. The organizations are distinct
-- and sorted, so that two batches lock them in the same order. Where each organization lives on a shard of its own,
-- the functions of one organization are called directly instead.

CREATE FUNCTION authorize_batch(
    p_organization_ids uuid[], p_ends integer[],
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

CREATE FUNCTION settle_batch(
    p_organization_ids uuid[], p_ends integer[],
    p_authorization_ids uuid[], p_settlement_hashes bytea[], p_true_up_keys uuid[], p_served_models text[],
    p_input_tokens bigint[], p_cached_input_tokens bigint[], p_cache_write_tokens bigint[],
    p_output_tokens bigint[], p_reasoning_tokens bigint[], p_requests bigint[],
    p_provider_costs_nano_usd bigint[], p_provider_generation_ids text[], p_authors text[]
)
RETURNS TABLE (
    item integer, outcome text, hold_state text, entry jsonb,
    budget_keys text[], limits_nano_usd bigint[], budgets_spent_nano_usd bigint[], budgets_held_nano_usd bigint[],
    budgets_unguarded_nano_usd bigint[]
)
LANGUAGE plpgsql AS $$
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
