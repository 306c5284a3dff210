-- name: insert_delivery
-- That an article was delivered, and where to.
INSERT INTO workflow_deliveries (organization_id, workflow_id, article_id, location)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING;

-- name: list_deliveries
-- A workflow's deliveries.
SELECT article_id, location
FROM workflow_deliveries
WHERE organization_id = $1 AND workflow_id = $2;
