-- Rating: from prices and counts to nano-USD. governor_service/domain/{pricing,rating,hold_bounds}.py are a model of
-- these functions in Python, and tests compare the two.
--
-- Most prices are plain: the columns of `prices` say everything, or everything about calls that use no other units. They
-- are rated by expressions that the planner inlines into the statement of a batch. The rest (tiers, rates of other units
-- that are used) are rated by the functions whose names end in _by_units, from `price_rates`.

-- Whether a version applies at a time of the day. NULL: the whole day.
CREATE OR REPLACE FUNCTION is_at_this_hour(p_daily_start time, p_daily_end time, p_time timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN p_daily_start IS NULL THEN true
        WHEN p_daily_start < p_daily_end
            THEN (p_time AT TIME ZONE 'UTC')::time >= p_daily_start AND (p_time AT TIME ZONE 'UTC')::time < p_daily_end
        -- It spans midnight.
        ELSE (p_time AT TIME ZONE 'UTC')::time >= p_daily_start OR (p_time AT TIME ZONE 'UTC')::time < p_daily_end
    END
$$;

-- The price in force for a canonical model at a time; NULL if it has none. Of its variants, that one counts that has the
-- most keys of p_price_context, and no others. Of versions that begin at the same time, a later revision goes before an
-- earlier one, and one for these hours before one for the whole day.
CREATE OR REPLACE FUNCTION price_at(p_model text, p_price_context jsonb, p_time timestamptz) RETURNS prices
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT p FROM prices AS p
    WHERE p.model = p_model AND p.price_context <@ p_price_context AND p.effective_time <= p_time
        AND is_at_this_hour(p.daily_start, p.daily_end, p_time)
    ORDER BY
        (SELECT count(*) FROM jsonb_object_keys(p.price_context)) DESC,
        p.price_context, p.effective_time DESC, p.revision DESC, p.daily_start
    LIMIT 1
$$;

-- The rates of a price, by level: an empty array for a plain one.
CREATE OR REPLACE FUNCTION price_rates_of(p_price_id uuid) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(
        jsonb_agg(
            jsonb_build_object(
                'input_tokens_above', r.input_tokens_above, 'unit', r.unit, 'per', r.per, 'nano_usd', r.nano_usd)
            ORDER BY r.input_tokens_above, r.unit),
        '[]')
    FROM price_rates AS r
    WHERE r.price_id = p_price_id
$$;

-- A price that is not plain costs the sum of count × weight over the units
-- of its level, in 1/9000000000 nano-USD, and this is rounded up once.
CREATE OR REPLACE FUNCTION rounded_up_nano_usd(p_exact numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- div() rounds down: no cost is below 0.
    SELECT div(p_exact + 8999999999, 9000000000)
$$;

-- What a usage costs at a price that is not plain. 0 requests count as 1.
CREATE OR REPLACE FUNCTION rated_cost_by_units(
    p_price_id uuid,
    p_input_tokens bigint, p_cached_input_tokens bigint, p_cache_write_tokens bigint, p_cache_write_1h_tokens bigint,
    p_output_tokens bigint, p_reasoning_tokens bigint, p_requests bigint, p_other_units jsonb
) RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    RETURN (
        SELECT rounded_up_nano_usd(sum(r.weight * CASE r.unit
            WHEN 'input_tokens' THEN p_input_tokens
            WHEN 'cache_read_tokens' THEN p_cached_input_tokens
            WHEN 'cache_write_tokens' THEN p_cache_write_tokens
            WHEN 'cache_write_1h_tokens' THEN p_cache_write_1h_tokens
            WHEN 'output_tokens' THEN p_output_tokens
            WHEN 'output_reasoning_tokens' THEN p_reasoning_tokens
            WHEN 'requests' THEN greatest(p_requests, 1)
            ELSE coalesce((p_other_units ->> r.unit)::bigint, 0)
        END))
        FROM price_rates AS r
        WHERE r.price_id = p_price_id AND r.input_tokens_above = (
            SELECT max(level.input_tokens_above) FROM price_rates AS level
            WHERE level.price_id = p_price_id
                AND (level.input_tokens_above < p_input_tokens OR level.input_tokens_above = 0)
        )
    );
END
$$;

-- The same as hold_by_units, for the usual call, which bounds no other units. It needs one statement: a token is billed
-- at the dearest of what it may be, and at most p_cache_write_tokens_max of the input may be written to a cache.
CREATE OR REPLACE FUNCTION hold_by_tokens(
    p_price_id uuid, p_input_tokens_max bigint, p_output_tokens_max bigint, p_requests_max bigint,
    p_cache_write_tokens_max bigint, p_cache_write_1h_tokens_max bigint
) RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    RETURN (
        SELECT rounded_up_nano_usd(max(
            level.input_tokens * level.read
            + least(p_cache_write_tokens_max, level.input_tokens) * (level.written - level.read)
            + least(p_cache_write_1h_tokens_max, p_cache_write_tokens_max, level.input_tokens)
                * (level.kept - level.written)
            + p_output_tokens_max * level.output
            + greatest(p_requests_max, 1) * level.request))
        FROM (
            SELECT
                least(lead(r.input_tokens_above) OVER (ORDER BY r.input_tokens_above), p_input_tokens_max) AS input_tokens,
                coalesce(max(r.exact_rate) FILTER (WHERE r.unit IN ('input_tokens', 'cache_read_tokens')), 0) AS read,
                coalesce(max(r.exact_rate) FILTER (
                    WHERE r.unit IN ('input_tokens', 'cache_read_tokens', 'cache_write_tokens')), 0) AS written,
                coalesce(max(r.exact_rate) FILTER (
                    WHERE r.unit IN (
                        'input_tokens', 'cache_read_tokens', 'cache_write_tokens', 'cache_write_1h_tokens')), 0) AS kept,
                coalesce(max(r.exact_rate) FILTER (
                    WHERE r.unit IN ('output_tokens', 'output_reasoning_tokens')), 0) AS output,
                coalesce(max(r.exact_rate) FILTER (WHERE r.unit = 'requests'), 0) AS request
            FROM price_rates AS r
            WHERE r.price_id = p_price_id
                AND (r.input_tokens_above < p_input_tokens_max OR r.input_tokens_above = 0)
            GROUP BY r.input_tokens_above
        ) AS level
    );
END
$$;

-- The most that a call within its bounds can cost at a price that is not plain: the highest of the levels that
-- p_input_tokens_max reaches, each with as many input tokens as it takes. Within a level, the dearest unit takes as much
-- as is left of its own bound and of its wholes' bounds, then the next. Cache reads and reasoning tokens are bounded by
-- their wholes alone, and so are cache writes that have no bound; another unit without a bound is not used.
CREATE OR REPLACE FUNCTION hold_by_units(
    p_price_id uuid, p_input_tokens_max bigint, p_output_tokens_max bigint, p_requests_max bigint,
    p_cache_write_tokens_max bigint, p_cache_write_1h_tokens_max bigint, p_other_units_max jsonb
) RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    v_level record;
    v_rate record;
    v_bounds jsonb;
    v_left jsonb;
    v_taken numeric;
    v_exact numeric;
    v_dearest_exact numeric := 0;
BEGIN
    IF p_other_units_max = '{}' THEN
        RETURN hold_by_tokens(
            p_price_id, p_input_tokens_max, p_output_tokens_max, p_requests_max, p_cache_write_tokens_max,
            p_cache_write_1h_tokens_max);
    END IF;
    FOR v_level IN
        SELECT reached.input_tokens_above,
            least(lead(reached.input_tokens_above) OVER (ORDER BY reached.input_tokens_above), p_input_tokens_max)
                AS input_tokens_max
        FROM (SELECT DISTINCT r.input_tokens_above FROM price_rates AS r WHERE r.price_id = p_price_id) AS reached
        WHERE reached.input_tokens_above < p_input_tokens_max OR reached.input_tokens_above = 0
    LOOP
        v_bounds := p_other_units_max || jsonb_build_object(
            'input_tokens', v_level.input_tokens_max,
            'cache_read_tokens', v_level.input_tokens_max,
            'cache_write_tokens', coalesce(p_cache_write_tokens_max, v_level.input_tokens_max),
            'cache_write_1h_tokens', coalesce(p_cache_write_1h_tokens_max, v_level.input_tokens_max),
            'output_tokens', p_output_tokens_max,
            'output_reasoning_tokens', p_output_tokens_max,
            'requests', greatest(p_requests_max, 1));
        v_left := v_bounds;
        v_exact := 0;
        FOR v_rate IN
            SELECT r.unit, r.exact_rate, r.wholes, r.takes_from FROM price_rates AS r
            WHERE r.price_id = p_price_id AND r.input_tokens_above = v_level.input_tokens_above AND r.exact_rate > 0
                -- A unit whose whole is not used is not used either.
                AND v_bounds ?& (r.wholes || r.unit)
            ORDER BY r.exact_rate DESC, r.unit
        LOOP
            SELECT min(bounded.units::numeric) INTO v_taken
            FROM (
                SELECT whole.units FROM jsonb_each_text(v_bounds) AS whole (unit, units)
                WHERE whole.unit = ANY (v_rate.wholes)
                UNION ALL
                SELECT leftover.units FROM jsonb_each_text(v_left) AS leftover (unit, units)
                WHERE leftover.unit = v_rate.unit OR leftover.unit = ANY (v_rate.takes_from)
            ) AS bounded;
            CONTINUE WHEN v_taken = 0;
            v_exact := v_exact + v_taken * v_rate.exact_rate;
            SELECT jsonb_object_agg(leftover.unit, leftover.units::numeric - CASE
                WHEN leftover.unit = v_rate.unit OR leftover.unit = ANY (v_rate.takes_from) THEN v_taken ELSE 0 END)
            INTO v_left
            FROM jsonb_each_text(v_left) AS leftover (unit, units);
        END LOOP;
        v_dearest_exact := greatest(v_dearest_exact, v_exact);
    END LOOP;
    RETURN rounded_up_nano_usd(v_dearest_exact);
END
$$;

-- The greatest number of output tokens whose hold fits, at a price that is not plain: found by halving, since a hold
-- grows with its output tokens.
CREATE OR REPLACE FUNCTION output_tokens_that_fit_by_units(
    p_price_id uuid, p_available_nano_usd numeric, p_input_tokens_max bigint, p_requests_max bigint,
    p_output_tokens_max bigint, p_cache_write_tokens_max bigint, p_cache_write_1h_tokens_max bigint,
    p_other_units_max jsonb
) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    -- These fit; one more than v_most do not.
    v_fit bigint := -1;
    v_most bigint := p_output_tokens_max;
    v_half bigint;
BEGIN
    WHILE v_fit < v_most LOOP
        v_half := v_most - (v_most - v_fit) / 2;
        IF hold_by_units(
            p_price_id, p_input_tokens_max, v_half, p_requests_max, p_cache_write_tokens_max,
            p_cache_write_1h_tokens_max, p_other_units_max) <= p_available_nano_usd
        THEN
            v_fit := v_half;
        ELSE
            v_most := v_half - 1;
        END IF;
    END LOOP;
    RETURN nullif(v_fit, -1);
END
$$;

-- The functions below are single expressions, so that the planner inlines them. They multiply in numeric, since a
-- product of bigints overflows. They scale by × 0.000001 instead of ÷ 1000000: numeric multiplication is exact, while
-- numeric division rounds quotients of more than sixteen digits, and ceil() would then round a second time.

-- What a usage costs: ceil((Σ tokens × price per million) / 10⁶) + requests × request price. Cached and cache-write
-- tokens are part of p_input_tokens and reasoning tokens are part of p_output_tokens: they are subtracted first.
-- Callers check that parts do not exceed totals. 0 requests count as 1. NULL if there is no price.
CREATE OR REPLACE FUNCTION rated_cost_nano_usd(
    p_price prices,
    p_input_tokens bigint, p_cached_input_tokens bigint, p_cache_write_tokens bigint, p_cache_write_1h_tokens bigint,
    p_output_tokens bigint, p_reasoning_tokens bigint, p_requests bigint, p_other_units jsonb
) RETURNS numeric
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN (p_price).is_plain OR (p_price).is_plain_by_tokens AND p_other_units = '{}' THEN
        ceil(0.000001 * (
            (p_input_tokens - p_cached_input_tokens - p_cache_write_tokens)::numeric
                * (p_price).input_nano_usd_per_mtok
            + p_cached_input_tokens::numeric
                * coalesce((p_price).cached_input_nano_usd_per_mtok, (p_price).input_nano_usd_per_mtok)
            + p_cache_write_tokens::numeric
                * coalesce((p_price).cache_write_nano_usd_per_mtok, (p_price).input_nano_usd_per_mtok)
            + (p_output_tokens - p_reasoning_tokens)::numeric
                * (p_price).output_nano_usd_per_mtok
            + p_reasoning_tokens::numeric
                * coalesce((p_price).reasoning_nano_usd_per_mtok, (p_price).output_nano_usd_per_mtok)
        ))
        + greatest(p_requests, 1)::numeric * (p_price).request_nano_usd
    WHEN (p_price).price_id IS NOT NULL THEN
        rated_cost_by_units(
            (p_price).price_id, p_input_tokens, p_cached_input_tokens, p_cache_write_tokens, p_cache_write_1h_tokens,
            p_output_tokens, p_reasoning_tokens, p_requests, p_other_units)
    END
$$;

-- The most that a call within these bounds can cost: every token at the dearest price that it may meet. Cache writes
-- without a bound may be all of the input. NULL if there is no price (greatest() ignores the components that are NULL).
CREATE OR REPLACE FUNCTION hold_nano_usd(
    p_price prices, p_input_tokens_max bigint, p_output_tokens_max bigint, p_requests_max bigint,
    p_cache_write_tokens_max bigint, p_cache_write_1h_tokens_max bigint, p_other_units_max jsonb
) RETURNS numeric
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN (p_price).is_plain OR (p_price).is_plain_by_tokens AND p_other_units_max = '{}' THEN
        ceil(0.000001 * (
            p_input_tokens_max::numeric
                * greatest((p_price).input_nano_usd_per_mtok, (p_price).cached_input_nano_usd_per_mtok)
            + least(p_cache_write_tokens_max, p_input_tokens_max)::numeric * greatest(
                (p_price).cache_write_nano_usd_per_mtok
                    - greatest((p_price).input_nano_usd_per_mtok, (p_price).cached_input_nano_usd_per_mtok),
                0)
            + p_output_tokens_max::numeric
                * greatest((p_price).output_nano_usd_per_mtok, (p_price).reasoning_nano_usd_per_mtok)
        ))
        + greatest(p_requests_max, 1)::numeric * (p_price).request_nano_usd
    WHEN (p_price).price_id IS NOT NULL THEN
        hold_by_units(
            (p_price).price_id, p_input_tokens_max, p_output_tokens_max, p_requests_max, p_cache_write_tokens_max,
            p_cache_write_1h_tokens_max, p_other_units_max)
    END
$$;

-- The greatest number of output tokens, up to p_output_tokens_max, whose hold is within p_available_nano_usd (a whole
-- number); NULL if not even the input fits, if there is no price, or if no available amount is given.
-- For a whole n, ceil(x) <= n means x <= n: so the function divides what remains for output by its price, rounding
-- down. An output without a price fits in full (least() ignores NULL).
CREATE OR REPLACE FUNCTION output_tokens_that_fit(
    p_price prices, p_available_nano_usd numeric,
    p_input_tokens_max bigint, p_requests_max bigint, p_output_tokens_max bigint,
    p_cache_write_tokens_max bigint, p_cache_write_1h_tokens_max bigint, p_other_units_max jsonb
) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN ((p_price).is_plain OR (p_price).is_plain_by_tokens AND p_other_units_max = '{}') IS FALSE THEN
            output_tokens_that_fit_by_units(
                (p_price).price_id, p_available_nano_usd, p_input_tokens_max, p_requests_max, p_output_tokens_max,
                p_cache_write_tokens_max, p_cache_write_1h_tokens_max, p_other_units_max)
        WHEN hold_nano_usd(p_price, p_input_tokens_max, 0, p_requests_max, p_cache_write_tokens_max, NULL, '{}')
            <= p_available_nano_usd
        THEN
            least(
                p_output_tokens_max,
                div(
                    1000000
                        * (p_available_nano_usd - greatest(p_requests_max, 1)::numeric * (p_price).request_nano_usd)
                    - p_input_tokens_max::numeric
                        * greatest((p_price).input_nano_usd_per_mtok, (p_price).cached_input_nano_usd_per_mtok)
                    - least(p_cache_write_tokens_max, p_input_tokens_max)::numeric * greatest(
                        (p_price).cache_write_nano_usd_per_mtok
                            - greatest((p_price).input_nano_usd_per_mtok, (p_price).cached_input_nano_usd_per_mtok),
                        0),
                    nullif(greatest(
                        (p_price).output_nano_usd_per_mtok,
                        (p_price).reasoning_nano_usd_per_mtok), 0)::numeric
                )
            )::bigint
    END
$$;
