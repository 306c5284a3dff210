-- What a workflow waits for, from the rest of its row. Terminal workflows wait for nothing.
CREATE OR REPLACE FUNCTION say_what_it_waits_for() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.waits_for := CASE
        WHEN NEW.state IN ('COMPLETED', 'CANCELLED') THEN NULL
        WHEN NEW.state LIKE '%\_PROCESSING' AND NEW.lease_token IS NOT NULL THEN 'LEASE_HOLDER'
        WHEN NEW.pause_time IS NOT NULL THEN 'RESUME'
        WHEN NEW.state LIKE '%\_PROCESSING' THEN CASE WHEN NEW.due_time IS NULL THEN 'WORKER' ELSE 'SLOT' END
        WHEN NEW.state = 'SEED_REVIEW_PENDING' THEN 'REVIEW'
        WHEN NEW.run_time IS NULL THEN 'CALLER'
        WHEN NEW.state LIKE '%\_FAILED' AND NEW.due_time > NEW.state_time THEN
            CASE NEW.error_class WHEN 'BUDGET_DENIED' THEN 'BUDGET' ELSE 'RETRY' END
        ELSE 'SLOT'
    END;
    RETURN NEW;
END
$$;

-- Each line of the history is an event.
CREATE OR REPLACE FUNCTION tell_transition() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO workflow_events (
        organization_id, workflow_id, type, state, from_state, version, epoch, actor, reason,
        error_class, error_reason, error_message, total_ai_cost_nano_usd
    )
    SELECT
        NEW.organization_id, NEW.workflow_id, 'TRANSITION', NEW.to_state, NEW.from_state, NEW.version, NEW.epoch,
        NEW.actor, NEW.reason, w.error_class, w.error_reason, w.error_message, NEW.total_ai_cost_nano_usd
    FROM intent_workflows AS w
    WHERE w.organization_id = NEW.organization_id AND w.id = NEW.workflow_id;
    RETURN NULL;
END
$$;
