CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE insufficient_privilege USING MESSAGE = format('%s only grows: %s is refused', TG_TABLE_NAME, TG_OP);
END
$$;
