SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE FUNCTION public.follow_total_ai_cost() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_previous_nano_usd bigint;
    v_total_nano_usd bigint;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        v_previous_nano_usd := OLD.cost_nano_usd;
    END IF;
    IF NEW.cost_nano_usd IS NOT DISTINCT FROM v_previous_nano_usd THEN
        RETURN NULL;
    END IF;
    SELECT total_ai_cost_nano_usd INTO v_total_nano_usd FROM intent_workflows
    WHERE organization_id = NEW.organization_id AND id = NEW.workflow_id FOR NO KEY UPDATE;
    v_total_nano_usd := CASE
        WHEN NEW.workflow_spent_nano_usd IS NULL
            THEN v_total_nano_usd + NEW.cost_nano_usd - coalesce(v_previous_nano_usd, 0)
        WHEN NEW.cost_nano_usd < v_previous_nano_usd
            THEN NEW.workflow_spent_nano_usd
        ELSE greatest(v_total_nano_usd, NEW.workflow_spent_nano_usd)
    END;
    UPDATE intent_workflows
    SET total_ai_cost_nano_usd = v_total_nano_usd,
        workflow_data = workflow_data
            || jsonb_build_object('total_ai_cost', v_total_nano_usd::numeric / 1000000000),
        update_time = clock_timestamp()
    WHERE organization_id = NEW.organization_id AND id = NEW.workflow_id;
    RETURN NULL;
END
$$;
CREATE FUNCTION public.guard_workflow() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF (NEW.state, NEW.version, NEW.lease_epoch) <> ('CREATED', 1, 0) THEN
            RAISE check_violation USING MESSAGE = 'a workflow begins in CREATED, at version 1 and epoch 0';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.organization_id, NEW.id) <> (OLD.organization_id, OLD.id) THEN
        RAISE check_violation USING MESSAGE = 'a workflow keeps its id and its organization';
    END IF;
    IF NEW.state = OLD.state THEN
        IF NEW.version <> OLD.version THEN
            RAISE check_violation USING MESSAGE = 'only a transition changes the version';
        END IF;
    ELSE
        IF NOT EXISTS (
            SELECT FROM legal_transitions
            WHERE from_state = OLD.state AND to_state = NEW.state
        ) THEN
            RAISE check_violation USING MESSAGE = format('illegal transition from %s to %s', OLD.state, NEW.state);
        END IF;
        IF NEW.version <> OLD.version + 1 THEN
            RAISE check_violation USING MESSAGE = 'a transition raises the version by one';
        END IF;
    END IF;
    -- A new lease is a new token at the next epoch; nothing else moves the epoch.
    IF NEW.lease_epoch <> OLD.lease_epoch
        + (NEW.lease_token IS NOT NULL AND NEW.lease_token IS DISTINCT FROM OLD.lease_token)::integer
    THEN
        RAISE check_violation USING MESSAGE = 'the epoch grows by one at each new lease, and only there';
    END IF;
    RETURN NEW;
END
$$;
CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE insufficient_privilege USING MESSAGE = format('%s only grows: %s is refused', TG_TABLE_NAME, TG_OP);
END
$$;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.intent_workflows (
    organization_id uuid NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    display_name text NOT NULL,
    state text DEFAULT 'CREATED'::text NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    profile jsonb NOT NULL,
    publish_kind text NOT NULL,
    publish_location text NOT NULL,
    workflow_data jsonb DEFAULT '{}'::jsonb NOT NULL,
    icp jsonb,
    total_ai_cost_nano_usd bigint DEFAULT 0 NOT NULL,
    error_class text,
    error_reason text,
    error_message text,
    lease_epoch bigint DEFAULT 0 NOT NULL,
    lease_token uuid,
    lease_expire_time timestamp with time zone,
    create_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    update_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT failed_has_its_error CHECK (
CASE
    WHEN (state ~~ '%\_FAILED'::text) THEN (num_nulls(error_class, error_reason, error_message) = 0)
    WHEN (state = 'CANCELLED'::text) THEN (num_nulls(error_class, error_reason, error_message) = ANY (ARRAY[0, 3]))
    ELSE (num_nonnulls(error_class, error_reason, error_message) = 0)
END),
    CONSTRAINT icp_stands_once_completed CHECK (
CASE
    WHEN (state = ANY (ARRAY['CREATED'::text, 'ICP_PENDING'::text, 'ICP_PROCESSING'::text, 'ICP_FAILED'::text])) THEN (icp IS NULL)
    ELSE ((icp IS NOT NULL) OR (state = 'CANCELLED'::text))
END),
    CONSTRAINT intent_workflows_display_name_check CHECK (((length(display_name) >= 1) AND (length(display_name) <= 200))),
    CONSTRAINT intent_workflows_error_class_check CHECK ((error_class = ANY (ARRAY['RATE_LIMITED'::text, 'PROVIDER_ERROR'::text, 'TIMEOUT'::text, 'CONNECTION_FAILED'::text, 'INVALID_REQUEST'::text, 'PROVIDER_UNAUTHORIZED'::text, 'INSUFFICIENT_CREDITS'::text, 'FORBIDDEN'::text, 'UNPROCESSABLE'::text, 'UNKNOWN_MODEL'::text, 'MALFORMED_RESPONSE'::text, 'UNPARSABLE_RESULT'::text, 'BUDGET_DENIED'::text, 'GOVERNOR_REFUSED'::text, 'GOVERNOR_UNAVAILABLE'::text, 'NOTHING_VALID'::text, 'PUBLISH_FAILED'::text, 'LEASE_EXPIRED'::text, 'REPORTED_BY_WORKER'::text, 'INTERNAL'::text]))),
    CONSTRAINT intent_workflows_error_message_check CHECK ((length(error_message) <= 1024)),
    CONSTRAINT intent_workflows_error_reason_check CHECK ((length(error_reason) <= 1024)),
    CONSTRAINT intent_workflows_icp_check CHECK ((jsonb_typeof(icp) = 'object'::text)),
    CONSTRAINT intent_workflows_lease_epoch_check CHECK ((lease_epoch >= 0)),
    CONSTRAINT intent_workflows_profile_check CHECK ((jsonb_typeof(profile) = 'object'::text)),
    CONSTRAINT intent_workflows_publish_kind_check CHECK ((publish_kind = ANY (ARRAY['DIRECTORY'::text, 'WEBHOOK'::text, 'WORDPRESS'::text]))),
    CONSTRAINT intent_workflows_publish_location_check CHECK ((length(publish_location) <= 2048)),
    CONSTRAINT intent_workflows_total_ai_cost_nano_usd_check CHECK ((total_ai_cost_nano_usd >= 0)),
    CONSTRAINT intent_workflows_version_check CHECK ((version >= 1)),
    CONSTRAINT intent_workflows_workflow_data_check CHECK ((jsonb_typeof(workflow_data) = 'object'::text)),
    CONSTRAINT processing_has_its_lease CHECK (
CASE
    WHEN (state ~~ '%\_PROCESSING'::text) THEN ((num_nulls(lease_token, lease_expire_time) = 0) AND (lease_epoch > 0))
    ELSE (num_nonnulls(lease_token, lease_expire_time) = 0)
END),
    CONSTRAINT workflow_state_check CHECK ((state = ANY (ARRAY['CREATED'::text, 'ICP_PENDING'::text, 'ICP_PROCESSING'::text, 'ICP_COMPLETED'::text, 'ICP_FAILED'::text, 'COMPETITOR_PENDING'::text, 'COMPETITOR_PROCESSING'::text, 'COMPETITOR_COMPLETED'::text, 'COMPETITOR_FAILED'::text, 'SEED_REVIEW_PENDING'::text, 'SEED_REVIEW_COMPLETED'::text, 'CLUSTERING_PENDING'::text, 'CLUSTERING_PROCESSING'::text, 'CLUSTERING_COMPLETED'::text, 'CLUSTERING_FAILED'::text, 'VALIDATION_PENDING'::text, 'VALIDATION_PROCESSING'::text, 'VALIDATION_COMPLETED'::text, 'VALIDATION_FAILED'::text, 'ARTICLE_PENDING'::text, 'ARTICLE_PROCESSING'::text, 'ARTICLE_COMPLETED'::text, 'ARTICLE_FAILED'::text, 'PUBLISH_PENDING'::text, 'PUBLISH_PROCESSING'::text, 'PUBLISH_COMPLETED'::text, 'PUBLISH_FAILED'::text, 'COMPLETED'::text, 'CANCELLED'::text])))
)
WITH (fillfactor='70');
CREATE TABLE public.legal_transitions (
    from_state text NOT NULL,
    to_state text NOT NULL
);
CREATE TABLE public.model_invocations (
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    step text NOT NULL,
    item text NOT NULL,
    attempt integer NOT NULL,
    request_id uuid NOT NULL,
    epoch bigint NOT NULL,
    state text NOT NULL,
    requested_models text[] NOT NULL,
    authorization_id uuid,
    model text,
    held_nano_usd bigint,
    served_model text,
    generation_id text,
    answer text,
    input_tokens bigint,
    cached_input_tokens bigint,
    cache_write_tokens bigint,
    output_tokens bigint,
    reasoning_tokens bigint,
    requests bigint,
    provider_cost_nano_usd bigint,
    entry_id uuid,
    cost_nano_usd bigint,
    workflow_spent_nano_usd bigint,
    error_class text,
    create_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    update_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    dispatch_time timestamp with time zone,
    respond_time timestamp with time zone,
    end_time timestamp with time zone,
    CONSTRAINT answer_came_in_response CHECK (((respond_time IS NOT NULL) OR (num_nonnulls(answer, served_model, input_tokens, provider_cost_nano_usd) = 0))),
    CONSTRAINT answer_is_good CHECK (((answer IS NULL) OR (error_class IS NULL))),
    CONSTRAINT authorized_has_its_hold CHECK (((state <> ALL (ARRAY['AUTHORIZED'::text, 'DISPATCHED'::text, 'RESPONDED'::text, 'SETTLED'::text])) OR (authorization_id IS NOT NULL))),
    CONSTRAINT dispatched_has_its_time CHECK (
CASE
    WHEN (state = ANY (ARRAY['REQUESTED'::text, 'AUTHORIZED'::text])) THEN (dispatch_time IS NULL)
    WHEN (state = ANY (ARRAY['DISPATCHED'::text, 'RESPONDED'::text])) THEN (dispatch_time IS NOT NULL)
    ELSE true
END),
    CONSTRAINT ended_has_its_time CHECK (((state = ANY (ARRAY['SETTLED'::text, 'VOIDED'::text])) = (end_time IS NOT NULL))),
    CONSTRAINT fruitless_has_its_class CHECK (((state <> ALL (ARRAY['VOIDING'::text, 'VOIDED'::text])) OR (error_class IS NOT NULL))),
    CONSTRAINT hold_is_whole CHECK (((authorization_id IS NULL) OR ((model IS NOT NULL) AND (held_nano_usd IS NOT NULL)))),
    CONSTRAINT model_invocations_attempt_check CHECK ((attempt > 0)),
    CONSTRAINT model_invocations_check CHECK (((cached_input_tokens >= 0) AND (cached_input_tokens <= input_tokens))),
    CONSTRAINT model_invocations_check1 CHECK (((cache_write_tokens >= 0) AND (cache_write_tokens <= input_tokens))),
    CONSTRAINT model_invocations_check2 CHECK (((reasoning_tokens >= 0) AND (reasoning_tokens <= output_tokens))),
    CONSTRAINT model_invocations_cost_nano_usd_check CHECK ((cost_nano_usd >= 0)),
    CONSTRAINT model_invocations_epoch_check CHECK ((epoch > 0)),
    CONSTRAINT model_invocations_error_class_check CHECK ((error_class = ANY (ARRAY['RATE_LIMITED'::text, 'PROVIDER_ERROR'::text, 'TIMEOUT'::text, 'CONNECTION_FAILED'::text, 'INVALID_REQUEST'::text, 'PROVIDER_UNAUTHORIZED'::text, 'INSUFFICIENT_CREDITS'::text, 'FORBIDDEN'::text, 'UNPROCESSABLE'::text, 'UNKNOWN_MODEL'::text, 'MALFORMED_RESPONSE'::text, 'UNPARSABLE_RESULT'::text, 'BUDGET_DENIED'::text, 'GOVERNOR_REFUSED'::text, 'GOVERNOR_UNAVAILABLE'::text, 'NOTHING_VALID'::text, 'PUBLISH_FAILED'::text, 'LEASE_EXPIRED'::text, 'REPORTED_BY_WORKER'::text, 'INTERNAL'::text]))),
    CONSTRAINT model_invocations_generation_id_check CHECK ((length(generation_id) <= 200)),
    CONSTRAINT model_invocations_held_nano_usd_check CHECK ((held_nano_usd >= 0)),
    CONSTRAINT model_invocations_input_tokens_check CHECK ((input_tokens >= 0)),
    CONSTRAINT model_invocations_item_check CHECK ((length(item) <= 200)),
    CONSTRAINT model_invocations_output_tokens_check CHECK ((output_tokens >= 0)),
    CONSTRAINT model_invocations_provider_cost_nano_usd_check CHECK ((provider_cost_nano_usd >= 0)),
    CONSTRAINT model_invocations_requested_models_check CHECK (((cardinality(requested_models) >= 1) AND (cardinality(requested_models) <= 10))),
    CONSTRAINT model_invocations_requests_check CHECK ((requests >= 0)),
    CONSTRAINT model_invocations_served_model_check CHECK ((length(served_model) <= 200)),
    CONSTRAINT model_invocations_state_check CHECK ((state = ANY (ARRAY['REQUESTED'::text, 'AUTHORIZED'::text, 'DISPATCHED'::text, 'RESPONDED'::text, 'SETTLED'::text, 'VOIDING'::text, 'VOIDED'::text]))),
    CONSTRAINT model_invocations_step_check CHECK ((step = ANY (ARRAY['ICP'::text, 'COMPETITOR'::text, 'CLUSTERING'::text, 'VALIDATION'::text, 'ARTICLE'::text]))),
    CONSTRAINT model_invocations_workflow_spent_nano_usd_check CHECK ((workflow_spent_nano_usd >= 0)),
    CONSTRAINT responded_has_its_time CHECK (
CASE
    WHEN (state = 'RESPONDED'::text) THEN (respond_time IS NOT NULL)
    WHEN (state = 'SETTLED'::text) THEN true
    ELSE (respond_time IS NULL)
END),
    CONSTRAINT settled_has_its_entry CHECK ((((state = 'SETTLED'::text) = (entry_id IS NOT NULL)) AND ((entry_id IS NULL) = (cost_nano_usd IS NULL)))),
    CONSTRAINT usage_is_whole CHECK ((num_nonnulls(input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, requests) = ANY (ARRAY[0, 6])))
);
CREATE TABLE public.request_ids (
    organization_id uuid NOT NULL,
    method text NOT NULL,
    request_id uuid NOT NULL,
    content_hash bytea NOT NULL,
    workflow_id uuid NOT NULL,
    epoch bigint,
    answer jsonb,
    create_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT request_ids_content_hash_check CHECK ((length(content_hash) = 32)),
    CONSTRAINT request_ids_epoch_check CHECK ((epoch > 0))
);
CREATE TABLE public.schema_migrations (
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_time timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.workflow_articles (
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    article_id uuid NOT NULL,
    cluster_id uuid NOT NULL,
    "position" integer NOT NULL,
    title text NOT NULL,
    slug text NOT NULL,
    meta_description text NOT NULL,
    body_markdown text NOT NULL,
    create_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT workflow_articles_position_check CHECK (("position" >= 0)),
    CONSTRAINT workflow_articles_slug_check CHECK (((length(slug) >= 1) AND (length(slug) <= 100))),
    CONSTRAINT workflow_articles_title_check CHECK (((length(title) >= 1) AND (length(title) <= 200)))
);
CREATE TABLE public.workflow_clusters (
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    cluster_id uuid NOT NULL,
    "position" integer NOT NULL,
    pillar_keyword text NOT NULL,
    supporting_keywords text[] NOT NULL,
    theme text NOT NULL,
    valid boolean,
    confidence double precision,
    reason text,
    create_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT verdict_is_whole CHECK ((num_nulls(valid, confidence, reason) = ANY (ARRAY[0, 3]))),
    CONSTRAINT workflow_clusters_confidence_check CHECK (((confidence >= (0)::double precision) AND (confidence <= (1)::double precision))),
    CONSTRAINT workflow_clusters_pillar_keyword_check CHECK (((length(pillar_keyword) >= 1) AND (length(pillar_keyword) <= 200))),
    CONSTRAINT workflow_clusters_position_check CHECK (("position" >= 0))
);
CREATE TABLE public.workflow_keywords (
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    keyword_key text NOT NULL,
    "position" integer NOT NULL,
    keyword text NOT NULL,
    competitor_url text NOT NULL,
    intent text NOT NULL,
    reason text NOT NULL,
    decision text,
    create_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    decide_time timestamp with time zone,
    CONSTRAINT decided_has_its_time CHECK (((decision IS NULL) = (decide_time IS NULL))),
    CONSTRAINT workflow_keywords_decision_check CHECK ((decision = ANY (ARRAY['APPROVED'::text, 'REJECTED'::text]))),
    CONSTRAINT workflow_keywords_keyword_check CHECK (((length(keyword) >= 1) AND (length(keyword) <= 200))),
    CONSTRAINT workflow_keywords_keyword_key_check CHECK ((keyword_key <> ''::text)),
    CONSTRAINT workflow_keywords_position_check CHECK (("position" >= 0))
);
CREATE TABLE public.workflow_publications (
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    article_id uuid NOT NULL,
    location text NOT NULL,
    create_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT workflow_publications_location_check CHECK (((length(location) >= 1) AND (length(location) <= 4096)))
);
CREATE TABLE public.workflow_transitions (
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    version bigint NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    epoch bigint,
    lease_token uuid,
    total_ai_cost_nano_usd bigint NOT NULL,
    create_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT lease_is_whole CHECK (((epoch IS NULL) = (lease_token IS NULL))),
    CONSTRAINT workflow_transitions_actor_check CHECK (((length(actor) >= 1) AND (length(actor) <= 200))),
    CONSTRAINT workflow_transitions_epoch_check CHECK ((epoch > 0)),
    CONSTRAINT workflow_transitions_reason_check CHECK ((length(reason) <= 2048)),
    CONSTRAINT workflow_transitions_total_ai_cost_nano_usd_check CHECK ((total_ai_cost_nano_usd >= 0)),
    CONSTRAINT workflow_transitions_version_check CHECK ((version >= 2))
);
INSERT INTO public.intent_workflows VALUES
	('56676808-a68f-57e3-9f50-7530c7b3772e', 'cbd32939-8421-5f57-9fdd-de210fb67d98', 'A workflow', 'ICP_PROCESSING', 3, '{}', 'DIRECTORY', '', '{}', NULL, 0, NULL, NULL, NULL, 1, '094de9d8-5b56-5c33-8965-e758b0aef552', '2026-12-01 00:00:00+00', '2026-11-27 23:13:51.841465+00', '2026-11-27 23:13:51.841465+00');
INSERT INTO public.legal_transitions VALUES
	('ICP_PENDING', 'ICP_PROCESSING'),
	('ICP_PROCESSING', 'ICP_COMPLETED'),
	('ICP_PROCESSING', 'ICP_FAILED'),
	('ICP_FAILED', 'ICP_PROCESSING'),
	('COMPETITOR_PENDING', 'COMPETITOR_PROCESSING'),
	('COMPETITOR_PROCESSING', 'COMPETITOR_COMPLETED'),
	('COMPETITOR_PROCESSING', 'COMPETITOR_FAILED'),
	('COMPETITOR_FAILED', 'COMPETITOR_PROCESSING'),
	('CLUSTERING_PENDING', 'CLUSTERING_PROCESSING'),
	('CLUSTERING_PROCESSING', 'CLUSTERING_COMPLETED'),
	('CLUSTERING_PROCESSING', 'CLUSTERING_FAILED'),
	('CLUSTERING_FAILED', 'CLUSTERING_PROCESSING'),
	('VALIDATION_PENDING', 'VALIDATION_PROCESSING'),
	('VALIDATION_PROCESSING', 'VALIDATION_COMPLETED'),
	('VALIDATION_PROCESSING', 'VALIDATION_FAILED'),
	('VALIDATION_FAILED', 'VALIDATION_PROCESSING'),
	('ARTICLE_PENDING', 'ARTICLE_PROCESSING'),
	('ARTICLE_PROCESSING', 'ARTICLE_COMPLETED'),
	('ARTICLE_PROCESSING', 'ARTICLE_FAILED'),
	('ARTICLE_FAILED', 'ARTICLE_PROCESSING'),
	('PUBLISH_PENDING', 'PUBLISH_PROCESSING'),
	('PUBLISH_PROCESSING', 'PUBLISH_COMPLETED'),
	('PUBLISH_PROCESSING', 'PUBLISH_FAILED'),
	('PUBLISH_FAILED', 'PUBLISH_PROCESSING'),
	('CREATED', 'ICP_PENDING'),
	('ICP_COMPLETED', 'COMPETITOR_PENDING'),
	('COMPETITOR_COMPLETED', 'SEED_REVIEW_PENDING'),
	('SEED_REVIEW_PENDING', 'SEED_REVIEW_COMPLETED'),
	('SEED_REVIEW_COMPLETED', 'CLUSTERING_PENDING'),
	('CLUSTERING_COMPLETED', 'VALIDATION_PENDING'),
	('VALIDATION_COMPLETED', 'ARTICLE_PENDING'),
	('ARTICLE_COMPLETED', 'PUBLISH_PENDING'),
	('PUBLISH_COMPLETED', 'COMPLETED'),
	('VALIDATION_COMPLETED', 'CANCELLED'),
	('CLUSTERING_FAILED', 'CANCELLED'),
	('SEED_REVIEW_COMPLETED', 'CANCELLED'),
	('CREATED', 'CANCELLED'),
	('ARTICLE_PENDING', 'CANCELLED'),
	('COMPETITOR_PENDING', 'CANCELLED'),
	('PUBLISH_PENDING', 'CANCELLED'),
	('CLUSTERING_PROCESSING', 'CANCELLED'),
	('VALIDATION_PENDING', 'CANCELLED'),
	('ARTICLE_PROCESSING', 'CANCELLED'),
	('ARTICLE_COMPLETED', 'CANCELLED'),
	('CLUSTERING_COMPLETED', 'CANCELLED'),
	('PUBLISH_FAILED', 'CANCELLED'),
	('COMPETITOR_COMPLETED', 'CANCELLED'),
	('ICP_PROCESSING', 'CANCELLED'),
	('VALIDATION_PROCESSING', 'CANCELLED'),
	('COMPETITOR_PROCESSING', 'CANCELLED');
INSERT INTO public.legal_transitions VALUES
	('ARTICLE_FAILED', 'CANCELLED'),
	('ICP_FAILED', 'CANCELLED'),
	('ICP_PENDING', 'CANCELLED'),
	('PUBLISH_COMPLETED', 'CANCELLED'),
	('PUBLISH_PROCESSING', 'CANCELLED'),
	('ICP_COMPLETED', 'CANCELLED'),
	('CLUSTERING_PENDING', 'CANCELLED'),
	('COMPETITOR_FAILED', 'CANCELLED'),
	('SEED_REVIEW_PENDING', 'CANCELLED'),
	('VALIDATION_FAILED', 'CANCELLED');
INSERT INTO public.model_invocations VALUES
	('56676808-a68f-57e3-9f50-7530c7b3772e', 'cbd32939-8421-5f57-9fdd-de210fb67d98', 'ICP', '', 1, '864d392f-c3e6-5589-b927-de6a4b4c1e5e', 1, 'DISPATCHED', '{perplexity/sonar}', '36a434ed-347d-5afc-8cb4-05532967830b', 'perplexity/sonar', 2400000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-27 23:13:51.856212+00', '2026-11-27 23:13:51.856212+00', '2026-11-27 23:13:51.855622+00', NULL, NULL);
INSERT INTO public.schema_migrations VALUES
	('0001_workflows.sql', '0cc6425709c69c33276d3704c9b77b2ba26f6162403eab35f5fe71cfcd6c5a3b', '2026-11-27 23:13:51.700974+00'),
	('0002_invocations.sql', '5c1b7ebe6179dcddb53cb54fc6a54233aaee1af6f1b0c1877fadde84588a13ee', '2026-11-27 23:13:51.8128+00'),
	('0003_total_cost.sql', 'db28c5399998709ea1e60fefd91a39cd1b84a3b9827da42afdc648f69e11e606', '2026-11-27 23:13:51.827732+00');
INSERT INTO public.workflow_transitions VALUES
	('56676808-a68f-57e3-9f50-7530c7b3772e', 'cbd32939-8421-5f57-9fdd-de210fb67d98', 2, 'CREATED', 'ICP_PENDING', 'test', '', NULL, NULL, 0, '2026-11-27 23:13:51.851532+00'),
	('56676808-a68f-57e3-9f50-7530c7b3772e', 'cbd32939-8421-5f57-9fdd-de210fb67d98', 3, 'ICP_PENDING', 'ICP_PROCESSING', 'test', '', 1, '094de9d8-5b56-5c33-8965-e758b0aef552', 0, '2026-11-27 23:13:51.854591+00');
ALTER TABLE ONLY public.intent_workflows
    ADD CONSTRAINT intent_workflows_pkey PRIMARY KEY (organization_id, id);
ALTER TABLE ONLY public.legal_transitions
    ADD CONSTRAINT legal_transitions_pkey PRIMARY KEY (from_state, to_state);
ALTER TABLE ONLY public.model_invocations
    ADD CONSTRAINT model_invocations_organization_id_request_id_key UNIQUE (organization_id, request_id);
ALTER TABLE ONLY public.model_invocations
    ADD CONSTRAINT model_invocations_pkey PRIMARY KEY (organization_id, workflow_id, step, item, attempt);
ALTER TABLE ONLY public.request_ids
    ADD CONSTRAINT request_ids_pkey PRIMARY KEY (organization_id, method, request_id);
ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.workflow_articles
    ADD CONSTRAINT workflow_articles_organization_id_workflow_id_cluster_id_key UNIQUE (organization_id, workflow_id, cluster_id);
ALTER TABLE ONLY public.workflow_articles
    ADD CONSTRAINT workflow_articles_organization_id_workflow_id_slug_key UNIQUE (organization_id, workflow_id, slug);
ALTER TABLE ONLY public.workflow_articles
    ADD CONSTRAINT workflow_articles_pkey PRIMARY KEY (organization_id, workflow_id, article_id);
ALTER TABLE ONLY public.workflow_clusters
    ADD CONSTRAINT workflow_clusters_pkey PRIMARY KEY (organization_id, workflow_id, cluster_id);
ALTER TABLE ONLY public.workflow_keywords
    ADD CONSTRAINT workflow_keywords_pkey PRIMARY KEY (organization_id, workflow_id, keyword_key);
ALTER TABLE ONLY public.workflow_publications
    ADD CONSTRAINT workflow_publications_pkey PRIMARY KEY (organization_id, workflow_id, article_id);
ALTER TABLE ONLY public.workflow_transitions
    ADD CONSTRAINT workflow_transitions_pkey PRIMARY KEY (organization_id, workflow_id, version);
CREATE INDEX intent_workflows_newest ON public.intent_workflows USING btree (organization_id, create_time DESC, id DESC);
CREATE INDEX intent_workflows_newest_by_state ON public.intent_workflows USING btree (organization_id, state, create_time DESC, id DESC);
CREATE INDEX model_invocations_in_order ON public.model_invocations USING btree (organization_id, workflow_id, create_time, request_id);
CREATE INDEX model_invocations_open ON public.model_invocations USING btree (organization_id, workflow_id, step) WHERE (state <> ALL (ARRAY['SETTLED'::text, 'VOIDED'::text]));
CREATE TRIGGER follow_total_ai_cost AFTER INSERT OR UPDATE OF cost_nano_usd ON public.model_invocations FOR EACH ROW EXECUTE FUNCTION public.follow_total_ai_cost();
ALTER TABLE public.model_invocations ENABLE ALWAYS TRIGGER follow_total_ai_cost;
CREATE TRIGGER guard_workflow BEFORE INSERT OR UPDATE ON public.intent_workflows FOR EACH ROW EXECUTE FUNCTION public.guard_workflow();
ALTER TABLE public.intent_workflows ENABLE ALWAYS TRIGGER guard_workflow;
CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE OR TRUNCATE ON public.legal_transitions FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
ALTER TABLE public.legal_transitions ENABLE ALWAYS TRIGGER refuse_change;
CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE OR TRUNCATE ON public.workflow_transitions FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
ALTER TABLE public.workflow_transitions ENABLE ALWAYS TRIGGER refuse_change;
ALTER TABLE ONLY public.workflow_articles
    ADD CONSTRAINT workflow_articles_organization_id_workflow_id_cluster_id_fkey FOREIGN KEY (organization_id, workflow_id, cluster_id) REFERENCES public.workflow_clusters(organization_id, workflow_id, cluster_id);
ALTER TABLE ONLY public.workflow_clusters
    ADD CONSTRAINT workflow_clusters_organization_id_workflow_id_fkey FOREIGN KEY (organization_id, workflow_id) REFERENCES public.intent_workflows(organization_id, id);
ALTER TABLE ONLY public.workflow_keywords
    ADD CONSTRAINT workflow_keywords_organization_id_workflow_id_fkey FOREIGN KEY (organization_id, workflow_id) REFERENCES public.intent_workflows(organization_id, id);
ALTER TABLE ONLY public.workflow_publications
    ADD CONSTRAINT workflow_publications_organization_id_workflow_id_article__fkey FOREIGN KEY (organization_id, workflow_id, article_id) REFERENCES public.workflow_articles(organization_id, workflow_id, article_id);
ALTER TABLE ONLY public.workflow_transitions
    ADD CONSTRAINT workflow_transitions_from_state_to_state_fkey FOREIGN KEY (from_state, to_state) REFERENCES public.legal_transitions(from_state, to_state);
ALTER TABLE ONLY public.workflow_transitions
    ADD CONSTRAINT workflow_transitions_organization_id_workflow_id_fkey FOREIGN KEY (organization_id, workflow_id) REFERENCES public.intent_workflows(organization_id, id);
