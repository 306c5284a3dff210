-- name: authorize_set_based
-- Places the holds of a batch that can be decided as a set; see migrations/governor/functions/40_authorize.sql.
SELECT
    item, model, price_id, held_nano_usd, month, create_time,
    budget_key, limit_nano_usd, budget_spent_nano_usd, budget_held_nano_usd, budget_unguarded_nano_usd
FROM authorize_set_based(
    p_organization_ids => $1,
    p_authorization_ids => $2, p_request_ids => $3, p_request_hashes => $4, p_workflow_ids => $5,
    p_input_tokens_max => $6, p_output_tokens_max => $7, p_requests_max => $8,
    p_cache_write_tokens_max => $9, p_cache_write_1h_tokens_max => $10, p_other_units_max => $11,
    p_price_contexts => $12,
    p_hold_durations => $13, p_on_expiry => $14, p_labels => $15,
    p_candidates => $16,
    p_denies_unknown => $17, p_lock_timeout_milliseconds => $18);

-- name: authorize_sequential
-- Places holds for one organization, one after the other; see migrations/governor/functions/40_authorize.sql.
SELECT
    item, outcome, authorization_id, state, entry_id, model, price_id, output_tokens_max, held_nano_usd,
    downgrade_reason, month, create_time, expire_time,
    budget_keys, limits_nano_usd, budgets_spent_nano_usd, budgets_held_nano_usd, budgets_unguarded_nano_usd
FROM authorize_sequential(
    p_organization_id => $1,
    p_authorization_ids => $2, p_request_ids => $3, p_request_hashes => $4, p_workflow_ids => $5,
    p_input_tokens_max => $6, p_output_tokens_max => $7, p_requests_max => $8,
    p_cache_write_tokens_max => $9, p_cache_write_1h_tokens_max => $10, p_other_units_max => $11,
    p_price_contexts => $12,
    p_hold_durations => $13, p_on_expiry => $14, p_labels => $15,
    p_candidates => $16, p_output_tokens_min => $17,
    p_denies_unknown => $18, p_lock_timeout_milliseconds => $19);

-- name: authorize_sequential_batch
-- As authorize_sequential, for several organizations.
SELECT
    item, outcome, authorization_id, state, entry_id, model, price_id, output_tokens_max, held_nano_usd,
    downgrade_reason, month, create_time, expire_time,
    budget_keys, limits_nano_usd, budgets_spent_nano_usd, budgets_held_nano_usd, budgets_unguarded_nano_usd
FROM authorize_sequential_batch(
    p_organization_ids => $1, p_ends => $2,
    p_authorization_ids => $3, p_request_ids => $4, p_request_hashes => $5, p_workflow_ids => $6,
    p_input_tokens_max => $7, p_output_tokens_max => $8, p_requests_max => $9,
    p_cache_write_tokens_max => $10, p_cache_write_1h_tokens_max => $11, p_other_units_max => $12,
    p_price_contexts => $13,
    p_hold_durations => $14, p_on_expiry => $15, p_labels => $16,
    p_candidates => $17, p_output_tokens_min => $18,
    p_denies_unknown => $19, p_lock_timeout_milliseconds => $20);

-- name: check_budget
-- Returns the decision that Authorize would take, on one snapshot.
SELECT
    outcome, model, output_tokens_max, held_nano_usd,
    budget_keys, limits_nano_usd, budgets_spent_nano_usd, budgets_held_nano_usd, budgets_unguarded_nano_usd
FROM check_budget(
    p_organization_id => $1, p_workflow_id => $2, p_labels => $3, p_models => $4,
    p_input_tokens_max => $5, p_output_tokens_max => $6, p_output_tokens_min => $7, p_requests_max => $8,
    p_cache_write_tokens_max => $9, p_cache_write_1h_tokens_max => $10, p_other_units_max => $11,
    p_price_context => $12, p_denies_unknown => $13);

-- name: settle_set_based
-- Settles the plain settlements of a batch as one set; see migrations/governor/functions/50_settle.sql.
SELECT
    item, sequence, workflow_id, requested_model, model,
    cost_nano_usd, rated_cost_nano_usd, held_nano_usd, overage_nano_usd,
    price_id, price_context, cost_basis, flags, labels, month, created_at,
    budget_key, limit_nano_usd, budget_spent_nano_usd, budget_held_nano_usd, budget_unguarded_nano_usd
FROM settle_set_based(
    p_organization_ids => $1,
    p_authorization_ids => $2, p_settlement_hashes => $3, p_served_models => $4,
    p_input_tokens => $5, p_cached_input_tokens => $6, p_cache_write_tokens => $7, p_cache_write_1h_tokens => $8,
    p_output_tokens => $9, p_reasoning_tokens => $10, p_requests => $11, p_other_units => $12, p_price_contexts => $13,
    p_provider_costs_nano_usd => $14, p_provider_generation_ids => $15, p_authors => $16,
    p_lock_timeout_milliseconds => $17);

-- name: settle_sequential
-- Settles holds of one organization, one after the other; see migrations/governor/functions/50_settle.sql.
SELECT
    item, outcome, hold_state, entry,
    budget_keys, limits_nano_usd, budgets_spent_nano_usd, budgets_held_nano_usd, budgets_unguarded_nano_usd
FROM settle_sequential(
    p_organization_id => $1,
    p_authorization_ids => $2, p_settlement_hashes => $3, p_served_models => $4,
    p_input_tokens => $5, p_cached_input_tokens => $6, p_cache_write_tokens => $7, p_cache_write_1h_tokens => $8,
    p_output_tokens => $9, p_reasoning_tokens => $10, p_requests => $11, p_other_units => $12, p_price_contexts => $13,
    p_provider_costs_nano_usd => $14, p_provider_generation_ids => $15, p_authors => $16,
    p_true_up_keys => $17, p_lock_timeout_milliseconds => $18);

-- name: settle_sequential_batch
-- As settle_sequential, for several organizations.
SELECT
    item, outcome, hold_state, entry,
    budget_keys, limits_nano_usd, budgets_spent_nano_usd, budgets_held_nano_usd, budgets_unguarded_nano_usd
FROM settle_sequential_batch(
    p_organization_ids => $1, p_ends => $2,
    p_authorization_ids => $3, p_settlement_hashes => $4, p_served_models => $5,
    p_input_tokens => $6, p_cached_input_tokens => $7, p_cache_write_tokens => $8, p_cache_write_1h_tokens => $9,
    p_output_tokens => $10, p_reasoning_tokens => $11, p_requests => $12, p_other_units => $13, p_price_contexts => $14,
    p_provider_costs_nano_usd => $15, p_provider_generation_ids => $16, p_authors => $17,
    p_true_up_keys => $18, p_lock_timeout_milliseconds => $19);

-- name: void
-- Voids one hold. With a request_id, it also stops an Authorize that has not been decided yet.
SELECT void_hold(p_organization_id => $1, p_authorization_id => $2, p_request_id => $3, p_reason => $4);

-- name: find_hold
-- Looks up one hold.
SELECT
    hold, budget_keys, limits_nano_usd, budgets_spent_nano_usd, budgets_held_nano_usd, budgets_unguarded_nano_usd
FROM find_hold(p_organization_id => $1, p_authorization_id => $2);

-- name: extend
-- Sets a later expire_time on a live hold.
SELECT extend_hold(p_organization_id => $1, p_authorization_id => $2, p_expire_time => $3, p_longest => $4);

-- name: list_authorizations
-- An organization's holds after a position, oldest first. A filter that is NULL does not narrow.
SELECT to_jsonb(a) AS hold
FROM authorizations_as_seen AS a
WHERE a.organization_id = $1
    AND a.create_time > '-infinity' AND (a.create_time, a.authorization_id) > ($2, $3)
    AND ($4::text IS NULL OR a.state = $4)
    AND ($5::uuid IS NULL OR a.workflow_id = $5)
    AND ($6::timestamptz IS NULL OR a.create_time < $6)
ORDER BY a.create_time, a.authorization_id
LIMIT $7;

-- name: organizations_to_sweep
-- Organizations with holds whose retention time is over.
SELECT organizations_to_sweep(p_retention => $1, p_limit => $2);

-- name: sweep
-- Ends holds of one organization whose retention time is over; see migrations/governor/functions/53_sweep.sql.
SELECT released_holds, charged_holds
FROM sweep_holds(
    p_organization_id => $1, p_retention => $2, p_limit => $3, p_author => $4, p_lock_timeout_milliseconds => $5);
