-- A transition is an UPDATE of `state`. Its statement need not know more: the version, the epoch, the time, and the end
-- of a lease follow from it here.
CREATE OR REPLACE FUNCTION guard_workflow() RETURNS trigger
LANGUAGE plpgsql AS $$
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
        -- A new lease has a new token and the next epoch, so the holder of the old lease can no longer write.
        IF NEW.lease_epoch - OLD.lease_epoch NOT BETWEEN 0 AND (NEW.lease_token IS DISTINCT FROM OLD.lease_token)::integer
            OR (NEW.lease_token <> OLD.lease_token AND NEW.lease_epoch = OLD.lease_epoch)
        THEN
            RAISE check_violation USING MESSAGE = 'the epoch grows by one at each new lease, and only there';
        END IF;
        RETURN NEW;
    END IF;

    IF NOT EXISTS (
        SELECT FROM legal_transitions
        WHERE from_state = OLD.state AND to_state = NEW.state
    ) THEN
        RAISE check_violation USING MESSAGE = format('illegal transition from %s to %s', OLD.state, NEW.state);
    END IF;
    IF NEW.version NOT IN (OLD.version, OLD.version + 1) THEN
        RAISE check_violation USING MESSAGE = 'a transition raises the version by one';
    END IF;
    NEW.version := OLD.version + 1;
    NEW.state_time := clock_timestamp();
    NEW.update_time := clock_timestamp();
    IF NEW.state LIKE '%\_PROCESSING' THEN
        IF NEW.lease_epoch NOT IN (OLD.lease_epoch, OLD.lease_epoch + 1) THEN
            RAISE check_violation USING MESSAGE = 'the epoch grows by one at each new lease, and only there';
        END IF;
        NEW.lease_epoch := OLD.lease_epoch + 1;
        NEW.takeovers := 0;
        NEW.error_class := NULL;
        NEW.error_reason := NULL;
        NEW.error_message := NULL;
        RETURN NEW;
    END IF;
    IF NEW.lease_epoch <> OLD.lease_epoch THEN
        RAISE check_violation USING MESSAGE = 'the epoch grows by one at each new lease, and only there';
    END IF;
    NEW.lease_token := NULL;
    NEW.lease_expire_time := NULL;
    -- A workflow that is to run is due again at once; among those of its organization in the order of their runs.
    NEW.due_time := NEW.run_time;
    IF NEW.state LIKE '%\_COMPLETED' THEN
        NEW.failed_attempts := 0;
    ELSIF NEW.state LIKE '%\_FAILED' AND NEW.error_class IS NULL THEN
        NEW.error_class := 'REPORTED_BY_WORKER';
        NEW.error_reason := 'SQL';
        NEW.error_message := '';
    END IF;
    RETURN NEW;
END
$$;

-- Writes the history of a transition whose statement has not written it: that of a session of its own.
CREATE OR REPLACE FUNCTION record_transition() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO workflow_transitions (
        organization_id, workflow_id, version, from_state, to_state, actor, reason, epoch, lease_token,
        total_ai_cost_nano_usd
    )
    VALUES (
        NEW.organization_id, NEW.id, NEW.version, OLD.state, NEW.state, session_user, 'SQL',
        CASE WHEN '_PROCESSING' IN (right(OLD.state, 11), right(NEW.state, 11)) THEN NEW.lease_epoch END,
        coalesce(OLD.lease_token, NEW.lease_token), NEW.total_ai_cost_nano_usd
    )
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
