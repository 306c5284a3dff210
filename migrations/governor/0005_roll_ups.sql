-- Totals for reports, so that no report scans the ledger. They move with each entry, in the entry's transaction and
-- under its organization's lock (functions/62_roll_ups.sql).

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
