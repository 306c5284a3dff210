-- The totals that reports are read from. A trigger updates them once for all the entries of a statement.
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
