-- name: request_if_leased
-- Records a call before the governor is asked, if the lease's epoch is the workflow's present one.
-- FOR SHARE makes a takeover wait for this commit, so that the takeover sees the row.
WITH lease AS (
    SELECT 1
    FROM intent_workflows
    WHERE organization_id = $1 AND id = $2 AND lease_epoch = $7 AND state = $3 || '_PROCESSING'
    FOR SHARE
)
INSERT INTO model_invocations (
    organization_id, workflow_id, step, item, attempt, request_id, epoch, state, requested_models
)
SELECT $1, $2, $3, $4, $5, $6, $7, 'REQUESTED', $8::text[]
FROM lease
ON CONFLICT DO NOTHING
RETURNING *;

-- name: authorize_if_requested
-- The governor has placed the hold.
UPDATE model_invocations
SET
    state = 'AUTHORIZED', authorization_id = $4, model = $5, held_nano_usd = $6, output_tokens_max = $7,
    update_time = clock_timestamp()
WHERE organization_id = $1 AND request_id = $2 AND epoch = $3 AND state = 'REQUESTED'
RETURNING *;

-- name: dispatch_if_authorized_and_leased
-- The last write before money may be spent. It fails after a takeover or a cancellation.
WITH lease AS (
    SELECT w.organization_id, w.id
    FROM intent_workflows AS w
    JOIN model_invocations AS i ON i.organization_id = w.organization_id AND i.workflow_id = w.id
    WHERE
        i.organization_id = $1 AND i.request_id = $2
        AND w.lease_epoch = $3 AND w.state = i.step || '_PROCESSING'
    FOR SHARE OF w
)
UPDATE model_invocations AS i
SET state = 'DISPATCHED', dispatch_time = clock_timestamp(), update_time = clock_timestamp()
FROM lease
WHERE
    i.organization_id = lease.organization_id AND i.workflow_id = lease.id
    AND i.organization_id = $1 AND i.request_id = $2 AND i.epoch = $3 AND i.state = 'AUTHORIZED'
RETURNING i.*;

-- name: respond_if_dispatched
-- The outcome of the call: answer, usage and cost, or the class of its failure.
UPDATE model_invocations
SET
    state = 'RESPONDED', answer = $4, error_class = $5, served_model = $6, generation_id = $7,
    input_tokens = $8, cached_input_tokens = $9, cache_write_tokens = $10, output_tokens = $11,
    reasoning_tokens = $12, requests = $13, cache_write_1h_tokens = $14, other_units = $15,
    provider_cost_nano_usd = $16, respond_time = clock_timestamp(), update_time = clock_timestamp()
WHERE organization_id = $1 AND request_id = $2 AND epoch = $3 AND state = 'DISPATCHED'
RETURNING *;

-- name: note_generation_if_dispatched
-- The provider has named the call, before its answer has come.
UPDATE model_invocations
SET generation_id = $3, update_time = clock_timestamp()
WHERE organization_id = $1 AND request_id = $2 AND state = 'DISPATCHED' AND generation_id IS NULL
RETURNING *;

-- name: settle_if_responded
-- The governor has posted the cost. A repeated settlement has the same cost, since a hold has one entry.
-- Where nobody knows the cost, the provider's record is looked up later.
-- A trigger updates the workflow's total, so the workflow's row is locked first, as in every transaction.
WITH workflow AS (
    SELECT organization_id, id FROM intent_workflows WHERE organization_id = $1 AND id = $3 FOR NO KEY UPDATE
)
UPDATE model_invocations AS i
SET
    state = 'SETTLED', entry_id = $4, cost_nano_usd = $5, workflow_spent_nano_usd = $6,
    true_up_time = CASE
        WHEN num_nonnulls(i.input_tokens, i.provider_cost_nano_usd) = 0 AND i.generation_id IS NOT NULL
            THEN clock_timestamp() + $7::interval
    END,
    end_time = clock_timestamp(), update_time = clock_timestamp()
FROM workflow AS w
WHERE
    i.organization_id = w.organization_id AND i.workflow_id = w.id
    AND i.request_id = $2 AND i.state = 'RESPONDED'
RETURNING i.*;

-- name: void_if_unanswered
-- The hold has to be voided, if there is one: nothing was sent, or nothing was charged.
UPDATE model_invocations
SET state = 'VOIDING', error_class = $4, generation_id = $5, update_time = clock_timestamp()
WHERE
    organization_id = $1 AND request_id = $2 AND epoch = $3
    AND state IN ('REQUESTED', 'AUTHORIZED', 'DISPATCHED')
RETURNING *;

-- name: end_void_if_voiding
-- The governor holds nothing for the call any more.
UPDATE model_invocations
SET state = 'VOIDED', end_time = clock_timestamp(), update_time = clock_timestamp()
WHERE organization_id = $1 AND request_id = $2 AND state = 'VOIDING'
RETURNING *;

-- name: deny_if_requested
-- The governor refused Authorize, so there is no hold.
UPDATE model_invocations
SET state = 'VOIDED', error_class = $4, end_time = clock_timestamp(), update_time = clock_timestamp()
WHERE organization_id = $1 AND request_id = $2 AND epoch = $3 AND state = 'REQUESTED'
RETURNING *;

-- name: settle_if_voiding
-- The hold expired and was charged before it could be voided.
WITH workflow AS (
    SELECT organization_id, id FROM intent_workflows WHERE organization_id = $1 AND id = $3 FOR NO KEY UPDATE
)
UPDATE model_invocations AS i
SET
    state = 'SETTLED', authorization_id = $4, model = $5, held_nano_usd = $6, entry_id = $7, cost_nano_usd = $8,
    end_time = clock_timestamp(), update_time = clock_timestamp()
FROM workflow AS w
WHERE
    i.organization_id = w.organization_id AND i.workflow_id = w.id
    AND i.request_id = $2 AND i.state = 'VOIDING'
RETURNING i.*;

-- name: adopt_open_if_leased
-- Gives the calls that earlier holders of the step left open to the present holder, who ends them. A DISPATCHED call
-- of another epoch may still be answered, and stays with its holder until its deadline ($5 after its dispatch), but for
-- those named in $6.
WITH lease AS (
    SELECT organization_id, id
    FROM intent_workflows
    WHERE organization_id = $1 AND id = $2 AND lease_epoch = $4 AND state = $3 || '_PROCESSING'
    FOR SHARE
)
UPDATE model_invocations AS i
SET epoch = $4, update_time = clock_timestamp()
FROM lease
WHERE
    i.organization_id = lease.organization_id AND i.workflow_id = lease.id AND i.step = $3
    AND i.epoch < $4 AND i.state NOT IN ('SETTLED', 'VOIDED')
    AND (
        i.state <> 'DISPATCHED' OR i.dispatch_time <= clock_timestamp() - $5::interval OR i.request_id = ANY($6)
    )
RETURNING i.*;

-- name: step_invocations
-- The calls of a step, by item and attempt.
SELECT *
FROM model_invocations
WHERE organization_id = $1 AND workflow_id = $2 AND step = $3
ORDER BY item, attempt;

-- name: get_invocation
-- One call, by its request_id.
SELECT *
FROM model_invocations
WHERE organization_id = $1 AND request_id = $2;

-- name: list_invocations
-- A page of a workflow's calls, oldest first, after (create_time, request_id).
SELECT *
FROM model_invocations
WHERE
    organization_id = $1 AND workflow_id = $2
    AND ($3::timestamptz IS NULL OR (create_time, request_id) > ($3::timestamptz, $4::uuid))
ORDER BY create_time, request_id
LIMIT $5;

-- name: correct_if_settled_unknown
-- Records the true usage of a call that was charged as unknown. The governor has posted the difference.
WITH workflow AS (
    SELECT organization_id, id FROM intent_workflows WHERE organization_id = $1 AND id = $3 FOR NO KEY UPDATE
)
UPDATE model_invocations AS i
SET
    input_tokens = $4, cached_input_tokens = $5, cache_write_tokens = $6, output_tokens = $7,
    reasoning_tokens = $8, requests = $9, cache_write_1h_tokens = $10, other_units = $11,
    cost_nano_usd = i.cost_nano_usd + $12, workflow_spent_nano_usd = $13, true_up_time = NULL,
    update_time = clock_timestamp()
FROM workflow AS w
WHERE
    i.organization_id = w.organization_id AND i.workflow_id = w.id
    AND i.request_id = $2 AND i.state = 'SETTLED' AND i.input_tokens IS NULL
RETURNING i.*;

-- name: bill_if_settled_unknown
-- Records the provider's bill for a call that was charged as unknown. The governor has posted the difference.
WITH workflow AS (
    SELECT organization_id, id FROM intent_workflows WHERE organization_id = $1 AND id = $3 FOR NO KEY UPDATE
)
UPDATE model_invocations AS i
SET
    provider_cost_nano_usd = $4, cost_nano_usd = i.cost_nano_usd + $5, workflow_spent_nano_usd = NULL,
    true_up_time = NULL, update_time = clock_timestamp()
FROM workflow AS w
WHERE
    i.organization_id = w.organization_id AND i.workflow_id = w.id
    AND i.request_id = $2 AND i.state = 'SETTLED' AND num_nonnulls(i.input_tokens, i.provider_cost_nano_usd) = 0
RETURNING i.*;

-- name: await_record_if_settled_unknown
-- The id of a call that was charged as unknown has become known: its record is looked up $4 from now.
UPDATE model_invocations
SET
    generation_id = coalesce(generation_id, $3), true_up_time = coalesce(true_up_time, clock_timestamp() + $4::interval),
    update_time = clock_timestamp()
WHERE
    organization_id = $1 AND request_id = $2 AND state = 'SETTLED'
    AND num_nonnulls(input_tokens, provider_cost_nano_usd) = 0
RETURNING *;

-- name: take_due_true_ups
-- At most $1 calls whose records are to be looked up now. Nobody else takes them for $2: if this instance is killed
-- meanwhile, another one looks them up after that.
UPDATE model_invocations AS i
SET true_up_time = clock_timestamp() + $2::interval
FROM (
    SELECT organization_id, request_id
    FROM model_invocations
    WHERE true_up_time <= clock_timestamp()
    ORDER BY true_up_time
    LIMIT $1
    FOR UPDATE SKIP LOCKED
) AS due
WHERE i.organization_id = due.organization_id AND i.request_id = due.request_id
RETURNING i.*, extract(epoch FROM clock_timestamp() - i.end_time)::double precision AS age_seconds;

-- name: set_true_up
-- The record is looked up $3 from now; NULL: it is not looked up any more.
UPDATE model_invocations
SET true_up_time = clock_timestamp() + $3::interval
WHERE organization_id = $1 AND request_id = $2 AND true_up_time IS NOT NULL;
