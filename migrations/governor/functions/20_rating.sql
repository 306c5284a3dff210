-- Rating: from prices and token counts to nano-USD. governor_service/domain/pricing.py is a model of these functions in
-- Python, and a test compares the two.

-- The price in force for a canonical model at a time; NULL if it has none.
CREATE OR REPLACE FUNCTION price_at(p_model text, p_time timestamptz) RETURNS prices
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT p FROM prices AS p
    WHERE p.model = p_model AND p.effective_time <= p_time
    ORDER BY p.effective_time DESC
    LIMIT 1
$$;

-- The three functions below are single expressions, so that the planner inlines them. They multiply in numeric, since a
-- product of bigints overflows. They scale by × 0.000001 instead of ÷ 1000000: numeric multiplication is exact, while
-- numeric division rounds quotients of more than sixteen digits, and ceil() would then round a second time.

-- What a usage costs: ceil((Σ tokens × price per million) / 10⁶) + requests × request price. Cached and cache-write
-- tokens are part of p_input_tokens and reasoning tokens are part of p_output_tokens: they are subtracted first.
-- Callers check that parts do not exceed totals. 0 requests count as 1. NULL if there is no price.
CREATE OR REPLACE FUNCTION rated_cost_nano_usd(
    p_price prices,
    p_input_tokens bigint, p_cached_input_tokens bigint, p_cache_write_tokens bigint,
    p_output_tokens bigint, p_reasoning_tokens bigint,
    p_requests bigint
) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ceil(0.000001 * (
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
$$;

-- The most that a call within these bounds can cost: every token at the dearest price of its direction.
-- NULL if there is no price (greatest() ignores the components that are NULL).
CREATE OR REPLACE FUNCTION hold_nano_usd(
    p_price prices, p_input_tokens_max bigint, p_output_tokens_max bigint, p_requests_max bigint
) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ceil(0.000001 * (
            p_input_tokens_max::numeric * greatest(
                (p_price).input_nano_usd_per_mtok,
                (p_price).cached_input_nano_usd_per_mtok,
                (p_price).cache_write_nano_usd_per_mtok)
            + p_output_tokens_max::numeric * greatest(
                (p_price).output_nano_usd_per_mtok,
                (p_price).reasoning_nano_usd_per_mtok)
        ))
        + greatest(p_requests_max, 1)::numeric * (p_price).request_nano_usd
$$;

-- The greatest number of output tokens, up to p_output_tokens_max, whose hold is within p_available_nano_usd (a whole
-- number); NULL if not even the input fits, if there is no price, or if no available amount is given.
-- For a whole n, ceil(x) <= n means x <= n: so the function divides what remains for output by its price, rounding
-- down. An output without a price fits in full (least() ignores NULL).
CREATE OR REPLACE FUNCTION output_tokens_that_fit(
    p_price prices,
    p_available_nano_usd numeric,
    p_input_tokens_max bigint, p_requests_max bigint, p_output_tokens_max bigint
) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN hold_nano_usd(p_price, p_input_tokens_max, 0, p_requests_max) <= p_available_nano_usd THEN
            least(
                p_output_tokens_max,
                div(
                    1000000
                        * (p_available_nano_usd - greatest(p_requests_max, 1)::numeric * (p_price).request_nano_usd)
                    - p_input_tokens_max::numeric * greatest(
                        (p_price).input_nano_usd_per_mtok,
                        (p_price).cached_input_nano_usd_per_mtok,
                        (p_price).cache_write_nano_usd_per_mtok),
                    nullif(greatest(
                        (p_price).output_nano_usd_per_mtok,
                        (p_price).reasoning_nano_usd_per_mtok), 0)::numeric
                )
            )::bigint
    END
$$;
