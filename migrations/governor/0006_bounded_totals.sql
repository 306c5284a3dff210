-- Totals that cannot overflow.

-- A budget's totals have a stated bound, nine billion USD, which fits a bigint. An amount that would
-- exceed it is refused (largest_total_nano_usd).
ALTER DOMAIN amount_nano_usd DROP CONSTRAINT amount_nano_usd_check;
ALTER DOMAIN amount_nano_usd ADD CONSTRAINT amount_nano_usd_check CHECK (VALUE BETWEEN 0 AND 9000000000000000000);

-- The totals of reports have no bound. A total of one day may be larger than that of its month, since other days may be
-- negative: a charge of one day may be corrected on the next.
ALTER TABLE daily_costs ALTER COLUMN cost_nano_usd TYPE numeric;
ALTER TABLE workflow_costs ALTER COLUMN cost_nano_usd TYPE numeric;
ALTER TABLE label_costs ALTER COLUMN cost_nano_usd TYPE numeric;

-- An adjustment that lowers a cost also lowers its overage: overage may be negative, like cost.
ALTER TABLE ai_usage_ledger DROP CONSTRAINT ai_usage_ledger_check;
ALTER TABLE ai_usage_ledger ALTER COLUMN overage_nano_usd TYPE entry_nano_usd;
ALTER TABLE ai_usage_ledger ADD CONSTRAINT ai_usage_ledger_check CHECK (
    sequence > 0
    AND cached_input_tokens + cache_write_tokens <= prompt_tokens
    AND reasoning_tokens <= completion_tokens
    AND CASE WHEN kind = 'ADJUSTMENT' THEN
        adjusts_entry_id IS NOT NULL
        AND overage_nano_usd BETWEEN least(cost_nano_usd, 0) AND greatest(cost_nano_usd, 0)
    ELSE
        adjusts_entry_id IS NULL
        AND overage_nano_usd >= 0
        -- What an entry releases of its hold is never negative: cost + released = held + overage.
        AND cost_nano_usd BETWEEN 0 AND held_nano_usd + overage_nano_usd
    END
);
