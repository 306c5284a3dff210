-- What the journal has to know to correct a call that was charged as unknown, and to ask for more tokens than before.
ALTER TABLE model_invocations
    -- When the provider's record of a call that was charged as unknown is looked up next; NULL: it is not.
    ADD COLUMN true_up_time timestamptz,
    -- The output tokens that were granted.
    ADD COLUMN output_tokens_max bigint CHECK (output_tokens_max > 0),
    ADD CONSTRAINT trued_up_are_the_unknown CHECK (
        true_up_time IS NULL
        OR (
            state = 'SETTLED' AND generation_id IS NOT NULL
            AND num_nonnulls(input_tokens, provider_cost_nano_usd) = 0
        )
    );

CREATE INDEX model_invocations_true_up ON model_invocations (true_up_time) WHERE true_up_time IS NOT NULL;
