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
