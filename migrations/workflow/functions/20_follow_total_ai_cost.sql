-- A workflow's total follows its journal: it is updated in the transaction that records a model call's cost. So it
-- includes calls that settle after their step has failed or after the workflow was cancelled.
--
-- The total is the one that the governor reported, if it reported one. Parallel calls record theirs in any order, and
-- spending only grows, so the greatest counts; only a correction may lower it.
CREATE OR REPLACE FUNCTION follow_total_ai_cost() RETURNS trigger
LANGUAGE plpgsql AS $$
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
