-- The stated bounds of amounts. governor_service/domain/money.py has the same.

-- The largest amount of one hold or one ledger entry: a million USD.
CREATE OR REPLACE FUNCTION largest_entry_nano_usd() RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT 1000000000000000
$$;

-- The largest total of a budget, spent and held together: nine billion USD. A bigint can be a little larger, so sums
-- within the bound never overflow.
CREATE OR REPLACE FUNCTION largest_total_nano_usd() RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT 9000000000000000000
$$;
