-- All triggers. They come last, since the tables stay locked from here to the end of the transaction.
--
-- CREATE OR REPLACE resets a trigger to the mode in which replicas do not fire it, so that ENABLE ALWAYS has to follow.

CREATE OR REPLACE TRIGGER prices_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON prices
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE prices ENABLE ALWAYS TRIGGER prices_are_append_only;

CREATE OR REPLACE TRIGGER price_rates_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON price_rates
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE price_rates ENABLE ALWAYS TRIGGER price_rates_are_append_only;

CREATE OR REPLACE TRIGGER price_list_checks_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON price_list_checks
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE price_list_checks ENABLE ALWAYS TRIGGER price_list_checks_are_append_only;

CREATE OR REPLACE TRIGGER model_aliases_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON model_aliases
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE model_aliases ENABLE ALWAYS TRIGGER model_aliases_are_append_only;

CREATE OR REPLACE TRIGGER price_requests_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON price_requests
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE price_requests ENABLE ALWAYS TRIGGER price_requests_are_append_only;

CREATE OR REPLACE TRIGGER budget_limit_changes_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON budget_limit_changes
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE budget_limit_changes ENABLE ALWAYS TRIGGER budget_limit_changes_are_append_only;

CREATE OR REPLACE TRIGGER tier_changes_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tier_changes
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE tier_changes ENABLE ALWAYS TRIGGER tier_changes_are_append_only;

CREATE OR REPLACE TRIGGER organization_changes_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON organization_changes
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE organization_changes ENABLE ALWAYS TRIGGER organization_changes_are_append_only;

CREATE OR REPLACE TRIGGER freeze_changes_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON freeze_changes
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE freeze_changes ENABLE ALWAYS TRIGGER freeze_changes_are_append_only;

CREATE OR REPLACE TRIGGER ai_usage_ledger_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ai_usage_ledger
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE ai_usage_ledger ENABLE ALWAYS TRIGGER ai_usage_ledger_is_append_only;

CREATE OR REPLACE TRIGGER ai_usage_ledger_moves_totals AFTER INSERT ON ai_usage_ledger
REFERENCING NEW TABLE AS entries
FOR EACH STATEMENT EXECUTE FUNCTION add_to_totals();
