-- The baseline of P3: a ledger written as the project's original document describes it. The total of a workflow is
-- inside its data. One function records the usage and increments the total, in one transaction for each call.

CREATE TABLE intent_workflows (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    workflow_data jsonb NOT NULL DEFAULT '{}'
);

CREATE TABLE ai_usage_ledger (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workflow_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    model text NOT NULL,
    prompt_tokens integer NOT NULL,
    completion_tokens integer NOT NULL,
    cost numeric NOT NULL,
    idempotency_key uuid NOT NULL UNIQUE,
    created_at timestamptz DEFAULT now()
);

-- Returns the workflow's new total, or NULL if the key has been recorded before.
CREATE FUNCTION record_usage_and_increment(
    p_workflow_id uuid, p_organization_id uuid, p_model text, p_prompt_tokens integer, p_completion_tokens integer,
    p_cost numeric, p_idempotency_key uuid
) RETURNS numeric
LANGUAGE plpgsql AS $$
DECLARE
    v_total numeric;
BEGIN
    INSERT INTO ai_usage_ledger (
        workflow_id, organization_id, model, prompt_tokens, completion_tokens, cost, idempotency_key
    ) VALUES (
        p_workflow_id, p_organization_id, p_model, p_prompt_tokens, p_completion_tokens, p_cost, p_idempotency_key
    ) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE intent_workflows SET workflow_data = jsonb_set(
        workflow_data, '{total_ai_cost}',
        to_jsonb(coalesce((workflow_data ->> 'total_ai_cost')::numeric, 0) + p_cost))
    WHERE id = p_workflow_id AND organization_id = p_organization_id
    RETURNING (workflow_data ->> 'total_ai_cost')::numeric INTO v_total;
    RETURN v_total;
END
$$;

INSERT INTO intent_workflows (id, organization_id)
SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, '11111111-1111-1111-1111-111111111111'
FROM generate_series(1, 20000) AS n;
