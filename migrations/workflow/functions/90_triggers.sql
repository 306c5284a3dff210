-- All triggers. They come last, since the tables stay locked from here to the end of the transaction.
--
-- CREATE OR REPLACE resets a trigger to the mode in which replicas do not fire it, so that ENABLE ALWAYS has to follow.

CREATE OR REPLACE TRIGGER guard_workflow BEFORE INSERT OR UPDATE ON intent_workflows
FOR EACH ROW EXECUTE FUNCTION guard_workflow();
ALTER TABLE intent_workflows ENABLE ALWAYS TRIGGER guard_workflow;

-- Triggers of one table run in the order of their names: this one sees what guard_workflow has set.
CREATE OR REPLACE TRIGGER say_what_it_waits_for BEFORE INSERT OR UPDATE ON intent_workflows
FOR EACH ROW EXECUTE FUNCTION say_what_it_waits_for();
ALTER TABLE intent_workflows ENABLE ALWAYS TRIGGER say_what_it_waits_for;

CREATE OR REPLACE TRIGGER tell_transition AFTER INSERT ON workflow_transitions
FOR EACH ROW EXECUTE FUNCTION tell_transition();
ALTER TABLE workflow_transitions ENABLE ALWAYS TRIGGER tell_transition;

-- It runs after the whole statement, which may have written the history itself.
CREATE OR REPLACE TRIGGER record_transition AFTER UPDATE OF state ON intent_workflows
FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION record_transition();
ALTER TABLE intent_workflows ENABLE ALWAYS TRIGGER record_transition;

CREATE OR REPLACE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON legal_transitions
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE legal_transitions ENABLE ALWAYS TRIGGER refuse_change;

CREATE OR REPLACE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON workflow_transitions
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE workflow_transitions ENABLE ALWAYS TRIGGER refuse_change;

CREATE OR REPLACE TRIGGER follow_total_ai_cost AFTER INSERT OR UPDATE OF cost_nano_usd ON model_invocations
FOR EACH ROW EXECUTE FUNCTION follow_total_ai_cost();
ALTER TABLE model_invocations ENABLE ALWAYS TRIGGER follow_total_ai_cost;
