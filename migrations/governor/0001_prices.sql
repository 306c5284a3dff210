-- The price book: what each model costs, with every version of each price.
--
-- Money is nano-USD (1 USD = 10⁹), prices are nano-USD per million tokens. A version is never changed: a new one with
-- a later effective_time supersedes it, so that a hold can keep the price that it was placed with.

CREATE TABLE prices (
    price_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- Canonical: lower case, without @provider and :variant (governor_service/domain/model_names.py).
    model text NOT NULL CHECK (model ~ '^[!-~]{1,200}$' AND model !~ '[@:A-Z]'),
    -- The version counts from this time on, until the model's next version begins.
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
    -- A model has a price or has none; no model is free by accident.
    CHECK (input_nano_usd_per_mtok > 0 OR output_nano_usd_per_mtok > 0 OR request_nano_usd > 0)
);

-- The request_ids of CreatePrice. The price book belongs to the operator: no organization is part of the key.
CREATE TABLE price_requests (
    request_id uuid PRIMARY KEY,
    content_hash bytea NOT NULL,
    price_id uuid NOT NULL,
    create_time timestamptz NOT NULL
);
