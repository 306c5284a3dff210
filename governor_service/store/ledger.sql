-- name: list_entries
-- An organization's entries after a sequence ($2) that match every filter; a filter ($3 to $10) of NULL matches all.
SELECT to_jsonb(e) AS entry
FROM ai_usage_ledger AS e
WHERE e.organization_id = $1 AND e.sequence > $2 AND e.sequence > 0
    AND ($3::uuid IS NULL OR e.workflow_id = $3)
    AND ($4::text IS NULL OR e.model = $4)
    AND ($5::text IS NULL OR e.kind = $5)
    AND ($6::text IS NULL OR $6 = ANY (e.flags))
    AND ($7::jsonb IS NULL OR e.labels @> $7)
    AND ($8::text IS NULL OR e.month = $8)
    AND ($9::timestamptz IS NULL OR e.created_at >= $9)
    AND ($10::timestamptz IS NULL OR e.created_at < $10)
ORDER BY e.sequence
LIMIT $11;
