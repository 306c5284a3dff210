-- name: set_model_alias
-- Sets or removes an alias; see migrations/governor/functions/76_set_model_alias.sql.
SELECT outcome, answer
FROM set_model_alias(p_request_id => $1, p_content_hash => $2, p_alias => $3, p_model => $4, p_author => $5);

-- name: list_model_aliases
-- The aliases in force after a name, by alias.
SELECT to_jsonb(newest) AS alias
FROM (
    SELECT DISTINCT ON (a.alias) a.* FROM model_aliases AS a
    WHERE a.alias > $1
    ORDER BY a.alias, a.change_time DESC
) AS newest
WHERE newest.model IS NOT NULL
ORDER BY newest.alias
LIMIT $2;

-- name: newest_changes
-- The newest change of each of these names.
SELECT DISTINCT ON (a.alias) to_jsonb(a) AS alias FROM model_aliases AS a
WHERE a.alias = ANY ($1::text[])
ORDER BY a.alias, a.change_time DESC;
