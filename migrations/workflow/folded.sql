-- Gives a database of the earlier three files the schema that an empty database gets from the files up to this one:
-- through: 0002_invocations.sql
--
-- The runner applies it, instead of those files, where exactly these are recorded:
-- folded: 0001_workflows.sql 0cc6425709c69c33276d3704c9b77b2ba26f6162403eab35f5fe71cfcd6c5a3b
-- folded: 0002_invocations.sql 5c1b7ebe6179dcddb53cb54fc6a54233aaee1af6f1b0c1877fadde84588a13ee
-- folded: 0003_total_cost.sql db28c5399998709ea1e60fefd91a39cd1b84a3b9827da42afdc648f69e11e606

-- Functions have moved to the folder `functions`. All of them belong to triggers, which stay until they are replaced in
-- place. Only the code names states and steps now. Steps without
-- tables of their own share one.
ALTER TABLE intent_workflows DROP CONSTRAINT workflow_state_check;
ALTER TABLE model_invocations DROP CONSTRAINT model_invocations_step_check;
ALTER TABLE model_invocations ADD CONSTRAINT model_invocations_step_check CHECK (step <> '');

CREATE TABLE step_results (
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    step text NOT NULL CHECK (step <> ''),
    result jsonb NOT NULL CHECK (jsonb_typeof(result) = 'object'),
    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),

    PRIMARY KEY (organization_id, workflow_id, step),
    FOREIGN KEY (organization_id, workflow_id) REFERENCES intent_workflows (organization_id, id)
);
