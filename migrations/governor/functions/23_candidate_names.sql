-- The possible names of a model id, the most specific first, separated by tabs, as resolved_model (21) takes them.
-- governor_service/domain/model_names.py follows the same rules (22) to the same names. Services send names; this is for
-- SQL clients, which send ids.
CREATE OR REPLACE FUNCTION candidate_names(p_model_id text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    c_names_max CONSTANT integer := 10;
    -- White space and letters are those of ASCII, whatever the collation of the database.
    c_white_space CONSTANT text := E'\t\n\v\f\r\x1c\x1d\x1e\x1f ';
    v_names text[] := ARRAY[lower(
        regexp_replace(btrim(p_model_id, c_white_space), '[' || c_white_space || ']+', '-', 'g') COLLATE "C")];
    v_stages text[];
    v_patterns text[];
    v_replacements text[];
    v_nexts text[];
    -- Texts to follow, in this order, each as its stage, a tab and the text.
    v_pending text[] := '{}';
    v_after text[];
    v_stage text;
    v_text text;
    v_row integer;
BEGIN
    SELECT
        array_agg(r.stage ORDER BY r.place), array_agg(r.pattern ORDER BY r.place),
        array_agg(r.replacement ORDER BY r.place), array_agg(r.next ORDER BY r.place)
    INTO v_stages, v_patterns, v_replacements, v_nexts
    FROM model_name_rules() WITH ORDINALITY AS r (stage, pattern, replacement, next, step, place);
    -- Any other id has no price, and no other name.
    IF v_names[1] ~ '\A[!-~]{1,200}\Z' THEN
        v_pending := ARRAY[v_stages[1] || E'\t' || v_names[1]];
    END IF;

    WHILE cardinality(v_pending) > 0 LOOP
        v_stage := split_part(v_pending[1], E'\t', 1);
        v_text := split_part(v_pending[1], E'\t', 2);
        v_pending := v_pending[2:];
        IF v_stage = 'name' THEN
            IF v_text <> ALL (v_names) THEN
                v_names := v_names || v_text;
            END IF;
        ELSIF v_stage <> 'none' THEN
            v_row := array_position(v_stages, v_stage);
            WHILE v_text !~ v_patterns[v_row] LOOP
                v_row := v_row + 1;
            END LOOP;
            v_stage := v_stages[v_row];
            v_after := '{}';
            WHILE v_stages[v_row] = v_stage AND v_patterns[v_row] = v_patterns[v_row - cardinality(v_after)] LOOP
                v_after := v_after || (
                    v_nexts[v_row] || E'\t' || regexp_replace(v_text, v_patterns[v_row], v_replacements[v_row]));
                v_row := v_row + 1;
            END LOOP;
            v_pending := v_after || v_pending;
        END IF;
    END LOOP;

    IF cardinality(v_names) > c_names_max THEN
        v_names := v_names[:c_names_max - 1] || v_names[cardinality(v_names)];
    END IF;
    RETURN array_to_string(v_names, E'\t');
END
$$;
