-- name: insert_document
-- The result of a step without a table of its own, once.
INSERT INTO step_results (organization_id, workflow_id, step, result)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING;

-- name: get_document
-- The result of a step without a table of its own.
SELECT result FROM step_results WHERE organization_id = $1 AND workflow_id = $2 AND step = $3;

-- name: insert_keyword
-- A seed keyword. Case and spacing do not make two keywords.
INSERT INTO workflow_keywords (
    organization_id, workflow_id, keyword_key, position, keyword, competitor_url, intent, reason
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT DO NOTHING;

-- name: decide_keywords
-- The review: approves the keywords named, and rejects the others.
UPDATE workflow_keywords
SET
    decision = CASE WHEN keyword_key = ANY ($3::text[]) THEN 'APPROVED' ELSE 'REJECTED' END,
    decide_time = clock_timestamp()
WHERE organization_id = $1 AND workflow_id = $2;

-- name: list_keywords
-- A page of a workflow's keywords in the order of the result, after (position, keyword_key).
SELECT *
FROM workflow_keywords
WHERE
    organization_id = $1 AND workflow_id = $2
    AND ($3::integer IS NULL OR (position, keyword_key) > ($3, $4::text))
ORDER BY position, keyword_key
LIMIT $5;

-- name: insert_cluster
-- A cluster, without its verdict.
INSERT INTO workflow_clusters (
    organization_id, workflow_id, cluster_id, position, pillar_keyword, supporting_keywords, theme
)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING;

-- name: set_verdict
-- The verdict of VALIDATION on a cluster.
UPDATE workflow_clusters
SET valid = $4, confidence = $5, reason = $6
WHERE organization_id = $1 AND workflow_id = $2 AND cluster_id = $3;

-- name: list_clusters
-- A page of a workflow's clusters in the order of the result, after (position, cluster_id).
SELECT *
FROM workflow_clusters
WHERE
    organization_id = $1 AND workflow_id = $2
    AND ($3::integer IS NULL OR (position, cluster_id) > ($3, $4::uuid))
ORDER BY position, cluster_id
LIMIT $5;

-- name: insert_article
-- An article. A cluster has one.
INSERT INTO workflow_articles (
    organization_id, workflow_id, article_id, position, cluster_id, title, slug, meta_description, body_markdown
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (organization_id, workflow_id, article_id) DO NOTHING;

-- name: insert_publication
-- Where an article was delivered, once.
INSERT INTO workflow_publications (organization_id, workflow_id, article_id, location)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING;

-- name: list_articles
-- A page of a workflow's articles, with where they were published, after (position, article_id).
SELECT a.*, p.location, p.create_time AS publish_time
FROM workflow_articles AS a
LEFT JOIN workflow_publications AS p
    ON
        p.organization_id = a.organization_id
        AND p.workflow_id = a.workflow_id
        AND p.article_id = a.article_id
WHERE
    a.organization_id = $1 AND a.workflow_id = $2
    AND ($3::integer IS NULL OR (a.position, a.article_id) > ($3, $4::uuid))
ORDER BY a.position, a.article_id
LIMIT $5;
