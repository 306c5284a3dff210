-- Workflows: their states, their history, and the results of their steps.
--
-- A transition is an UPDATE of intent_workflows whose WHERE clause names the state that it starts from; the row count
-- shows whether it succeeded. The database has the matrix of legal transitions too, and refuses every other one. A
-- transaction that moves a workflow, or settles one of its calls, locks the workflow's row of intent_workflows before
-- it touches other rows of the workflow.

-- The matrix. The service fills it when it starts, from TRANSITIONS in workflow_service/domain/states.py, and only adds
-- to it: the history refers to transitions of earlier versions.
CREATE TABLE legal_transitions (
    from_state text NOT NULL,
    to_state text NOT NULL,
    PRIMARY KEY (from_state, to_state)
);
COMMENT ON TABLE legal_transitions IS 'The legal transitions of a workflow.';

-- organization_id leads every key, so that the tables can be spread by it.
CREATE TABLE intent_workflows (
    organization_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    display_name text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 200),
    -- guard_workflow() lets a workflow begin in CREATED and follow legal_transitions: so this is always one of their
    -- states.
    state text NOT NULL DEFAULT 'CREATED',
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    profile jsonb NOT NULL CHECK (jsonb_typeof(profile) = 'object'),
    publish_kind text NOT NULL CHECK (publish_kind IN ('DIRECTORY', 'WEBHOOK', 'WORDPRESS')),
    publish_location text NOT NULL CHECK (length(publish_location) <= 2048),
    -- The callers' own keys, and total_ai_cost in USD, which follows total_ai_cost_nano_usd.
    workflow_data jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(workflow_data) = 'object'),
    icp jsonb CHECK (jsonb_typeof(icp) = 'object'),
    total_ai_cost_nano_usd bigint NOT NULL DEFAULT 0 CHECK (total_ai_cost_nano_usd >= 0),
    error_class text CHECK (error_class IN (
        'RATE_LIMITED', 'PROVIDER_ERROR', 'TIMEOUT', 'CONNECTION_FAILED', 'INVALID_REQUEST',
        'PROVIDER_UNAUTHORIZED', 'INSUFFICIENT_CREDITS', 'FORBIDDEN', 'UNPROCESSABLE', 'UNKNOWN_MODEL',
        'MALFORMED_RESPONSE', 'UNPARSABLE_RESULT', 'BUDGET_DENIED', 'GOVERNOR_REFUSED', 'GOVERNOR_UNAVAILABLE',
        'NOTHING_VALID', 'PUBLISH_FAILED', 'LEASE_EXPIRED', 'REPORTED_BY_WORKER', 'INTERNAL'
    )),
    error_reason text CHECK (length(error_reason) <= 1024),
    error_message text CHECK (length(error_message) <= 1024),
    -- How many leases were granted; also the fencing number of the newest.
    lease_epoch bigint NOT NULL DEFAULT 0 CHECK (lease_epoch >= 0),
    lease_token uuid,
    lease_expire_time timestamptz,
    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    update_time timestamptz NOT NULL DEFAULT clock_timestamp(),

    PRIMARY KEY (organization_id, id),

    CONSTRAINT processing_has_its_lease CHECK (
        CASE
            WHEN state LIKE '%\_PROCESSING' THEN num_nulls(lease_token, lease_expire_time) = 0 AND lease_epoch > 0
            ELSE num_nonnulls(lease_token, lease_expire_time) = 0
        END
    ),
    CONSTRAINT failed_has_its_error CHECK (
        CASE
            WHEN state LIKE '%\_FAILED' THEN num_nulls(error_class, error_reason, error_message) = 0
            WHEN state = 'CANCELLED' THEN num_nulls(error_class, error_reason, error_message) IN (0, 3)
            ELSE num_nonnulls(error_class, error_reason, error_message) = 0
        END
    ),
    CONSTRAINT icp_stands_once_completed CHECK (
        CASE
            WHEN state IN ('CREATED', 'ICP_PENDING', 'ICP_PROCESSING', 'ICP_FAILED') THEN icp IS NULL
            ELSE icp IS NOT NULL OR state = 'CANCELLED'
        END
    )
) WITH (fillfactor = 70);
COMMENT ON TABLE intent_workflows IS 'One row for each workflow: its state, its lease, its data, its cost.';

-- ListWorkflows: newest first, of every state or of one.
CREATE INDEX intent_workflows_newest ON intent_workflows (organization_id, create_time DESC, id DESC);
CREATE INDEX intent_workflows_newest_by_state
    ON intent_workflows (organization_id, state, create_time DESC, id DESC);

-- The history: one row for each version after the first.
CREATE TABLE workflow_transitions (
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    version bigint NOT NULL CHECK (version >= 2),
    from_state text NOT NULL,
    to_state text NOT NULL,
    actor text NOT NULL CHECK (length(actor) BETWEEN 1 AND 200),
    reason text NOT NULL CHECK (length(reason) <= 2048),
    -- The lease that it began or ended. Its token identifies a repeated call that ends this lease.
    epoch bigint CHECK (epoch > 0),
    lease_token uuid,
    total_ai_cost_nano_usd bigint NOT NULL CHECK (total_ai_cost_nano_usd >= 0),
    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),

    PRIMARY KEY (organization_id, workflow_id, version),
    FOREIGN KEY (organization_id, workflow_id) REFERENCES intent_workflows (organization_id, id),
    FOREIGN KEY (from_state, to_state) REFERENCES legal_transitions (from_state, to_state),
    CONSTRAINT lease_is_whole CHECK ((epoch IS NULL) = (lease_token IS NULL))
);
COMMENT ON TABLE workflow_transitions IS 'How each workflow got where it stands; only grows.';

-- What COMPETITOR found and SEED_REVIEW decided. keyword_key is the keyword without regard to case and spacing.
CREATE TABLE workflow_keywords (
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    keyword_key text NOT NULL CHECK (keyword_key <> ''),
    position integer NOT NULL CHECK (position >= 0),
    keyword text NOT NULL CHECK (length(keyword) BETWEEN 1 AND 200),
    competitor_url text NOT NULL,
    intent text NOT NULL,
    reason text NOT NULL,
    decision text CHECK (decision IN ('APPROVED', 'REJECTED')),
    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    decide_time timestamptz,

    PRIMARY KEY (organization_id, workflow_id, keyword_key),
    FOREIGN KEY (organization_id, workflow_id) REFERENCES intent_workflows (organization_id, id),
    CONSTRAINT decided_has_its_time CHECK ((decision IS NULL) = (decide_time IS NULL))
);

CREATE TABLE workflow_clusters (
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    cluster_id uuid NOT NULL,
    position integer NOT NULL CHECK (position >= 0),
    pillar_keyword text NOT NULL CHECK (length(pillar_keyword) BETWEEN 1 AND 200),
    supporting_keywords text[] NOT NULL,
    theme text NOT NULL,
    valid boolean,
    confidence double precision CHECK (confidence BETWEEN 0 AND 1),
    reason text,
    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),

    PRIMARY KEY (organization_id, workflow_id, cluster_id),
    FOREIGN KEY (organization_id, workflow_id) REFERENCES intent_workflows (organization_id, id),
    CONSTRAINT verdict_is_whole CHECK (num_nulls(valid, confidence, reason) IN (0, 3))
);

CREATE TABLE workflow_articles (
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    article_id uuid NOT NULL,
    cluster_id uuid NOT NULL,
    position integer NOT NULL CHECK (position >= 0),
    title text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    slug text NOT NULL CHECK (length(slug) BETWEEN 1 AND 100),
    meta_description text NOT NULL,
    body_markdown text NOT NULL,
    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),

    PRIMARY KEY (organization_id, workflow_id, article_id),
    UNIQUE (organization_id, workflow_id, cluster_id),
    UNIQUE (organization_id, workflow_id, slug),
    FOREIGN KEY (organization_id, workflow_id, cluster_id)
        REFERENCES workflow_clusters (organization_id, workflow_id, cluster_id)
);

-- Where each article was delivered, once.
CREATE TABLE workflow_publications (
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    article_id uuid NOT NULL,
    location text NOT NULL CHECK (length(location) BETWEEN 1 AND 4096),
    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),

    PRIMARY KEY (organization_id, workflow_id, article_id),
    FOREIGN KEY (organization_id, workflow_id, article_id)
        REFERENCES workflow_articles (organization_id, workflow_id, article_id)
);

-- The results of steps that have no table of their own: one document each, of the step's result type.
CREATE TABLE step_results (
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    step text NOT NULL CHECK (step <> ''),
    result jsonb NOT NULL CHECK (jsonb_typeof(result) = 'object'),
    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),

    PRIMARY KEY (organization_id, workflow_id, step),
    FOREIGN KEY (organization_id, workflow_id) REFERENCES intent_workflows (organization_id, id)
);

-- What each request_id was used for, and its answer. A row is written in the transaction of its effect, so that a call
-- that failed leaves none.
CREATE TABLE request_ids (
    organization_id uuid NOT NULL,
    method text NOT NULL,
    request_id uuid NOT NULL,
    content_hash bytea NOT NULL CHECK (length(content_hash) = 32),
    workflow_id uuid NOT NULL,
    -- The epoch of the lease that it claimed, if any.
    epoch bigint CHECK (epoch > 0),
    -- NULL while a run is in progress.
    answer jsonb,
    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),

    PRIMARY KEY (organization_id, method, request_id)
);
COMMENT ON TABLE request_ids IS 'What each request_id was used for, and its answer.';
