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
-- Every version that was not superseded as of its own time, by model, variant and time.
SELECT to_jsonb(p) AS price, price_rates_of(p.price_id) AS rates
FROM prices AS p
WHERE NOT EXISTS (
    SELECT FROM prices AS later
    WHERE later.model = p.model AND later.price_context = p.price_context AND later.effective_time = p.effective_time
        AND later.revision > p.revision AND later.daily_start IS NULL
)
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
-- Adds versions; see migrations/governor/functions/75_create_price.sql. They are the next revisions where others begin
-- at the same time.
SELECT enter_prices(
    p_prices => jsonb_agg(listed.price || jsonb_build_object('revision', 1 + coalesce(
        (
            SELECT max(p.revision) FROM prices AS p
            WHERE p.model = listed.price ->> 'model' AND p.price_context = listed.price -> 'price_context'
                AND p.effective_time = (listed.price ->> 'effective_time')::timestamptz
        ), 0))),
    p_author => $2)
FROM jsonb_array_elements($1::jsonb) AS listed (price)

-- name: are_all_by
-- Whether every price has this author ($1).
SELECT NOT EXISTS (SELECT FROM prices AS p WHERE p.author <> $1)

-- name: now
-- The time.
SELECT governor_now()

-- name: was_compared_with
-- Whether the price book was filled from this price list ($1), or compared with it.
SELECT EXISTS (SELECT FROM price_list_checks AS c WHERE c.source = $1)

-- name: record_check
-- Records that the price book was filled from a price list ($1), or compared with it; $2 prices were written.
INSERT INTO price_list_checks (check_time, source, changes, author) VALUES (governor_now(), $1, $2, $3)

-- name: last_check
-- The newest price list that the price book was filled from, or compared with; no row if there is none. A version of the
-- package genai-prices is as old as the first comparison with it.
SELECT latest.check_time, latest.source, governor_now() - latest.check_time AS age
FROM (
    SELECT
        c.source,
        CASE WHEN starts_with(c.source, 'genai-prices ') THEN min(c.check_time) ELSE max(c.check_time) END AS check_time
    FROM price_list_checks AS c
    GROUP BY c.source
) AS latest
ORDER BY latest.check_time DESC
LIMIT 1

-- name: alternate_names
-- The other names of models.
SELECT n.name, n.model FROM alternate_names AS n

-- name: enter_alternate_names
-- Makes names ($1) other names of models ($2).
INSERT INTO alternate_names AS n (name, model)
SELECT listed.name, listed.model FROM unnest($1::text[], $2::text[]) AS listed (name, model)
ON CONFLICT (name) DO UPDATE SET model = excluded.model WHERE n.model <> excluded.model
