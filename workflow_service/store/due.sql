-- name: pick_due
-- The oldest due workflows of each of the next $2 organizations after $1, at most $3 of each: first the oldest one of
-- each organization, then the second ones. An organization without a due workflow gives one row without an id.
WITH RECURSIVE turns AS (
    (
        SELECT organization_id, 1 AS turn
        FROM intent_workflows
        WHERE due_time IS NOT NULL AND pause_time IS NULL AND organization_id > $1
        ORDER BY organization_id
        LIMIT 1
    )
    UNION ALL
    SELECT following.organization_id, turns.turn + 1
    FROM turns
    CROSS JOIN LATERAL (
        SELECT organization_id
        FROM intent_workflows
        WHERE due_time IS NOT NULL AND pause_time IS NULL AND organization_id > turns.organization_id
        ORDER BY organization_id
        LIMIT 1
    ) AS following
    WHERE turns.turn < $2
)
SELECT turns.organization_id, oldest.id
FROM turns
LEFT JOIN LATERAL (
    SELECT id, row_number() OVER (ORDER BY due_time) AS place
    FROM (
        SELECT id, due_time
        FROM intent_workflows
        WHERE
            organization_id = turns.organization_id AND due_time <= statement_timestamp() AND pause_time IS NULL
            AND turns.organization_id <> ALL ($4::uuid[])
        ORDER BY due_time
        LIMIT $3
    ) AS waiting
) AS oldest ON true
ORDER BY oldest.place, turns.turn;

-- name: lock_if_due
-- Locks a workflow that is still due until the transaction ends, unless another instance has locked it.
SELECT *, coalesce(lease_expire_time > clock_timestamp(), false) AS has_live_lease
FROM intent_workflows
WHERE organization_id = $1 AND id = $2 AND due_time <= clock_timestamp() AND pause_time IS NULL
FOR NO KEY UPDATE SKIP LOCKED;

-- name: get_due
-- The workflow that the transaction has locked, if the service still has something to do with it.
SELECT *, coalesce(lease_expire_time > clock_timestamp(), false) AS has_live_lease
FROM intent_workflows
WHERE organization_id = $1 AND id = $2 AND due_time IS NOT NULL;

-- name: lease_due
-- Leases a step that is PROCESSING to the service's own executor: a queued one at its epoch; one whose lease ran out at
-- the next epoch, as a takeover.
UPDATE intent_workflows
SET
    lease_epoch = lease_epoch + (lease_token IS NOT NULL)::integer,
    takeovers = takeovers + (lease_token IS NOT NULL)::integer,
    lease_token = $3,
    lease_expire_time = clock_timestamp() + $4::interval,
    due_time = clock_timestamp() + $4::interval,
    update_time = clock_timestamp()
WHERE organization_id = $1 AND id = $2
RETURNING *;

-- name: set_due_after
-- The service has nothing to do with the workflow until then.
UPDATE intent_workflows
SET due_time = clock_timestamp() + $3::interval, update_time = clock_timestamp()
WHERE organization_id = $1 AND id = $2;

-- name: set_retry_after
-- The step has failed once more, of $4 times at most, and is run again after this time.
UPDATE intent_workflows
SET
    failed_attempts = failed_attempts + 1,
    attempts_max = $4,
    due_time = clock_timestamp() + $3::interval,
    update_time = clock_timestamp()
WHERE organization_id = $1 AND id = $2;

-- name: begin_run
-- The workflow is to run from now on. A run that it is in already goes on, and the later request's wishes count.
UPDATE intent_workflows
SET
    run_time = coalesce(run_time, clock_timestamp()),
    run_actor = $3,
    run_on_budget_exceeded = $4,
    failed_attempts = 0,
    due_time = CASE WHEN state LIKE '%\_PROCESSING' THEN due_time ELSE coalesce(run_time, clock_timestamp()) END,
    update_time = clock_timestamp()
WHERE organization_id = $1 AND id = $2
RETURNING *;

-- name: lock_workflow
-- The workflow, locked until the transaction ends.
SELECT * FROM intent_workflows WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE;

-- name: end_run
-- The service has nothing more to do with the workflow.
UPDATE intent_workflows
SET
    run_time = NULL, run_actor = NULL, run_on_budget_exceeded = NULL, due_time = NULL, failed_attempts = 0,
    update_time = clock_timestamp()
WHERE organization_id = $1 AND id = $2
RETURNING *;
