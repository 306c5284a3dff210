-- Prices as providers bill them: by tier, unit, variant and time of day; operators' names of models; and what is charged
-- where the provider says what a call cost.

-- Names of models may contain `:` and `@`: `openai/gpt-4o:extended` has a price of its own.
ALTER TABLE prices DROP CONSTRAINT prices_model_check;
ALTER TABLE prices ADD CONSTRAINT prices_model_check CHECK (model ~ '^[!-~]{1,200}$' AND model !~ '[A-Z]');

ALTER TABLE prices
    -- Who sells it; empty for a price that was set by hand.
    ADD COLUMN provider text NOT NULL DEFAULT '' CHECK (length(provider) <= 200),
    -- The variant that this is the price of, such as {"processing": "batch"}; empty for an ordinary call.
    ADD COLUMN price_context jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(price_context) = 'object'),
    -- The hours of the day, in UTC, that the version applies to; it may span midnight. NULL: the whole day.
    ADD COLUMN daily_start time,
    ADD COLUMN daily_end time,
    -- A version that nothing has been held or rated with can be superseded as of its own time: the highest counts.
    ADD COLUMN revision integer NOT NULL DEFAULT 1 CHECK (revision > 0),
    -- The columns above say everything: there are no tiers, and no rates of other units.
    ADD COLUMN is_plain boolean NOT NULL DEFAULT true,
    -- They say everything about calls that use no other units: there are no tiers, and no rate of one-hour cache writes.
    ADD COLUMN is_plain_by_tokens boolean NOT NULL DEFAULT true,
    ADD CONSTRAINT prices_daily_check CHECK (
        (daily_start IS NULL) = (daily_end IS NULL) AND (daily_start <> daily_end) IS NOT FALSE),
    DROP CONSTRAINT prices_check,
    -- A model has a price or has none; no model is free by accident.
    ADD CONSTRAINT prices_not_free CHECK (
        input_nano_usd_per_mtok > 0 OR output_nano_usd_per_mtok > 0 OR request_nano_usd > 0 OR NOT is_plain);
ALTER TABLE prices DROP CONSTRAINT prices_model_effective_time_key;
-- In the order in which a look-up reads it: the first row that applies is the one.
CREATE UNIQUE INDEX prices_versions
ON prices (model, price_context, effective_time DESC, revision DESC, daily_start) NULLS NOT DISTINCT;

-- The rates of prices that are not plain. Each level of a price (0, and each tier) is complete: it has a row for every
-- unit that has a rate there, those of the columns of `prices` included.
CREATE TABLE price_rates (
    price_id uuid NOT NULL,
    -- The level applies to calls with more input tokens than this; 0 to those that no tier applies to.
    input_tokens_above bigint NOT NULL CHECK (input_tokens_above BETWEEN 0 AND 1000000000),
    -- A usage key of genai-prices (governor_service/domain/usage_units.py).
    unit text NOT NULL CHECK (unit ~ '^[a-z0-9_]{1,100}$'),
    -- nano_usd is the price of so many units.
    per bigint NOT NULL CHECK (per > 0 AND 9000000000 % per = 0),
    nano_usd bigint NOT NULL CHECK (nano_usd BETWEEN 0 AND 10000000000000),
    -- The rate of one unit in 1/9000000000 nano-USD: a multiple of every `per`, so that it is a whole number.
    exact_rate numeric NOT NULL GENERATED ALWAYS AS (nano_usd * (9000000000 / per)::numeric) STORED,
    -- exact_rate less the weights of the units of this level that contain it. A call costs the sum of count × weight over
    -- all units, as their counts are reported: parts need not be taken out of their wholes first.
    weight numeric NOT NULL CHECK (weight = trunc(weight)),
    -- The units that contain it, with or without a rate.
    wholes text[] NOT NULL,
    -- Those of them whose bounds are used up by it when a hold is computed (governor_service/domain/hold_bounds.py).
    takes_from text[] NOT NULL CHECK (takes_from <@ wholes),
    PRIMARY KEY (price_id, input_tokens_above, unit)
);

-- When the price book was filled from a price list or compared with one, and how many prices were written.
CREATE TABLE price_list_checks (
    check_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    check_time timestamptz NOT NULL,
    source text NOT NULL CHECK (length(source) BETWEEN 1 AND 1024),
    changes integer NOT NULL CHECK (changes >= 0),
    author text NOT NULL CHECK (length(author) BETWEEN 1 AND 200)
);
CREATE INDEX price_list_checks_by_time ON price_list_checks (check_time);
INSERT INTO price_list_checks (check_time, source, changes, author)
SELECT max(p.create_time), 'the price list of an earlier release', count(*), 'migration' FROM prices AS p
HAVING count(*) > 0;

-- Operators' names of models, with every change of them. The newest row of an alias counts.
CREATE TABLE model_aliases (
    -- As the first of an id's names: ASCII has no capitals.
    alias text NOT NULL CHECK (length(alias) BETWEEN 1 AND 200 AND alias !~ '[A-Z]'),
    -- Later than the alias's previous change.
    change_time timestamptz NOT NULL,
    -- The canonical model. NULL: the alias was removed.
    model text,
    author text NOT NULL CHECK (length(author) BETWEEN 1 AND 200),
    PRIMARY KEY (alias, change_time)
);

-- Other names of listed models, from the price list: `x-ai/grok-4` is `x-ai/grok-4-0709`. Operators' aliases, and prices
-- under these names, go before them.
CREATE TABLE alternate_names (
    name text PRIMARY KEY,
    model text NOT NULL
);

CREATE DOMAIN cost_basis AS text CHECK (VALUE IN ('GREATER', 'PROVIDER', 'RATED'));
ALTER TABLE tiers ADD COLUMN cost_basis cost_basis NOT NULL DEFAULT 'GREATER';
ALTER TABLE tier_changes ADD COLUMN cost_basis cost_basis NOT NULL DEFAULT 'GREATER';
-- NULL: the tier's.
ALTER TABLE organizations ADD COLUMN cost_basis cost_basis;
ALTER TABLE organization_changes ADD COLUMN cost_basis cost_basis;
ALTER TYPE organization_terms ADD ATTRIBUTE cost_basis text;

-- Counts of other units by their usage keys, and bounds of them.
CREATE DOMAIN unit_counts AS jsonb CHECK (jsonb_typeof(VALUE) = 'object');

ALTER TABLE authorizations
    -- The most that the call may write to the provider's cache, and for an hour. NULL: not bounded.
    ADD COLUMN cache_write_tokens_max token_count,
    ADD COLUMN cache_write_1h_tokens_max token_count,
    -- Units that are not named are not used.
    ADD COLUMN other_units_max unit_counts NOT NULL DEFAULT '{}',
    -- The variant of the price that was asked for.
    ADD COLUMN price_context jsonb NOT NULL DEFAULT '{}';

ALTER TABLE ai_usage_ledger
    ADD COLUMN cache_write_1h_tokens token_count NOT NULL DEFAULT 0,
    ADD COLUMN other_units unit_counts NOT NULL DEFAULT '{}',
    ADD COLUMN price_context jsonb NOT NULL DEFAULT '{}',
    -- What was charged where the provider reported a cost: until now, the greater of the two. NULL for an adjustment
    -- by Adjust, to which it does not apply.
    ADD COLUMN cost_basis cost_basis DEFAULT 'GREATER';
ALTER TABLE ai_usage_ledger ALTER COLUMN cost_basis DROP DEFAULT;
ALTER TABLE ai_usage_ledger ADD CONSTRAINT ai_usage_ledger_parts CHECK (cache_write_1h_tokens <= cache_write_tokens);
