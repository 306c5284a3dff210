-- name: authorize_holds
-- Places holds for one organization; see migrations/governor/0004_authorize.sql.
SELECT * FROM authorize_holds($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: authorize_batch
-- Places holds for several organizations; see migrations/governor/0007_batches.sql.
SELECT * FROM authorize_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: check_budget
-- Tells what would be granted, from one snapshot.
SELECT * FROM check_budget($1, $2, $3, $4, $5, $6, $7, $8);

-- name: settle_holds
-- Settles holds of one organization; see migrations/governor/0005_end_holds.sql.
SELECT * FROM settle_holds($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14);

-- name: settle_batch
-- Settles holds of several organizations; see migrations/governor/0007_batches.sql.
SELECT * FROM settle_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15);

-- name: void
-- Voids one hold, by its id or by its request_id.
SELECT void_hold($1, $2, $3, $4);

-- name: find_hold
-- Looks one hold up, by its id or by its request_id.
SELECT * FROM find_hold($1, $2, $3);
