-- name: record_usage
-- Charges usage without a hold; see migrations/governor/0008_postings.sql.
SELECT outcome, entry FROM record_usage($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15);

-- name: adjust_entry
-- Corrects an entry by another; see migrations/governor/0008_postings.sql.
SELECT outcome, entry FROM adjust_entry($1, $2, $3, $4, $5, $6, $7);
