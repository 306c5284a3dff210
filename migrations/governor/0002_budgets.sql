-- Budgets: what may be spent (tiers, overrides, limits) and what is (spent, held), kept as totals.
--
-- Every transaction that touches money locks in one order: the rows of `organizations`, sorted by id; then budgets,
-- sorted by key; then holds. An organization's budgets, holds and entries change only under its row's lock, so
-- whoever holds that lock decides alone for the organization.

-- The one clock. A session may set governor.clock_offset (an interval) to live at another time, as tests do.
CREATE FUNCTION governor_now() RETURNS timestamptz
LANGUAGE sql VOLATILE
RETURN clock_timestamp() + coalesce(nullif(current_setting('governor.clock_offset', true), '')::interval, '0');

-- The UTC month that a time falls in, by its first day.
CREATE FUNCTION month_of(p_time timestamptz) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN date_trunc('month', p_time AT TIME ZONE 'UTC')::date;

CREATE DOMAIN limit_nano_usd AS bigint CHECK (VALUE BETWEEN 0 AND 100000000000000000);

CREATE TABLE tiers (
    tier text PRIMARY KEY CHECK (length(tier) BETWEEN 1 AND 200),
    workflow_limit_nano_usd limit_nano_usd,
    monthly_quota_nano_usd limit_nano_usd,
    allowed_models text[] NOT NULL DEFAULT '{}',
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
    tier text NOT NULL DEFAULT 'default',
    workflow_limit_nano_usd limit_nano_usd,
    monthly_quota_nano_usd limit_nano_usd,
    -- The sequence of its newest ledger entry; entries are 1 … last_sequence.
    last_sequence bigint NOT NULL DEFAULT 0 CHECK (last_sequence >= 0),
    create_time timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- Locks an organization, making it with the default tier on first sight, and returns its last sequence.
CREATE FUNCTION lock_organization(p_organization_id uuid) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_last_sequence bigint;
BEGIN
    SELECT last_sequence INTO v_last_sequence FROM organizations
    WHERE organization_id = p_organization_id FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO organizations (organization_id) VALUES (p_organization_id) ON CONFLICT DO NOTHING;
        SELECT last_sequence INTO v_last_sequence FROM organizations
        WHERE organization_id = p_organization_id FOR UPDATE;
    END IF;
    RETURN v_last_sequence;
END
$$;

-- Limits that were set for one budget. '-infinity' stands for a lifetime, and for a month's standing limit.
CREATE TABLE budget_limits (
    organization_id uuid NOT NULL,
    scope text NOT NULL CHECK (scope IN ('ORGANIZATION', 'WORKFLOW', 'LABEL')),
    subject text NOT NULL,
    period text NOT NULL CHECK (period IN ('MONTH', 'LIFETIME')),
    period_start date NOT NULL,
    -- NULL: none of its own; the override's or the tier's counts.
    limit_nano_usd limit_nano_usd,
    author text NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (organization_id, scope, subject, period, period_start),
    CHECK (CASE scope
        WHEN 'ORGANIZATION' THEN subject = '' AND period = 'MONTH'
        WHEN 'WORKFLOW' THEN subject = subject::uuid::text AND period = 'LIFETIME'
        ELSE subject LIKE '_%=%'
    END),
    CHECK (period = 'MONTH' OR period_start = '-infinity')
);

-- Every limit that was ever set, by whom and when.
CREATE TABLE budget_limit_changes (
    organization_id uuid NOT NULL,
    change_id uuid NOT NULL DEFAULT gen_random_uuid(),
    scope text NOT NULL,
    subject text NOT NULL,
    period text NOT NULL,
    period_start date NOT NULL,
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
    -- Says which budget it is, and sorts: month/2026-11, workflow/<id>, label/team=growth[/2026-11].
    budget_key text NOT NULL,
    scope text NOT NULL CHECK (scope IN ('ORGANIZATION', 'WORKFLOW', 'LABEL')),
    subject text NOT NULL,
    period text NOT NULL CHECK (period IN ('MONTH', 'LIFETIME')),
    period_start date NOT NULL,
    -- The sum of its entries' cost.
    spent_nano_usd bigint NOT NULL DEFAULT 0 CHECK (spent_nano_usd >= 0),
    -- The sum of its live holds.
    held_nano_usd bigint NOT NULL DEFAULT 0 CHECK (held_nano_usd >= 0),
    -- The part of spent that no hold covered.
    unguarded_nano_usd bigint NOT NULL DEFAULT 0 CHECK (unguarded_nano_usd >= 0),
    PRIMARY KEY (organization_id, budget_key)
) WITH (fillfactor = 50);

CREATE FUNCTION budget_key(p_scope text, p_subject text, p_period text, p_period_start date) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE p_scope
    WHEN 'ORGANIZATION' THEN 'month/'
    WHEN 'WORKFLOW' THEN 'workflow/' || p_subject
    ELSE 'label/' || p_subject || CASE p_period WHEN 'MONTH' THEN '/' ELSE '' END
END || CASE p_period WHEN 'MONTH' THEN left(p_period_start::text, 7) ELSE '' END;

-- The limit in force on a budget; NULL where there is none. The budget's own for this period, else its standing one,
-- else the organization's override, else its tier's.
CREATE FUNCTION limit_in_force(
    p_organization_id uuid, p_scope text, p_subject text, p_period text, p_period_start date
) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_limit bigint;
BEGIN
    SELECT l.limit_nano_usd INTO v_limit
    FROM budget_limits AS l
    WHERE l.organization_id = p_organization_id AND l.scope = p_scope AND l.subject = p_subject
        AND l.period = p_period AND l.period_start IN (p_period_start, '-infinity')
        AND l.limit_nano_usd IS NOT NULL
    ORDER BY l.period_start DESC
    LIMIT 1;
    IF NOT FOUND AND p_scope <> 'LABEL' THEN
        SELECT CASE p_scope
            WHEN 'ORGANIZATION' THEN coalesce(o.monthly_quota_nano_usd, t.monthly_quota_nano_usd)
            ELSE coalesce(o.workflow_limit_nano_usd, t.workflow_limit_nano_usd)
        END INTO v_limit
        FROM (SELECT p_organization_id AS organization_id) AS asked
        LEFT JOIN organizations AS o USING (organization_id)
        JOIN tiers AS t ON t.tier = coalesce(o.tier, 'default');
    END IF;
    RETURN v_limit;
END
$$;

-- The budgets that a call of this workflow with these labels is placed on in this month, sorted by key, whether or
-- not their accounts have been made.
CREATE FUNCTION budgets_that_apply(p_organization_id uuid, p_workflow_id uuid, p_labels jsonb, p_month date)
RETURNS TABLE (
    budget_key text, scope text, subject text, period text, period_start date,
    limit_nano_usd bigint, spent_nano_usd bigint, held_nano_usd bigint, unguarded_nano_usd bigint, has_account boolean
)
LANGUAGE plpgsql STABLE ROWS 3 AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT
        applies.budget_key, applies.scope, applies.subject, applies.period, applies.period_start,
        limit_in_force(p_organization_id, applies.scope, applies.subject, applies.period, applies.period_start),
        coalesce(b.spent_nano_usd, 0), coalesce(b.held_nano_usd, 0), coalesce(b.unguarded_nano_usd, 0),
        b.budget_key IS NOT NULL
    FROM (
        SELECT budget_key(a.scope, a.subject, a.period, a.period_start), a.*
        FROM (
            VALUES
                ('ORGANIZATION', '', 'MONTH', p_month),
                ('WORKFLOW', p_workflow_id::text, 'LIFETIME', '-infinity'::date)
            UNION
            SELECT l.scope, l.subject, l.period, CASE l.period WHEN 'MONTH' THEN p_month ELSE '-infinity' END
            FROM jsonb_each_text(p_labels) AS label
            JOIN budget_limits AS l
                ON l.organization_id = p_organization_id AND l.scope = 'LABEL'
                AND l.subject = label.key || '=' || label.value
        ) AS a (scope, subject, period, period_start)
    ) AS applies
    LEFT JOIN budgets AS b ON b.organization_id = p_organization_id AND b.budget_key = applies.budget_key
    ORDER BY applies.budget_key;
END
$$;

-- The accounts under these keys as they stand now, with the limits in force, as a JSON array sorted by key.
CREATE FUNCTION budgets_as_json(p_organization_id uuid, p_budget_keys text[]) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(jsonb_agg(to_jsonb(b) || jsonb_build_object(
        'limit_nano_usd', limit_in_force(b.organization_id, b.scope, b.subject, b.period, b.period_start)
    ) ORDER BY b.budget_key), '[]')
    FROM budgets AS b
    WHERE b.organization_id = p_organization_id AND b.budget_key = ANY (p_budget_keys);
END;
