-- name: record_usage
-- Charges usage without a hold; see migrations/governor/functions/60_record_usage.sql.
SELECT outcome, entry
FROM record_usage(
    p_organization_id => $1, p_idempotency_key => $2, p_request_hash => $3, p_workflow_id => $4, p_served_model => $5,
    p_input_tokens => $6, p_cached_input_tokens => $7, p_cache_write_tokens => $8, p_cache_write_1h_tokens => $9,
    p_output_tokens => $10, p_reasoning_tokens => $11, p_requests => $12, p_other_units => $13, p_price_context => $14,
    p_provider_cost_nano_usd => $15, p_labels => $16, p_occurred_time => $17, p_author => $18);

-- name: adjust_entry
-- Corrects an entry by posting another; see migrations/governor/functions/61_adjust.sql.
SELECT outcome, entry
FROM adjust_entry(
    p_organization_id => $1, p_request_id => $2, p_idempotency_key => $3, p_request_hash => $4, p_entry_id => $5,
    p_corrected_cost_nano_usd => $6, p_reason => $7, p_author => $8);
