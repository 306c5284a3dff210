-- Two more counts of a model call's usage. Both have defaults, so that instances of the earlier version can go on
-- writing rows.
ALTER TABLE model_invocations
    -- The part of cache_write_tokens that was written for an hour.
    ADD COLUMN cache_write_1h_tokens bigint NOT NULL DEFAULT 0
    CHECK (cache_write_1h_tokens BETWEEN 0 AND cache_write_tokens),
    -- Counts of other units, by genai-prices' usage keys: {"web_searches": 5}.
    ADD COLUMN other_units jsonb NOT NULL DEFAULT '{}'
    CHECK (
        jsonb_typeof(other_units) = 'object'
        AND NOT jsonb_path_exists(other_units, '$.* ? (@.type() != "number" || @ < 0)')
    ),
    DROP CONSTRAINT usage_is_whole,
    ADD CONSTRAINT usage_is_whole CHECK (
        num_nonnulls(
            input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, requests
        ) IN (0, 6)
        AND (input_tokens IS NOT NULL OR (cache_write_1h_tokens = 0 AND other_units = '{}'))
    );
