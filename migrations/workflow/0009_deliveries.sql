-- Which articles a run of PUBLISH has delivered so far, and where to. The row is written when the receiver has taken the
-- article, so that the next run of a step that was cut off goes on with the rest. workflow_publications gets all of them
-- when the step is completed.
CREATE TABLE workflow_deliveries (
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    article_id uuid NOT NULL,
    location text NOT NULL CHECK (length(location) BETWEEN 1 AND 4096),
    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),

    PRIMARY KEY (organization_id, workflow_id, article_id),
    FOREIGN KEY (organization_id, workflow_id) REFERENCES intent_workflows (organization_id, id)
);
COMMENT ON TABLE workflow_deliveries IS 'The articles that PUBLISH has delivered, as each delivery was made.';
