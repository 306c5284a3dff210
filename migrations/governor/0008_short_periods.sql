-- Budgets of a day and an hour, of workflows in a period, and limits that end.
--
--   day/2026-11-28, hour/2026-11-28T03, lifetime      of the organization
--   workflow/day/2026-11-28/<id>                      of a workflow, in a month, a day or an hour
--   label/hour/2026-11-28T03/team=growth              of a label

ALTER DOMAIN account_key DROP CONSTRAINT account_key_check;
ALTER DOMAIN budget_key DROP CONSTRAINT budget_key_check;
ALTER DOMAIN budget_key ADD CONSTRAINT budget_key_check CHECK (
    VALUE ~ '^((label|workflow)/)?(month/[0-9]{4}-[0-9]{2}|day/[0-9]{4}-[0-9]{2}-[0-9]{2}|hour/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}|(month|day|hour)/standing)(/|$)'
    OR VALUE ~ '^(workflow/[0-9a-f-]{36}$|label/lifetime/|lifetime$)'
);
ALTER DOMAIN account_key ADD CONSTRAINT account_key_check CHECK (VALUE !~ '^((label|workflow)/)?(month|day|hour)/standing');

-- A limit may end: at its expire_time, the limit before it comes back.
ALTER TABLE budget_limits
    ADD COLUMN expire_time timestamptz,
    ADD COLUMN limit_after_nano_usd limit_nano_usd,
    ADD CHECK (expire_time IS NOT NULL OR limit_after_nano_usd IS NULL);
ALTER TABLE budget_limit_changes
    ADD COLUMN expire_time timestamptz,
    ADD COLUMN limit_after_nano_usd limit_nano_usd;
CREATE INDEX budget_limit_changes_by_time ON budget_limit_changes (organization_id, change_time, change_id);
