-- CreatePrice: new versions in the price book.
--
-- A version begins now, in the future, or at a past time when its model had no price yet. A version that was in force
-- at a past time stays in force for that time: rating the same usage again gives the same cost. A version that nothing
-- has been held or rated with can be superseded as of its own time, by a version with the next revision.

-- One writer at a time: every transaction that writes to the price book takes this lock first and keeps it until it
-- ends. Decisions about money never wait for it: they read the versions that are committed.
CREATE OR REPLACE FUNCTION lock_price_book() RETURNS void
LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('governor.prices', 0))
$$;

-- Adds versions to the price book. Each element of p_prices has the columns of `prices` by name, and `rates`: an array
-- with the columns of `price_rates`, empty for a plain price.
CREATE OR REPLACE FUNCTION enter_prices(p_prices jsonb, p_author text) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO prices (
        price_id, model, provider, price_context, daily_start, daily_end, effective_time, revision,
        is_plain, is_plain_by_tokens,
        input_nano_usd_per_mtok, cached_input_nano_usd_per_mtok, cache_write_nano_usd_per_mtok,
        output_nano_usd_per_mtok, reasoning_nano_usd_per_mtok, request_nano_usd, source, author, create_time
    )
    SELECT
        l.price_id, l.model, l.provider, l.price_context, l.daily_start, l.daily_end, l.effective_time, l.revision,
        l.rates = '[]',
        NOT EXISTS (
            SELECT FROM jsonb_to_recordset(l.rates) AS r (input_tokens_above bigint, unit text)
            WHERE r.input_tokens_above > 0 OR r.unit = 'cache_write_1h_tokens'
        ),
        l.input_nano_usd_per_mtok, l.cached_input_nano_usd_per_mtok, l.cache_write_nano_usd_per_mtok,
        l.output_nano_usd_per_mtok, l.reasoning_nano_usd_per_mtok, l.request_nano_usd, l.source, p_author, governor_now()
    FROM jsonb_to_recordset(p_prices) AS l (
        price_id uuid, model text, provider text, price_context jsonb, daily_start time, daily_end time,
        effective_time timestamptz, revision integer,
        input_nano_usd_per_mtok bigint, cached_input_nano_usd_per_mtok bigint, cache_write_nano_usd_per_mtok bigint,
        output_nano_usd_per_mtok bigint, reasoning_nano_usd_per_mtok bigint, request_nano_usd bigint, source text,
        rates jsonb
    );
    INSERT INTO price_rates (price_id, input_tokens_above, unit, per, nano_usd, weight, wholes, takes_from)
    SELECT
        (listed.price ->> 'price_id')::uuid, r.input_tokens_above, r.unit, r.per, r.nano_usd, r.weight, r.wholes,
        r.takes_from
    FROM jsonb_array_elements(p_prices) AS listed (price)
    CROSS JOIN LATERAL jsonb_to_recordset(listed.price -> 'rates') AS r (
        input_tokens_above bigint, unit text, per bigint, nano_usd bigint, weight numeric, wholes text[], takes_from text[]
    )
$$;

-- Whether anything has been held or rated with a price. It reads all holds and entries: only the correction of a price
-- asks.
CREATE OR REPLACE FUNCTION is_price_in_use(p_price_id uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM authorizations AS a WHERE a.price_id = p_price_id)
        OR EXISTS (SELECT FROM ai_usage_ledger AS e WHERE e.price_id = p_price_id)
$$;

-- Adds a version of a canonical model's price. p_price is an element of enter_prices' p_prices; its effective_time is
-- NULL for now. p_request_id NULL: it cannot be replayed. Answers
--   CREATED, REPLAYED        and the version;
--   REQUEST_ID_REUSED        the id was used for other content;
--   SAME_INSTANT             another version begins at that time, and something was held or rated with it;
--   ALREADY_IN_FORCE         the time has passed, and the model had a price then.
CREATE OR REPLACE FUNCTION create_price(
    p_request_id uuid, p_content_hash bytea, p_price jsonb, p_author text, OUT outcome text, OUT price_id uuid
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_model CONSTANT text := p_price ->> 'model';
    v_price_context CONSTANT jsonb := p_price -> 'price_context';
    v_now timestamptz;
    v_effective_time timestamptz;
    v_known price_requests;
    v_revision integer := 1;
    v_at_that_time prices;
BEGIN
    PERFORM lock_price_book();
    v_now := governor_now();
    v_effective_time := coalesce((p_price ->> 'effective_time')::timestamptz, v_now);

    SELECT * INTO v_known FROM price_requests AS r WHERE r.request_id = p_request_id;
    IF FOUND THEN
        outcome := CASE WHEN v_known.content_hash = p_content_hash THEN 'REPLAYED' ELSE 'REQUEST_ID_REUSED' END;
        price_id := CASE WHEN outcome = 'REPLAYED' THEN v_known.price_id END;
        RETURN;
    END IF;
    FOR v_at_that_time IN
        SELECT * FROM prices AS p
        WHERE p.model = v_model AND p.price_context = v_price_context AND p.effective_time = v_effective_time
    LOOP
        IF is_price_in_use(v_at_that_time.price_id) THEN
            outcome := 'SAME_INSTANT';
            RETURN;
        END IF;
        v_revision := greatest(v_revision, v_at_that_time.revision + 1);
    END LOOP;
    IF v_revision = 1 AND v_effective_time < v_now AND EXISTS (
        SELECT FROM prices AS p
        -- A variant without a price of its own had the price of a more general one.
        WHERE p.model = v_model AND p.price_context <@ v_price_context AND p.effective_time < v_effective_time
    ) THEN
        outcome := 'ALREADY_IN_FORCE';
        RETURN;
    END IF;

    -- From here on it must succeed.
    outcome := 'CREATED';
    price_id := gen_random_uuid();
    PERFORM enter_prices(jsonb_build_array(p_price || jsonb_build_object(
        'price_id', price_id, 'effective_time', v_effective_time, 'revision', v_revision)), p_author);
    IF p_request_id IS NOT NULL THEN
        INSERT INTO price_requests (request_id, content_hash, price_id, create_time)
        VALUES (p_request_id, p_content_hash, price_id, v_now);
    END IF;
END
$$;
