-- name: insert_event
-- An event about a workflow as it is now, in the transaction of what it tells.
INSERT INTO workflow_events (
    organization_id, workflow_id, type, state, version, epoch, actor, reason, error_class, error_reason, error_message,
    attempt, attempts_max, next_time, total_ai_cost_nano_usd
)
SELECT
    organization_id, id, $3, state, version, CASE WHEN lease_token IS NOT NULL THEN lease_epoch END, $4, $5,
    error_class, error_reason, error_message, nullif(failed_attempts, 0), attempts_max,
    CASE WHEN state LIKE '%\_FAILED' THEN due_time END, total_ai_cost_nano_usd
FROM intent_workflows
WHERE organization_id = $1 AND id = $2;

-- name: give_out_offsets
-- Gives the next offsets to committed events without one, if no other session is doing that. How many got one.
WITH relay AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(20773, 1) AS is_mine
),
fresh AS (
    SELECT organization_id, event_id, row_number() OVER (ORDER BY place) AS number
    FROM (
        SELECT organization_id, event_id, place
        FROM workflow_events
        WHERE event_offset IS NULL AND (SELECT is_mine FROM relay)
        ORDER BY place
        LIMIT 1000
    ) AS waiting
),
given AS (
    UPDATE last_event_offset
    SET event_offset = event_offset + (SELECT count(*) FROM fresh)
    WHERE EXISTS (SELECT FROM fresh)
    RETURNING event_offset - (SELECT count(*) FROM fresh) AS before
)
UPDATE workflow_events AS e
SET event_offset = given.before + fresh.number
FROM fresh, given
WHERE e.organization_id = fresh.organization_id AND e.event_id = fresh.event_id;

-- name: get_last_offset
-- The offset that was given out last.
SELECT event_offset FROM last_event_offset;

-- name: list_events
-- An organization's events after an offset, in their order.
SELECT *
FROM workflow_events
WHERE organization_id = $1 AND event_offset > $2
ORDER BY event_offset
LIMIT $3;
