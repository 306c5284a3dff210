-- Which model an id means.
--
-- An id comes as its possible names, the most specific first, separated by tabs. The services make them
-- (governor_service/domain/model_names.py), and candidate_names (23) does for SQL clients. The first counts that an
-- operator has made an alias, that has a price, or that the price list gives as another name of a model. If there is
-- none, the last name is the canonical one, and the model is unpriced.

-- The model that an alias stands for at a time; NULL if it is none.
CREATE OR REPLACE FUNCTION model_of_alias(p_alias text, p_time timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT a.model FROM model_aliases AS a
    WHERE a.alias = p_alias AND a.change_time <= p_time
    ORDER BY a.change_time DESC
    LIMIT 1
$$;

-- The canonical model of these names at a time. It is PL/pgSQL so that a session plans its query once.
CREATE OR REPLACE FUNCTION resolved_model(p_names text, p_time timestamptz) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    v_name text;
    v_model text;
BEGIN
    FOREACH v_name IN ARRAY string_to_array(p_names, E'\t') LOOP
        v_model := model_of_alias(v_name, p_time);
        IF v_model IS NOT NULL THEN
            RETURN v_model;
        ELSIF EXISTS (SELECT FROM prices AS p WHERE p.model = v_name AND p.effective_time <= p_time) THEN
            RETURN v_name;
        END IF;
        SELECT n.model INTO v_model FROM alternate_names AS n WHERE n.name = v_name;
        IF FOUND THEN
            RETURN v_model;
        END IF;
    END LOOP;
    RETURN coalesce(v_name, '');
END
$$;
