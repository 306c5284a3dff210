-- Time: the one clock, UTC months and days, and the state of a hold at a time.

-- The one clock. Tests move it for their session by setting governor.clock_offset (an interval).
CREATE OR REPLACE FUNCTION governor_now() RETURNS timestamptz
LANGUAGE sql VOLATILE AS $$
    SELECT clock_timestamp() + coalesce(nullif(current_setting('governor.clock_offset', true), '')::interval, '0')
$$;

-- The UTC month that a time falls in, as 2026-11.
CREATE OR REPLACE FUNCTION month_of(p_time timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_char(p_time AT TIME ZONE 'UTC', 'YYYY-MM')
$$;

CREATE OR REPLACE FUNCTION first_day_of(p_month text) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT make_date(left(p_month, 4)::integer, right(p_month, 2)::integer, 1)
$$;

CREATE OR REPLACE FUNCTION last_day_of(p_month text) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (first_day_of(p_month) + interval '1 month - 1 day')::date
$$;

-- The state that a hold is in at a time: SUSPENSE is PENDING after its expire_time.
CREATE OR REPLACE FUNCTION state_at(p_state text, p_expire_time timestamptz, p_now timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN p_state = 'PENDING' AND p_expire_time <= p_now THEN 'SUSPENSE' ELSE p_state END
$$;
