-- GetAuthorization and ListAuthorizations: holds as they are now.

-- A hold as callers see it.
CREATE OR REPLACE VIEW authorizations_as_seen AS
SELECT
    a.organization_id, a.authorization_id, a.request_id, a.workflow_id,
    state_at(a.state, a.expire_time, governor_now()) AS state,
    a.model, a.input_tokens_max, a.output_tokens_max, a.requests_max,
    a.cache_write_tokens_max, a.cache_write_1h_tokens_max, a.other_units_max, a.price_context,
    a.held_nano_usd, a.downgrade_reason,
    a.on_expiry, a.labels, a.month, a.budget_keys, a.create_time, a.expire_time, a.entry_id, a.price_id
FROM authorizations AS a;

-- A hold with the present figures of its budgets.
CREATE OR REPLACE FUNCTION find_hold(p_organization_id uuid, p_authorization_id uuid)
RETURNS TABLE (
    hold jsonb,
    budget_keys text[], limits_nano_usd bigint[], budgets_spent_nano_usd bigint[], budgets_held_nano_usd bigint[],
    budgets_unguarded_nano_usd bigint[]
)
LANGUAGE sql STABLE AS $$
    SELECT to_jsonb(a), a.budget_keys, f.limits_nano_usd, f.spent_nano_usd, f.held_nano_usd, f.unguarded_nano_usd
    FROM authorizations_as_seen AS a
    CROSS JOIN LATERAL budget_figures(
        a.organization_id, terms_of(a.organization_id, p_denies_unknown => false), a.budget_keys) AS f
    WHERE a.organization_id = p_organization_id AND a.authorization_id = p_authorization_id
$$;
