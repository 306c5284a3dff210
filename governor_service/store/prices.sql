-- name: resolve_model
-- The canonical model of possible names ($1) as of a time (NULL: now).
SELECT resolved_model($1, coalesce($2::timestamptz, governor_now()))

-- name: price_at_time
-- A canonical model's price for a price_context ($2) as of a time (NULL: now); no row if it has none.
SELECT to_jsonb(p) AS price, price_rates_of(p.price_id) AS rates
FROM price_at($1, $2, coalesce($3::timestamptz, governor_now())) AS p
WHERE p.price_id IS NOT NULL

-- name: prices_by_id
-- Versions by their ids.
SELECT to_jsonb(p) AS price, price_rates_of(p.price_id) AS rates
FROM prices AS p
WHERE p.price_id = ANY ($1::uuid[])

-- name: prices_at_time
-- Prices of ordinary calls as of a time ($1, NULL: now), by model: at most $4 models that begin with $2 and come after
-- $3.
SELECT to_jsonb(found.p) AS price, price_rates_of((found.p).price_id) AS rates
FROM (
    SELECT m.model FROM prices AS m
    WHERE starts_with(m.model, $2) AND m.model > $3
        AND m.effective_time <= coalesce($1::timestamptz, (SELECT governor_now()))
    GROUP BY m.model
    ORDER BY m.model
    LIMIT $4
) AS listed
CROSS JOIN LATERAL (
    SELECT price_at(listed.model, '{}', coalesce($1::timestamptz, (SELECT governor_now()))) OFFSET 0
) AS found (p)
WHERE (found.p).price_id IS NOT NULL
ORDER BY listed.model

-- name: all_prices
-- Every version, by model, variant and time.
SELECT to_jsonb(p) AS price, price_rates_of(p.price_id) AS rates
FROM prices AS p
ORDER BY p.model, p.price_context, p.effective_time, p.revision, p.daily_start

-- name: lock_price_book
-- One writer at a time. The lock ends with the transaction.
SELECT lock_price_book()

-- name: is_empty
-- Whether there is no price.
SELECT NOT EXISTS (SELECT FROM prices)

-- name: create_price
-- Adds a version; see migrations/governor/functions/75_create_price.sql.
SELECT outcome, price_id
FROM create_price(p_request_id => $1, p_content_hash => $2, p_price => $3, p_author => $4)

-- name: enter_prices
-- Adds versions; see migrations/governor/functions/75_create_price.sql.
SELECT enter_prices(p_prices => $1, p_author => $2)

-- name: record_check
-- Records that the price book was filled from a price list ($1), or compared with it; $2 prices were written.
INSERT INTO price_list_checks (check_time, source, changes, author) VALUES (governor_now(), $1, $2, $3)

-- name: last_check
-- The newest comparison with a price list; no row if there was none.
SELECT c.check_time, c.source, governor_now() - c.check_time AS age
FROM price_list_checks AS c
ORDER BY c.check_time DESC
LIMIT 1

-- name: enter_alternate_names
-- Makes names ($1) other names of models ($2).
INSERT INTO alternate_names AS n (name, model)
SELECT listed.name, listed.model FROM unnest($1::text[], $2::text[]) AS listed (name, model)
ON CONFLICT (name) DO UPDATE SET model = excluded.model WHERE n.model <> excluded.model
