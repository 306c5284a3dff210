-- Budgets: what may be spent (tiers, overrides, limits) and what is spent and held (kept as totals).

-- A budget is named by its key:
--
--   month/2026-11                        the organization's month
--   workflow/<id>                        a workflow, for its lifetime
--   label/lifetime/team=growth           everything with this label, for its lifetime
--   label/month/2026-11/team=growth      everything with this label, in a month
--
-- The key of a limit for every month has `standing` in place of the month.
CREATE DOMAIN budget_key AS text CHECK (
    VALUE ~ '^((label/)?month/([0-9]{4}-[0-9]{2}|standing)|workflow/[0-9a-f-]{36}$|label/lifetime)'
);
CREATE DOMAIN account_key AS budget_key CHECK (VALUE !~ '^(label/)?month/standing');

-- Bounds of single columns stand in domains: PostgreSQL compiles a CHECK of a table anew for every statement that
-- writes to the table, and the CHECK of a domain only once.
CREATE DOMAIN amount_nano_usd AS bigint CHECK (VALUE >= 0);
-- No hold and no entry is above a million USD; only an adjustment may be negative.
CREATE DOMAIN entry_nano_usd AS bigint CHECK (VALUE BETWEEN -1000000000000000 AND 1000000000000000);
CREATE DOMAIN token_count AS bigint CHECK (VALUE BETWEEN 0 AND 1000000000);
CREATE DOMAIN request_count AS bigint CHECK (VALUE BETWEEN 0 AND 1000000);
CREATE DOMAIN limit_nano_usd AS bigint CHECK (VALUE BETWEEN 0 AND 100000000000000000);

CREATE TABLE tiers (
    tier text PRIMARY KEY CHECK (length(tier) BETWEEN 1 AND 200),
    workflow_limit_nano_usd limit_nano_usd,
    monthly_quota_nano_usd limit_nano_usd,
    -- Canonical. Empty: every model that has a price.
    allowed_models text[] NOT NULL DEFAULT '{}' CHECK (cardinality(allowed_models) <= 1000),
    downgrade_threshold_percent integer CHECK (downgrade_threshold_percent BETWEEN 1 AND 100),
    subscription_price_nano_usd limit_nano_usd NOT NULL DEFAULT 0,
    author text NOT NULL,
    update_time timestamptz NOT NULL DEFAULT now()
);
-- The tier of an organization that nobody has set up: 1.00 USD a workflow, 25.00 USD a month.
INSERT INTO tiers (tier, workflow_limit_nano_usd, monthly_quota_nano_usd, author)
VALUES ('default', 1000000000, 25000000000, 'migration');

CREATE TABLE organizations (
    organization_id uuid PRIMARY KEY,
    tier text NOT NULL DEFAULT 'default' REFERENCES tiers,
    workflow_limit_nano_usd limit_nano_usd,
    monthly_quota_nano_usd limit_nano_usd,
    -- The sequence of its newest ledger entry; entries are 1 … last_sequence.
    last_sequence bigint NOT NULL DEFAULT 0 CHECK (last_sequence >= 0),
    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Somebody has set its tier, an override or a limit. Otherwise the row exists only to be locked.
    is_set_up boolean NOT NULL DEFAULT false,
    -- Who made the newest change of its tier and overrides, and when. NULL: there was none.
    author text,
    update_time timestamptz,
    CHECK ((author IS NULL) = (update_time IS NULL)),
    CHECK (is_set_up OR author IS NULL)
) WITH (fillfactor = 50);

-- Limits that were set for one budget, or as a standing one.
CREATE TABLE budget_limits (
    organization_id uuid NOT NULL,
    budget_key budget_key NOT NULL,
    -- NULL: it has no limit of its own; the override or the tier decides.
    limit_nano_usd limit_nano_usd,
    author text NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (organization_id, budget_key)
);

-- The accounts: what a budget has spent and what it holds. The first hold or charge on a budget makes its row.
CREATE TABLE budgets (
    organization_id uuid NOT NULL,
    budget_key account_key NOT NULL,
    -- The sum of its entries' cost.
    spent_nano_usd amount_nano_usd NOT NULL DEFAULT 0,
    -- The sum of its live holds.
    held_nano_usd amount_nano_usd NOT NULL DEFAULT 0,
    -- The part of spent that no hold covered.
    unguarded_nano_usd amount_nano_usd NOT NULL DEFAULT 0,
    PRIMARY KEY (organization_id, budget_key)
) WITH (fillfactor = 50);
-- SQL callers know a workflow by its id alone, without its organization.
CREATE INDEX budgets_by_workflow ON budgets (budget_key) WHERE budget_key ^@ 'workflow/';

-- What is frozen now: a model ('' for every model) of an organization (the nil UUID for all organizations).
CREATE TABLE freezes (
    organization_id uuid NOT NULL,
    model text NOT NULL,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 1024),
    author text NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (organization_id, model)
);

-- What an organization's tier, overrides and freezes say, read once for many decisions.
CREATE TYPE organization_terms AS (
    workflow_limit_nano_usd bigint,
    monthly_quota_nano_usd bigint,
    allowed_models text[],
    downgrade_threshold_percent integer,
    -- Whether any limit has been set for one of its budgets.
    has_limits boolean,
    -- The outcome of every request for a hold, whatever it asks for: ORGANIZATION_UNKNOWN, FROZEN, or NULL.
    refusal text,
    frozen_models text[]
);
