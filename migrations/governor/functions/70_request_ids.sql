-- Claims a request_id for a change that the caller is about to make; NULL claims nothing. Sets `outcome` to NULL (make
-- the change), REPLAYED (with the first answer), or REQUEST_ID_REUSED. Another transaction that claims the same id
-- waits until this one ends.
CREATE OR REPLACE FUNCTION claim_request_id(
    p_organization_id uuid, p_method text, p_request_id uuid, p_content_hash bytea,
    OUT outcome text, OUT answer jsonb
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    IF p_request_id IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO request_ids AS r (organization_id, method, request_id, content_hash, create_time)
    VALUES (p_organization_id, p_method, p_request_id, p_content_hash, governor_now())
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT CASE WHEN r.content_hash = p_content_hash THEN 'REPLAYED' ELSE 'REQUEST_ID_REUSED' END, r.answer
        INTO outcome, answer
        FROM request_ids AS r
        WHERE r.organization_id = p_organization_id AND r.method = p_method AND r.request_id = p_request_id;
    END IF;
END
$$;
