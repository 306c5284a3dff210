-- name: look
-- Always one row: the record of the request_id and the state of the workflow, each NULL if it does not exist.
SELECT
    r.request_id, r.content_hash, r.workflow_id, r.epoch, r.answer,
    w.state, w.lease_epoch, w.lease_expire_time, w.run_time IS NOT NULL AS is_running,
    w.pause_time IS NOT NULL AS is_paused
FROM (VALUES (true)) AS always (row_stands)
LEFT JOIN request_ids AS r ON r.organization_id = $1 AND r.method = $2 AND r.request_id = $3
LEFT JOIN intent_workflows AS w ON w.organization_id = $1 AND w.id = $4;

-- name: insert_if_new
-- Records the request_id. If another transaction is recording it, waits, and inserts nothing if that one commits.
INSERT INTO request_ids (organization_id, method, request_id, content_hash, workflow_id)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
RETURNING request_id;

-- name: set_answer
-- Stores the answer to the request and to its repetitions, and the epoch of the lease that it claimed, if any.
UPDATE request_ids
SET answer = $4, epoch = coalesce($5, epoch)
WHERE organization_id = $1 AND method = $2 AND request_id = $3;

-- name: answer_open
-- Answers the requests of this method that wait for the workflow.
UPDATE request_ids
SET answer = $4
WHERE organization_id = $1 AND workflow_id = $2 AND method = $3 AND answer IS NULL;

-- name: forget_open
-- Forgets the requests of these methods that wait for the workflow: what they asked for will not be done.
DELETE FROM request_ids
WHERE organization_id = $1 AND workflow_id = $2 AND method = ANY ($3) AND answer IS NULL;
