-- The price book: what each model costs, every version of it, and the arithmetic on it.
--
-- Money is nano-USD (1 USD = 10⁹), prices are nano-USD per million tokens. A version is never changed: a new one with
-- a later effective_time supersedes it, so that a hold can keep the price it was placed with.
--
-- The functions below decide. governor_service/domain/pricing.py is their model in Python, and a test compares them.

-- One function for every append-only table: the trigger that bears it fires for the owner and for replicas too.
CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TABLE prices (
    price_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- Canonical: lower case, without @provider and :variant (governor_service/domain/model_names.py).
    model text NOT NULL CHECK (model ~ '^[!-~]{1,200}$' AND model !~ '[@:A-Z]'),
    -- From when it counts; the latest that has begun is the one in force.
    effective_time timestamptz NOT NULL CHECK (effective_time >= '2000-01-01 00:00:00+00' AND isfinite(effective_time)),
    input_nano_usd_per_mtok bigint NOT NULL CHECK (input_nano_usd_per_mtok BETWEEN 0 AND 10000000000000),
    -- A component that is NULL costs what its parent costs: input for these two, output for reasoning.
    cached_input_nano_usd_per_mtok bigint CHECK (cached_input_nano_usd_per_mtok BETWEEN 0 AND 10000000000000),
    cache_write_nano_usd_per_mtok bigint CHECK (cache_write_nano_usd_per_mtok BETWEEN 0 AND 10000000000000),
    output_nano_usd_per_mtok bigint NOT NULL CHECK (output_nano_usd_per_mtok BETWEEN 0 AND 10000000000000),
    reasoning_nano_usd_per_mtok bigint CHECK (reasoning_nano_usd_per_mtok BETWEEN 0 AND 10000000000000),
    request_nano_usd bigint NOT NULL DEFAULT 0 CHECK (request_nano_usd BETWEEN 0 AND 1000000000000),
    source text NOT NULL CHECK (length(source) BETWEEN 1 AND 1024),
    author text NOT NULL CHECK (length(author) BETWEEN 1 AND 200),
    create_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (model, effective_time),
    -- A model is priced or unpriced, never free by accident.
    CHECK (input_nano_usd_per_mtok > 0 OR output_nano_usd_per_mtok > 0 OR request_nano_usd > 0)
);

CREATE TRIGGER prices_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON prices
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE prices ENABLE ALWAYS TRIGGER prices_are_append_only;

-- The price in force for a canonical model at a time; NULL if it has none.
CREATE FUNCTION price_at(p_model text, p_time timestamptz) RETURNS prices
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT p FROM prices AS p
    WHERE p.model = p_model AND p.effective_time <= p_time
    ORDER BY p.effective_time DESC
    LIMIT 1;
END;

-- The three below are single expressions, so that the planner inlines them. They multiply in numeric, since a bigint
-- product overflows, and scale by × 0.000001 instead of ÷ 1000000: numeric multiplication is exact, while its division
-- rounds quotients of more than sixteen digits, and ceil() would then round what is already rounded.

-- What a usage costs: ceil((Σ tokens × price per million) / 10⁶) + requests × request price. Cached and cache-write
-- tokens are part of p_input_tokens and reasoning tokens of p_output_tokens, and are taken out first: their callers
-- check that parts do not exceed totals. 0 requests count as 1. NULL if there is no price.
CREATE FUNCTION rated_cost_nano_usd(
    p_price prices,
    p_input_tokens bigint, p_cached_input_tokens bigint, p_cache_write_tokens bigint,
    p_output_tokens bigint, p_reasoning_tokens bigint,
    p_requests bigint
) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ceil(0.000001 * (
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
    + greatest(p_requests, 1)::numeric * (p_price).request_nano_usd;

-- What a call within these bounds can cost at most: every token at the dearest price of its direction.
-- NULL if there is no price (greatest() passes over the components that are NULL).
CREATE FUNCTION hold_nano_usd(
    p_price prices, p_input_tokens_max bigint, p_output_tokens_max bigint, p_requests_max bigint
) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ceil(0.000001 * (
        p_input_tokens_max::numeric * greatest(
            (p_price).input_nano_usd_per_mtok,
            (p_price).cached_input_nano_usd_per_mtok,
            (p_price).cache_write_nano_usd_per_mtok)
        + p_output_tokens_max::numeric * greatest(
            (p_price).output_nano_usd_per_mtok,
            (p_price).reasoning_nano_usd_per_mtok)
    ))
    + greatest(p_requests_max, 1)::numeric * (p_price).request_nano_usd;

-- The greatest number of output tokens, up to p_output_tokens_max, whose hold is within p_available_nano_usd (a whole
-- number); NULL if not even the input fits, or there is no price, or no available amount is given.
-- ceil(x) <= n is x <= n for a whole n: so what remains for output is divided, rounding down, by its price; an output
-- without a price fits in full (least() passes over NULL).
CREATE FUNCTION output_tokens_that_fit(
    p_price prices,
    p_available_nano_usd numeric,
    p_input_tokens_max bigint, p_requests_max bigint, p_output_tokens_max bigint
) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN hold_nano_usd(p_price, p_input_tokens_max, 0, p_requests_max) <= p_available_nano_usd THEN
        least(
            p_output_tokens_max,
            div(
                1000000 * (p_available_nano_usd - greatest(p_requests_max, 1)::numeric * (p_price).request_nano_usd)
                - p_input_tokens_max::numeric * greatest(
                    (p_price).input_nano_usd_per_mtok,
                    (p_price).cached_input_nano_usd_per_mtok,
                    (p_price).cache_write_nano_usd_per_mtok),
                nullif(greatest(
                    (p_price).output_nano_usd_per_mtok,
                    (p_price).reasoning_nano_usd_per_mtok), 0)::numeric
            )
        )::bigint
END;
