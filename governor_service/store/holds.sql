-- name: authorize_together
-- Places the holds that stand in nobody's way, as a set; see migrations/governor/0015_authorize_together.sql.
SELECT * FROM authorize_together($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: authorize_holds
-- Places holds for one organization; see migrations/governor/0004_authorize.sql.
SELECT * FROM authorize_holds($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: authorize_batch
-- Places holds for several organizations; see migrations/governor/0007_batches.sql.
SELECT * FROM authorize_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14);

-- name: check_budget
-- Tells what would be granted, from one snapshot.
SELECT * FROM check_budget($1, $2, $3, $4, $5, $6, $7, $8);

-- name: settle_together
-- Settles live holds by what their granted models used, as a set; see migrations/governor/0016_settle_together.sql.
SELECT * FROM settle_together($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: settle_holds
-- Settles holds of one organization; see migrations/governor/0005_end_holds.sql.
SELECT * FROM settle_holds($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14);

-- name: settle_batch
-- Settles holds of several organizations; see migrations/governor/0007_batches.sql.
SELECT * FROM settle_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15);

-- name: void
-- Voids one hold; with its request_id, also one that is still on its way.
SELECT void_hold($1, $2, $3, $4);

-- name: find_hold
-- Looks one hold up.
SELECT * FROM find_hold($1, $2);

-- name: extend
-- Sets a later expire_time on a live hold.
SELECT extend_hold($1, $2, $3, $4);

-- name: list_authorizations
-- An organization's holds after a position, oldest first, narrowed by whatever is given.
SELECT to_jsonb(a) AS hold
FROM authorizations_with_price AS a
WHERE a.organization_id = $1
    AND a.create_time > '-infinity' AND (a.create_time, a.authorization_id) > ($2, $3)
    AND ($4::text IS NULL OR a.state = $4)
    AND ($5::uuid IS NULL OR a.workflow_id = $5)
    AND ($6::timestamptz IS NULL OR a.create_time < $6)
ORDER BY a.create_time, a.authorization_id
LIMIT $7;

-- name: organizations_to_sweep
-- Organizations with holds whose retention time is over.
SELECT organizations_to_sweep($1, $2);

-- name: sweep
-- Ends holds of one organization whose retention time is over; see migrations/governor/0013_expiry.sql.
SELECT released_holds, charged_holds FROM sweep_holds($1, $2, $3, $4);
