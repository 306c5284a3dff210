-- name: insert_workflow
-- A new workflow, in CREATED.
INSERT INTO intent_workflows (organization_id, id, display_name, profile, publish_kind, publish_location)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING *;

-- name: get_workflow
-- One workflow of the organization.
SELECT * FROM intent_workflows WHERE organization_id = $1 AND id = $2;

-- name: list_workflows
-- A page of an organization's workflows, newest first, of one state or all, after (create_time, id).
SELECT *
FROM intent_workflows
WHERE
    organization_id = $1
    AND ($2::text IS NULL OR state = $2)
    AND ($6::text IS NULL OR waits_for = $6)
    AND ($3::timestamptz IS NULL OR (create_time, id) < ($3, $4::uuid))
ORDER BY create_time DESC, id DESC
LIMIT $5;

-- name: merge_data_if_it_fits
-- Each top-level key replaces its earlier value. Two writers of different keys do not disturb each other.
UPDATE intent_workflows
SET workflow_data = workflow_data || $3::jsonb, update_time = clock_timestamp()
WHERE organization_id = $1 AND id = $2 AND octet_length((workflow_data || $3::jsonb)::text) <= $4
RETURNING *;

-- name: transition_if_state
-- Moves a workflow that is in the expected state, and writes its history, in one statement. A live lease ends here.
-- Its epoch and token are kept in the history.
WITH previous AS (
    SELECT organization_id, id, lease_epoch, lease_token
    FROM intent_workflows
    WHERE organization_id = $1 AND id = $2 AND state = $3
    FOR NO KEY UPDATE
),
moved AS (
    UPDATE intent_workflows AS w
    SET
        state = $4
    FROM previous
    WHERE w.organization_id = previous.organization_id AND w.id = previous.id AND w.state = $3
    RETURNING w.*
),
told AS (
    INSERT INTO workflow_transitions (
        organization_id, workflow_id, version, from_state, to_state, actor, reason, epoch, lease_token,
        total_ai_cost_nano_usd
    )
    SELECT
        moved.organization_id, moved.id, moved.version, $3, moved.state, $5, $6,
        CASE WHEN previous.lease_token IS NOT NULL THEN previous.lease_epoch END, previous.lease_token,
        moved.total_ai_cost_nano_usd
    FROM moved, previous
)
SELECT * FROM moved;

-- name: insert_missing_transitions
-- Adds legal transitions. Several instances that start at once insert in the same order and cannot deadlock.
INSERT INTO legal_transitions (from_state, to_state)
SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT DO NOTHING;

-- name: list_transitions
-- A page of a workflow's history, oldest first, after a version.
SELECT *
FROM workflow_transitions
WHERE organization_id = $1 AND workflow_id = $2 AND version > $3
ORDER BY version
LIMIT $4;

-- name: set_pause
-- Pauses a workflow that is not paused and not at its end, by $3 for $4; without $3, resumes one that is paused.
UPDATE intent_workflows
SET
    pause_time = CASE WHEN $3::text IS NOT NULL THEN clock_timestamp() END,
    pause_actor = $3, pause_reason = $4, update_time = clock_timestamp()
WHERE
    organization_id = $1 AND id = $2
    AND CASE
        WHEN $3::text IS NULL THEN pause_time IS NOT NULL
        ELSE pause_time IS NULL AND waits_for IS NOT NULL
    END
RETURNING *;

-- name: lock_matching
-- Workflows of an organization that match the filter and are paused, or are not and can be.
SELECT id
FROM intent_workflows
WHERE
    organization_id = $1
    AND ($2::text IS NULL OR state = $2)
    AND ($3::text IS NULL OR waits_for = $3)
    AND waits_for IS NOT NULL AND (pause_time IS NOT NULL) = $4
ORDER BY id
LIMIT $5
FOR NO KEY UPDATE;

-- name: list_update_times
-- When each of these workflows last changed.
SELECT w.organization_id, w.id, w.update_time
FROM unnest($1::uuid[], $2::uuid[]) AS wanted (organization_id, id)
JOIN intent_workflows AS w ON w.organization_id = wanted.organization_id AND w.id = wanted.id;
