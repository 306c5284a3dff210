-- CreatePrice: new versions in the price book.
--
-- A version begins now, in the future, or at a past time when its model had no price yet. A version that was in force
-- at a past time stays in force for that time: rating the same usage again gives the same cost.

-- One writer at a time: every transaction that writes to the price book takes this lock first and keeps it until it
-- ends. Decisions about money never wait for it: they read the versions that are committed.
CREATE OR REPLACE FUNCTION lock_price_book() RETURNS void
LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('governor.prices', 0))
$$;

-- Adds a version of a canonical model's price. p_effective_time NULL: now. p_request_id NULL: it cannot be replayed.
-- Answers
--   CREATED, REPLAYED        and the version;
--   REQUEST_ID_REUSED        the id was used for other content;
--   SAME_INSTANT             another version of the model begins at that time;
--   ALREADY_IN_FORCE         the time has passed, and the model had a price then.
CREATE OR REPLACE FUNCTION create_price(
    p_request_id uuid, p_content_hash bytea,
    p_model text, p_effective_time timestamptz,
    p_input_nano_usd_per_mtok bigint, p_cached_input_nano_usd_per_mtok bigint, p_cache_write_nano_usd_per_mtok bigint,
    p_output_nano_usd_per_mtok bigint, p_reasoning_nano_usd_per_mtok bigint, p_request_nano_usd bigint,
    p_source text, p_author text,
    OUT outcome text, OUT price_id uuid
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_effective_time timestamptz;
    v_known price_requests;
BEGIN
    PERFORM lock_price_book();
    v_now := governor_now();
    v_effective_time := coalesce(p_effective_time, v_now);

    SELECT * INTO v_known FROM price_requests AS r WHERE r.request_id = p_request_id;
    IF FOUND THEN
        outcome := CASE WHEN v_known.content_hash = p_content_hash THEN 'REPLAYED' ELSE 'REQUEST_ID_REUSED' END;
        price_id := CASE WHEN outcome = 'REPLAYED' THEN v_known.price_id END;
        RETURN;
    ELSIF EXISTS (SELECT FROM prices AS p WHERE p.model = p_model AND p.effective_time = v_effective_time) THEN
        outcome := 'SAME_INSTANT';
        RETURN;
    ELSIF v_effective_time < v_now
        AND EXISTS (SELECT FROM prices AS p WHERE p.model = p_model AND p.effective_time < v_effective_time)
    THEN
        outcome := 'ALREADY_IN_FORCE';
        RETURN;
    END IF;

    -- From here on it must succeed.
    outcome := 'CREATED';
    INSERT INTO prices AS p (
        model, effective_time, input_nano_usd_per_mtok, cached_input_nano_usd_per_mtok, cache_write_nano_usd_per_mtok,
        output_nano_usd_per_mtok, reasoning_nano_usd_per_mtok, request_nano_usd, source, author, create_time
    ) VALUES (
        p_model, v_effective_time, p_input_nano_usd_per_mtok, p_cached_input_nano_usd_per_mtok,
        p_cache_write_nano_usd_per_mtok, p_output_nano_usd_per_mtok, p_reasoning_nano_usd_per_mtok,
        p_request_nano_usd, p_source, p_author, v_now
    ) RETURNING p.price_id INTO price_id;
    IF p_request_id IS NOT NULL THEN
        INSERT INTO price_requests (request_id, content_hash, price_id, create_time)
        VALUES (p_request_id, p_content_hash, price_id, v_now);
    END IF;
END
$$;
