-- name: price_at_time
-- A canonical model's price as of a time (NULL: now); no row if it has none.
SELECT price_id, model, effective_time,
    input_nano_usd_per_mtok, cached_input_nano_usd_per_mtok, cache_write_nano_usd_per_mtok,
    output_nano_usd_per_mtok, reasoning_nano_usd_per_mtok, request_nano_usd,
    source, author
FROM price_at($1, coalesce($2::timestamptz, governor_now()))
WHERE price_id IS NOT NULL

-- name: price_by_id
-- One version by its id.
SELECT price_id, model, effective_time,
    input_nano_usd_per_mtok, cached_input_nano_usd_per_mtok, cache_write_nano_usd_per_mtok,
    output_nano_usd_per_mtok, reasoning_nano_usd_per_mtok, request_nano_usd,
    source, author
FROM prices
WHERE price_id = $1

-- name: prices_at_time
-- Models' prices as of a time ($1, NULL: now), by model: at most $4 models that begin with $2 and come after $3.
SELECT DISTINCT ON (model) price_id, model, effective_time,
    input_nano_usd_per_mtok, cached_input_nano_usd_per_mtok, cache_write_nano_usd_per_mtok,
    output_nano_usd_per_mtok, reasoning_nano_usd_per_mtok, request_nano_usd,
    source, author
FROM prices
WHERE effective_time <= coalesce($1::timestamptz, (SELECT governor_now())) AND starts_with(model, $2) AND model > $3
ORDER BY model, effective_time DESC
LIMIT $4

-- name: lock_price_book
-- One writer at a time. The lock ends with the transaction.
SELECT lock_price_book()

-- name: create_price
-- Adds a version; see migrations/governor/functions/75_create_price.sql.
SELECT outcome, price_id
FROM create_price(
    p_request_id => $1, p_content_hash => $2, p_model => $3, p_effective_time => $4,
    p_input_nano_usd_per_mtok => $5, p_cached_input_nano_usd_per_mtok => $6, p_cache_write_nano_usd_per_mtok => $7,
    p_output_nano_usd_per_mtok => $8, p_reasoning_nano_usd_per_mtok => $9, p_request_nano_usd => $10,
    p_source => $11, p_author => $12)

-- name: insert_prices_if_empty
-- Fills an empty price book with listings that all take effect at $1. Changes nothing if there is any price.
INSERT INTO prices (
    effective_time, author, model, source,
    input_nano_usd_per_mtok, cached_input_nano_usd_per_mtok, cache_write_nano_usd_per_mtok,
    output_nano_usd_per_mtok, reasoning_nano_usd_per_mtok, request_nano_usd
)
SELECT $1, $2, listed.*
FROM unnest(
    $3::text[], $4::text[],
    $5::bigint[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::bigint[], $10::bigint[]
) AS listed
WHERE NOT EXISTS (SELECT FROM prices)
