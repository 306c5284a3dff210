-- The stated bounds of amounts. governor_service/domain/money.py has the same.

-- The most that one hold or one ledger entry may be: a million USD.
CREATE OR REPLACE FUNCTION largest_entry_nano_usd() RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT 1000000000000000
$$;

-- The most that a budget may come to, spent and held together: nine billion USD. A bigint takes a little more, so that
-- sums within the bound never overflow.
CREATE OR REPLACE FUNCTION largest_total_nano_usd() RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT 9000000000000000000
$$;
