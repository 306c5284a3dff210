-- Reports without scanning: totals that move with each entry, in its transaction and under its organization's lock.

CREATE FUNCTION first_day_of(p_month text) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN make_date(left(p_month, 4)::integer, right(p_month, 2)::integer, 1);

CREATE FUNCTION last_day_of(p_month text) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (first_day_of(p_month) + interval '1 month - 1 day')::date;

-- The UTC day that an entry counts in, always one of its month's: the day on which it was posted, or, without a hold,
-- happened. What was posted after the month's end counts in its last day, what before its beginning in its first.
-- One flat expression: functions of ours in it would be planned and inlined by every INSERT.
ALTER TABLE ai_usage_ledger
    ADD COLUMN day date NOT NULL GENERATED ALWAYS AS (greatest(
        make_date(left(month, 4)::integer, right(month, 2)::integer, 1),
        least(
            (coalesce(occurred_at, created_at) AT TIME ZONE 'UTC')::date,
            (make_date(left(month, 4)::integer, right(month, 2)::integer, 1) + interval '1 month - 1 day')::date
        )
    )) STORED;

-- What each served model cost on each day.
CREATE TABLE daily_costs (
    organization_id uuid NOT NULL,
    day date NOT NULL,
    model text NOT NULL,
    cost_nano_usd bigint NOT NULL,
    entries bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    PRIMARY KEY (organization_id, day, model)
) WITH (fillfactor = 50);

-- What each served model cost for each workflow in each month.
CREATE TABLE workflow_costs (
    organization_id uuid NOT NULL,
    month text NOT NULL,
    workflow_id uuid NOT NULL,
    model text NOT NULL,
    cost_nano_usd bigint NOT NULL,
    entries bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    PRIMARY KEY (organization_id, month, workflow_id, model)
) WITH (fillfactor = 50);
CREATE INDEX workflow_costs_by_workflow ON workflow_costs (organization_id, workflow_id);

-- What each label cost in each month.
CREATE TABLE label_costs (
    organization_id uuid NOT NULL,
    month text NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    cost_nano_usd bigint NOT NULL,
    entries bigint NOT NULL,
    PRIMARY KEY (organization_id, month, key, value)
) WITH (fillfactor = 50);

CREATE FUNCTION add_to_totals() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO daily_costs AS t VALUES (
        NEW.organization_id, NEW.day, NEW.model,
        NEW.cost_nano_usd, 1, NEW.prompt_tokens, NEW.completion_tokens)
    ON CONFLICT (organization_id, day, model) DO UPDATE SET
        cost_nano_usd = t.cost_nano_usd + excluded.cost_nano_usd,
        entries = t.entries + 1,
        input_tokens = t.input_tokens + excluded.input_tokens,
        output_tokens = t.output_tokens + excluded.output_tokens;

    INSERT INTO workflow_costs AS t VALUES (
        NEW.organization_id, NEW.month, NEW.workflow_id, NEW.model,
        NEW.cost_nano_usd, 1, NEW.prompt_tokens, NEW.completion_tokens)
    ON CONFLICT (organization_id, month, workflow_id, model) DO UPDATE SET
        cost_nano_usd = t.cost_nano_usd + excluded.cost_nano_usd,
        entries = t.entries + 1,
        input_tokens = t.input_tokens + excluded.input_tokens,
        output_tokens = t.output_tokens + excluded.output_tokens;

    IF NEW.labels <> '{}' THEN
        INSERT INTO label_costs AS t
        SELECT NEW.organization_id, NEW.month, label.key, label.value, NEW.cost_nano_usd, 1
        FROM jsonb_each_text(NEW.labels) AS label
        ON CONFLICT (organization_id, month, key, value) DO UPDATE SET
            cost_nano_usd = t.cost_nano_usd + excluded.cost_nano_usd,
            entries = t.entries + 1;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER ai_usage_ledger_moves_totals AFTER INSERT ON ai_usage_ledger
FOR EACH ROW EXECUTE FUNCTION add_to_totals();
