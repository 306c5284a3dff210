-- name: claim_if_state
-- Begins a lease at the next epoch, if the workflow is in the expected state. If several callers try, one gets a row.
-- A lease of the service's own executor ($9) is the service's to take over once it has run out.
WITH moved AS (
    UPDATE intent_workflows
    SET
        state = $4,
        lease_token = $5,
        lease_expire_time = clock_timestamp() + $6::interval,
        due_time = CASE WHEN $9::boolean THEN clock_timestamp() + $6::interval END
    WHERE organization_id = $1 AND id = $2 AND state = $3 AND pause_time IS NULL
    RETURNING *
),
told AS (
    INSERT INTO workflow_transitions (
        organization_id, workflow_id, version, from_state, to_state, actor, reason, epoch, lease_token,
        total_ai_cost_nano_usd
    )
    SELECT
        organization_id, id, version, $3, state, $7, $8, lease_epoch, lease_token, total_ai_cost_nano_usd
    FROM moved
)
SELECT * FROM moved;

-- name: queue_if_state
-- Begins a step, at the next epoch, that the service's own executor is to do and that nobody has leased yet.
WITH moved AS (
    UPDATE intent_workflows
    SET
        state = $4,
        due_time = coalesce(run_time, clock_timestamp())
    WHERE organization_id = $1 AND id = $2 AND state = $3 AND pause_time IS NULL
    RETURNING *
),
told AS (
    INSERT INTO workflow_transitions (
        organization_id, workflow_id, version, from_state, to_state, actor, reason, epoch, total_ai_cost_nano_usd
    )
    SELECT organization_id, id, version, $3, state, $5, $6, lease_epoch, total_ai_cost_nano_usd
    FROM moved
)
SELECT * FROM moved;

-- name: queue_if_expired
-- Takes a step without a live lease from its holder, at the next epoch, for the service's own executor.
UPDATE intent_workflows
SET
    lease_epoch = lease_epoch + (lease_token IS NOT NULL)::integer,
    takeovers = takeovers + (lease_token IS NOT NULL)::integer,
    lease_token = NULL,
    lease_expire_time = NULL,
    due_time = coalesce(run_time, clock_timestamp()),
    update_time = clock_timestamp()
WHERE
    organization_id = $1 AND id = $2 AND state = $3 AND pause_time IS NULL
    AND (lease_expire_time IS NULL OR lease_expire_time <= clock_timestamp())
RETURNING *;

-- name: take_over_if_expired
-- Gives a step without a live lease to an outside worker, at the next epoch. The state stays.
UPDATE intent_workflows
SET
    lease_epoch = lease_epoch + 1,
    takeovers = takeovers + 1,
    lease_token = $4,
    lease_expire_time = clock_timestamp() + $5::interval,
    due_time = NULL,
    update_time = clock_timestamp()
WHERE
    organization_id = $1 AND id = $2 AND state = $3 AND pause_time IS NULL
    AND (lease_expire_time IS NULL OR lease_expire_time <= clock_timestamp())
RETURNING *;

-- name: lock_if_given_up
-- The step whose lease ran out once more than it may be taken over, locked until the transaction ends.
SELECT *
FROM intent_workflows
WHERE
    organization_id = $1 AND id = $2 AND state = $3
    AND takeovers >= $4 AND lease_token IS NOT NULL AND lease_expire_time <= clock_timestamp()
FOR NO KEY UPDATE;

-- name: renew_if_leased
-- Extends the lease of this token and epoch. It never shortens it.
UPDATE intent_workflows
SET
    lease_expire_time = greatest(lease_expire_time, clock_timestamp() + $5::interval),
    due_time = CASE
        WHEN due_time IS NOT NULL THEN greatest(lease_expire_time, clock_timestamp() + $5::interval)
    END,
    update_time = clock_timestamp()
WHERE organization_id = $1 AND id = $2 AND lease_token = $3 AND lease_epoch = $4
RETURNING *;

-- name: release_if_leased
-- Gives a step of the service's own executor back, for another instance to go on with it at once.
UPDATE intent_workflows
SET
    lease_token = NULL,
    lease_expire_time = NULL,
    lease_epoch = lease_epoch + 1,
    due_time = coalesce(run_time, clock_timestamp()),
    update_time = clock_timestamp()
WHERE organization_id = $1 AND id = $2 AND lease_token = $3 AND lease_epoch = $4
RETURNING *;

-- name: lock_if_leased
-- The workflow with this lease, locked until the transaction ends.
SELECT *
FROM intent_workflows
WHERE organization_id = $1 AND id = $2 AND lease_token = $3 AND lease_epoch = $4
FOR NO KEY UPDATE;

-- name: is_or_was_leased
-- Whether this token and epoch hold the workflow, or held it and ended their lease.
SELECT EXISTS (
    SELECT FROM intent_workflows
    WHERE organization_id = $1 AND id = $2 AND lease_token = $3 AND lease_epoch = $4
) OR EXISTS (
    SELECT FROM workflow_transitions
    WHERE
        organization_id = $1 AND workflow_id = $2 AND lease_token = $3 AND epoch = $4
        AND from_state LIKE '%\_PROCESSING'
);

-- name: end_if_leased
-- Ends the lease of this token and epoch: the step is completed, or failed with its error.
WITH moved AS (
    UPDATE intent_workflows
    SET
        state = $6,
        error_class = $9,
        error_reason = $10,
        error_message = $11,
        icp = coalesce($12, icp)
    WHERE organization_id = $1 AND id = $2 AND lease_token = $3 AND lease_epoch = $4 AND state = $5
    RETURNING *
),
told AS (
    INSERT INTO workflow_transitions (
        organization_id, workflow_id, version, from_state, to_state, actor, reason, epoch, lease_token,
        total_ai_cost_nano_usd
    )
    SELECT organization_id, id, version, $5, state, $7, $8, $4, $3, total_ai_cost_nano_usd
    FROM moved
)
SELECT * FROM moved;

-- name: get_ending
-- The state in which the lease of this token and epoch ended; no row if it has not ended.
SELECT to_state
FROM workflow_transitions
WHERE
    organization_id = $1 AND workflow_id = $2 AND lease_token = $3 AND epoch = $4
    AND from_state LIKE '%\_PROCESSING';
