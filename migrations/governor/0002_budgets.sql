-- Budgets: what may be spent (tiers, overrides, limits) and what is (spent, held), kept as totals.
--
-- Every transaction that touches money locks in one order: the rows of `organizations`, sorted by id; then budgets,
-- sorted by key; then holds. An organization's budgets, holds and entries change only under its row's lock, so
-- whoever holds that lock decides alone for the organization.

-- The one clock. A session may set governor.clock_offset (an interval) to live at another time, as tests do.
CREATE FUNCTION governor_now() RETURNS timestamptz
LANGUAGE sql VOLATILE
RETURN clock_timestamp() + coalesce(nullif(current_setting('governor.clock_offset', true), '')::interval, '0');

-- The UTC month that a time falls in, as 2026-11.
CREATE FUNCTION month_of(p_time timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_char(p_time AT TIME ZONE 'UTC', 'YYYY-MM');

-- A budget is named by its key:
--
--   month/2026-11                        the organization's month
--   workflow/<id>                        a workflow, for its lifetime
--   label/lifetime/team=growth           what is labelled so, for its lifetime
--   label/month/2026-11/team=growth      what is labelled so, in a month
--
-- and a limit that stands for every month has `standing` in the month's place.
CREATE DOMAIN budget_key AS text CHECK (
    VALUE ~ '^((label/)?month/([0-9]{4}-[0-9]{2}|standing)|workflow/[0-9a-f-]{36}$|label/lifetime)'
);
CREATE DOMAIN account_key AS budget_key CHECK (VALUE !~ '^(label/)?month/standing');

-- Bounds stand in domains, where they can: a CHECK on a table is compiled anew by every statement that writes to it.
CREATE DOMAIN amount_nano_usd AS bigint CHECK (VALUE >= 0);
-- No hold and no entry is above a million USD; only an adjustment may be negative.
CREATE DOMAIN entry_nano_usd AS bigint CHECK (VALUE BETWEEN -1000000000000000 AND 1000000000000000);
CREATE DOMAIN token_count AS bigint CHECK (VALUE BETWEEN 0 AND 1000000000);
CREATE DOMAIN request_count AS bigint CHECK (VALUE BETWEEN 0 AND 1000000);
CREATE DOMAIN limit_nano_usd AS bigint CHECK (VALUE BETWEEN 0 AND 100000000000000000);

-- Stands for every organization where a table is keyed by organization and a thing is nobody's own. Nobody has this id.
CREATE FUNCTION every_organization() RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '00000000-0000-0000-0000-000000000000'::uuid;

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
-- What an organization gets that nobody has set up: 1.00 USD a workflow, 25.00 USD a month.
INSERT INTO tiers (tier, workflow_limit_nano_usd, monthly_quota_nano_usd, author)
VALUES ('default', 1000000000, 25000000000, 'migration');

CREATE TABLE organizations (
    organization_id uuid PRIMARY KEY,
    tier text NOT NULL DEFAULT 'default' REFERENCES tiers,
    workflow_limit_nano_usd limit_nano_usd,
    monthly_quota_nano_usd limit_nano_usd,
    -- The sequence of its newest ledger entry; entries are 1 … last_sequence.
    last_sequence bigint NOT NULL DEFAULT 0 CHECK (last_sequence >= 0),
    create_time timestamptz NOT NULL DEFAULT governor_now(),
    -- Somebody has set its tier, an override or a limit. A row that first sight made is there for its lock alone.
    is_set_up boolean NOT NULL DEFAULT false,
    -- Of the newest change of its tier and overrides. NULL: there was none.
    author text,
    update_time timestamptz,
    CHECK ((author IS NULL) = (update_time IS NULL)),
    CHECK (is_set_up OR author IS NULL)
) WITH (fillfactor = 50);

-- Whether this session is told that organizations have to be set up before they may spend
-- (GOVERNOR_UNKNOWN_ORGANIZATIONS=deny).
CREATE FUNCTION denies_unknown_organizations() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(current_setting('governor.unknown_organizations', true) = 'deny', false);

-- Locks an organization and returns its last sequence. On first sight makes it, with the default tier, or (where it
-- is told not to make a row) locks nothing and returns NULL.
CREATE FUNCTION lock_organization(p_organization_id uuid, p_makes_row boolean DEFAULT true) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_last_sequence bigint;
BEGIN
    SELECT last_sequence INTO v_last_sequence FROM organizations
    WHERE organization_id = p_organization_id FOR UPDATE;
    IF NOT FOUND AND p_makes_row THEN
        INSERT INTO organizations (organization_id) VALUES (p_organization_id) ON CONFLICT DO NOTHING;
        SELECT last_sequence INTO v_last_sequence FROM organizations
        WHERE organization_id = p_organization_id FOR UPDATE;
    END IF;
    RETURN v_last_sequence;
END
$$;

-- Limits that were set for one budget, or as a standing one.
CREATE TABLE budget_limits (
    organization_id uuid NOT NULL,
    budget_key budget_key NOT NULL,
    -- NULL: none of its own; the override's or the tier's counts.
    limit_nano_usd limit_nano_usd,
    author text NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (organization_id, budget_key)
);

-- Every limit that was ever set, by whom and when.
CREATE TABLE budget_limit_changes (
    organization_id uuid NOT NULL,
    change_id uuid NOT NULL DEFAULT gen_random_uuid(),
    budget_key budget_key NOT NULL,
    limit_nano_usd limit_nano_usd,
    author text NOT NULL,
    change_time timestamptz NOT NULL,
    PRIMARY KEY (organization_id, change_id)
);
CREATE TRIGGER budget_limit_changes_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON budget_limit_changes
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE budget_limit_changes ENABLE ALWAYS TRIGGER budget_limit_changes_are_append_only;

-- The accounts: what a budget has spent and what it holds. Made by the first hold or charge on them.
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

-- What is frozen now: a model ('' for every model) of an organization (every_organization() for all of them).
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
    -- What every request for a hold is refused with, whatever it asks for: ORGANIZATION_UNKNOWN, FROZEN, or NULL.
    refusal text,
    frozen_models text[]
);

CREATE FUNCTION terms_of(p_organization_id uuid) RETURNS organization_terms
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT (
        coalesce(o.workflow_limit_nano_usd, t.workflow_limit_nano_usd),
        coalesce(o.monthly_quota_nano_usd, t.monthly_quota_nano_usd),
        t.allowed_models,
        t.downgrade_threshold_percent,
        EXISTS (SELECT FROM budget_limits AS l WHERE l.organization_id = p_organization_id),
        CASE
            WHEN denies_unknown_organizations() AND o.is_set_up IS NOT TRUE THEN 'ORGANIZATION_UNKNOWN'
            WHEN '' = ANY (frozen.models) THEN 'FROZEN'
        END,
        frozen.models
    )::organization_terms
    FROM (VALUES (p_organization_id)) AS asked (organization_id)
    LEFT JOIN organizations AS o USING (organization_id)
    JOIN tiers AS t ON t.tier = coalesce(o.tier, 'default')
    CROSS JOIN (
        SELECT ARRAY(
            SELECT f.model FROM freezes AS f WHERE f.organization_id IN (p_organization_id, every_organization())
        ) AS models
    ) AS frozen;
END;

-- The limits in force on budgets, in the order of their keys; NULL where there is none. A budget's own for its
-- period, else its standing one, else the organization's override, else its tier's.
CREATE FUNCTION limits_in_force(p_organization_id uuid, p_terms organization_terms, p_budget_keys text[])
RETURNS bigint[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_limits bigint[] := '{}';
BEGIN
    FOR i IN 1 .. cardinality(p_budget_keys) LOOP
        v_limits[i] := CASE
            WHEN starts_with(p_budget_keys[i], 'month/') THEN p_terms.monthly_quota_nano_usd
            WHEN starts_with(p_budget_keys[i], 'workflow/') THEN p_terms.workflow_limit_nano_usd
        END;
    END LOOP;
    IF p_terms.has_limits THEN
        SELECT array_agg(coalesce(own.limit_nano_usd, standing.limit_nano_usd, k.default_nano_usd) ORDER BY k.place)
        INTO v_limits
        FROM unnest(p_budget_keys, v_limits) WITH ORDINALITY AS k (budget_key, default_nano_usd, place)
        LEFT JOIN budget_limits AS own
            ON own.organization_id = p_organization_id AND own.budget_key = k.budget_key
        LEFT JOIN budget_limits AS standing
            ON standing.organization_id = p_organization_id
            AND standing.budget_key
                = regexp_replace(k.budget_key, '^((?:label/)?month/)[0-9]{4}-[0-9]{2}', '\1standing');
    END IF;
    RETURN v_limits;
END
$$;

-- Where budgets stand, in the order of their keys: zeros for one whose account has not been made.
CREATE FUNCTION budget_figures(
    p_organization_id uuid, p_terms organization_terms, p_budget_keys text[],
    OUT limits_nano_usd bigint[], OUT spent_nano_usd bigint[], OUT held_nano_usd bigint[],
    OUT unguarded_nano_usd bigint[], OUT lacks_account boolean
)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    v_budget budgets;
BEGIN
    limits_nano_usd := limits_in_force(p_organization_id, p_terms, p_budget_keys);
    lacks_account := false;
    -- A look-up by key for each: a join of so few rows costs more to start than to do.
    FOR i IN 1 .. cardinality(p_budget_keys) LOOP
        SELECT * INTO v_budget FROM budgets AS b
        WHERE b.organization_id = p_organization_id AND b.budget_key = p_budget_keys[i];
        lacks_account := lacks_account OR NOT FOUND;
        spent_nano_usd[i] := coalesce(v_budget.spent_nano_usd, 0);
        held_nano_usd[i] := coalesce(v_budget.held_nano_usd, 0);
        unguarded_nano_usd[i] := coalesce(v_budget.unguarded_nano_usd, 0);
    END LOOP;
END
$$;

-- The keys of the budgets that a call of this workflow with these labels is placed on in a month, sorted.
CREATE FUNCTION budgets_that_apply(
    p_organization_id uuid, p_terms organization_terms, p_workflow_id uuid, p_labels jsonb, p_month text
) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_label_keys text[];
BEGIN
    IF p_terms.has_limits AND p_labels <> '{}' THEN
        SELECT array_agg(DISTINCT asked.budget_key ORDER BY asked.budget_key) INTO v_label_keys
        FROM jsonb_each_text(p_labels) AS label
        CROSS JOIN LATERAL (VALUES
            ('label/lifetime/', 'label/lifetime/'),
            ('label/month/standing/', 'label/month/' || p_month || '/'),
            ('label/month/' || p_month || '/', 'label/month/' || p_month || '/')
        ) AS prefix (limit_key, budget_key)
        CROSS JOIN LATERAL (
            SELECT prefix.limit_key || label.key || '=' || label.value AS limit_key,
                prefix.budget_key || label.key || '=' || label.value AS budget_key
        ) AS asked
        WHERE EXISTS (
            SELECT FROM budget_limits AS l
            WHERE l.organization_id = p_organization_id AND l.budget_key = asked.limit_key
        );
    END IF;
    RETURN coalesce(v_label_keys, '{}') || ARRAY['month/' || p_month, 'workflow/' || p_workflow_id];
END
$$;
