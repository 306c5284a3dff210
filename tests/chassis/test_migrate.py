"""Migrations: versioned files once and in order, functions whenever they change, all or nothing."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service_chassis.postgres.embedded import EmbeddedPostgres
from service_chassis.postgres.migrate import MigrationEdited, migrate
from tests.conftest import cloned

FILES = {
    "0001_first.sql": "CREATE TABLE first (id int PRIMARY KEY);\nINSERT INTO first VALUES (1);\n",
    "0002_second.sql": "CREATE TABLE second (id int);\n",
}
FUNCTIONS = {
    "10_two.sql": "CREATE OR REPLACE FUNCTION two() RETURNS int LANGUAGE sql AS 'SELECT 2';",
    "20_three.sql": "CREATE OR REPLACE FUNCTION three() RETURNS int LANGUAGE sql AS 'SELECT two() + 1';",
    "30_view.sql": "CREATE OR REPLACE VIEW both_of_them AS SELECT two(), three();",
    "40_trigger.sql": """
        CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
        CREATE OR REPLACE TRIGGER refuse BEFORE DELETE ON first FOR EACH ROW EXECUTE FUNCTION refuse();
        ALTER TABLE first ENABLE ALWAYS TRIGGER refuse;
    """,
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name, sql in FILES.items():
        (tmp_path / name).write_text(sql)
    (tmp_path / "README.md").write_text("not a migration")
    return tmp_path


@pytest.fixture
def functions(directory: Path) -> Path:
    """Adds the folder of functions to `directory`."""
    folder = directory / "functions"
    folder.mkdir()
    (folder / "VERSION").write_text("1\n")
    (folder / "README.md").write_text("no function")
    for name, sql in FUNCTIONS.items():
        (folder / name).write_text(sql)
    return folder


@pytest.fixture
async def dsn(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    await postgres.ensure_database("another_template", "workflow")  # for the other role
    await postgres.ensure_database("empty_template", "governor")
    async with cloned(postgres, "empty_template", "governor") as dsn:
        yield dsn


async def execute(dsn: str, sql: str) -> None:
    await fetchval(dsn, sql)


async def names_of_functions(dsn: str) -> object:
    return await fetchval(
        dsn,
        "SELECT array_agg(oid::regprocedure::text ORDER BY oid::regprocedure::text) FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace",
    )


async def fetchval(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def define(functions: Path, name: str, definition: str) -> None:
    (functions / name).write_text(f"CREATE OR REPLACE FUNCTION {definition}")


async def test_each_is_applied_once(dsn: str, directory: Path) -> None:
    """Files with several statements are applied in the order of their names, and never a second time."""
    assert await migrate(dsn, directory) == sorted(FILES)
    assert await migrate(dsn, directory) == []
    digest = hashlib.sha256(FILES["0001_first.sql"].encode()).hexdigest()
    assert await fetchval(dsn, "SELECT sha256 FROM schema_migrations ORDER BY name LIMIT 1") == digest
    (directory / "0003_more.sql").write_text("INSERT INTO first VALUES (3);")
    assert await migrate(dsn, directory) == ["0003_more.sql"]


@pytest.mark.usefixtures("functions")
async def test_of_those_who_start_at_once_one_migrates(dsn: str, directory: Path) -> None:
    """One process migrates, and the others wait until it has finished."""
    (directory / "0001_first.sql").write_text("SELECT pg_sleep(0.3); CREATE TABLE first (id int);")
    applied = await asyncio.gather(*(migrate(dsn, directory) for _ in range(5)))
    assert sorted(applied) == [[], [], [], [], [*sorted(FILES), "functions"]]


async def test_one_that_fails_leaves_everything_as_it_was(dsn: str, directory: Path) -> None:
    """The files before it are rolled back too; the error names it, and the next run tries all again."""
    broken = directory / "0003_broken.sql"
    broken.write_text("CREATE TABLE third (); SELECT 1/0;")
    with pytest.raises(asyncpg.DivisionByZeroError) as caught:
        await migrate(dsn, directory)
    assert caught.value.__notes__ == ["in the migration 0003_broken.sql"]
    assert await fetchval(dsn, "SELECT to_regclass('first')") is None
    broken.write_text("CREATE TABLE third ();")
    assert await migrate(dsn, directory) == [*sorted(FILES), "0003_broken.sql"]


async def test_an_edited_one_is_noticed(dsn: str, directory: Path) -> None:
    """An edited file is found before any other file is applied."""
    await migrate(dsn, directory)
    (directory / "0002_second.sql").write_text("-- another")
    (directory / "0003_more.sql").write_text("CREATE TABLE third ()")
    with pytest.raises(MigrationEdited, match="0002_second"):
        await migrate(dsn, directory)
    assert await fetchval(dsn, "SELECT to_regclass('third')") is None


async def test_a_file_with_its_own_commit_is_refused(dsn: str, directory: Path) -> None:
    """A file with its own COMMIT is refused, since half of it could be applied without a record."""
    (directory / "0003_commit.sql").write_text("CREATE TABLE third (); COMMIT;")
    with pytest.raises(ValueError, match="0003_commit"):
        await migrate(dsn, directory)


async def test_functions_are_replaced_when_one_has_changed(
    dsn: str, directory: Path, functions: Path
) -> None:
    """A change of one function replaces the whole set in place, and grants on the functions are kept."""
    assert await migrate(dsn, directory) == [*sorted(FILES), "functions"]
    assert await fetchval(dsn, "SELECT three() FROM both_of_them") == 3
    await execute(dsn, "REVOKE ALL ON FUNCTION two() FROM PUBLIC")
    define(functions, "10_two.sql", "two() RETURNS int LANGUAGE sql AS 'SELECT 20'")
    assert await migrate(dsn, directory) == ["functions"]
    assert await fetchval(dsn, "SELECT three() FROM both_of_them") == 21
    assert not await fetchval(dsn, "SELECT has_function_privilege('workflow', 'two()', 'EXECUTE')")
    assert await migrate(dsn, directory) == []


async def test_functions_that_are_there_no_more_are_dropped(
    dsn: str, directory: Path, functions: Path
) -> None:
    """A function that the runner created is dropped when its file is gone; other functions are left alone."""
    await migrate(dsn, directory)
    await execute(dsn, "CREATE FUNCTION somebody_elses() RETURNS int LANGUAGE sql AS 'SELECT 7'")
    (functions / "30_view.sql").unlink()
    define(functions, "10_two.sql", "two(p int DEFAULT 2) RETURNS int LANGUAGE sql AS 'SELECT p'")
    assert await migrate(dsn, directory) == ["functions"]
    assert await names_of_functions(dsn) == ["refuse()", "somebody_elses()", "three()", "two(integer)"]
    assert await fetchval(dsn, "SELECT to_regclass('both_of_them')") is None
    assert await fetchval(dsn, "SELECT three()") == 3


async def test_a_changed_result_replaces_function_and_view(
    dsn: str, directory: Path, functions: Path
) -> None:
    """Both are dropped and created again, since PostgreSQL cannot change a result type; triggers stay."""
    await migrate(dsn, directory)
    define(functions, "10_two.sql", "two() RETURNS text LANGUAGE sql AS $$SELECT 'two'$$")
    define(functions, "20_three.sql", "three() RETURNS text LANGUAGE sql AS 'SELECT two()'")
    (functions / "30_view.sql").write_text("CREATE OR REPLACE VIEW both_of_them AS SELECT three() AS one;")
    assert await migrate(dsn, directory) == ["functions"]
    assert await fetchval(dsn, "SELECT one FROM both_of_them") == "two"
    with pytest.raises(asyncpg.RaiseError, match="refused"):
        await execute(dsn, "DELETE FROM first")


async def test_a_function_that_fails_leaves_everything_as_it_was(
    dsn: str, directory: Path, functions: Path
) -> None:
    """The other functions and the versioned files of the same run are rolled back too."""
    await migrate(dsn, directory)
    (directory / "0003_more.sql").write_text("CREATE TABLE third ()")
    define(functions, "10_two.sql", "two() RETURNS int LANGUAGE sql AS 'SELECT 20'")
    define(functions, "20_three.sql", "three() RETURNS int LANGUAGE sql AS 'SELECT nothing()'")
    with pytest.raises(asyncpg.UndefinedFunctionError) as caught:
        await migrate(dsn, directory)
    assert caught.value.__notes__ == ["in the migration functions/20_three.sql"]
    assert await fetchval(dsn, "SELECT three() FROM both_of_them") == 3
    assert await fetchval(dsn, "SELECT to_regclass('third')") is None


@pytest.mark.usefixtures("functions")
async def test_nothing_to_do_costs_one_query(
    dsn: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with nothing to do sends one query and takes no lock: restarts do not wait for each other."""
    await migrate(dsn, directory)
    connect, seen = asyncpg.connect, []

    async def connect_and_watch(dsn: str, **options: Any) -> asyncpg.Connection:
        connection: asyncpg.Connection = await connect(dsn, **options)
        connection.add_query_logger(lambda query: seen.append(query.query))
        return connection

    monkeypatch.setattr("asyncpg.connect", connect_and_watch)
    assert await migrate(dsn, directory) == []
    assert len(seen) == 1


async def test_older_code_starts_on_a_newer_database(dsn: str, directory: Path, functions: Path) -> None:
    """During a rolling upgrade older code leaves the newer version's functions alone."""
    await migrate(dsn, directory)
    older = (functions / "10_two.sql").read_text()
    (functions / "VERSION").write_text("2\n")
    define(functions, "10_two.sql", "two() RETURNS int LANGUAGE sql AS 'SELECT 20'")
    define(functions, "50_more.sql", "more() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    assert await migrate(dsn, directory) == ["functions"]
    (directory / "0002_second.sql").unlink()
    (functions / "50_more.sql").unlink()
    (functions / "10_two.sql").write_text(older)
    (functions / "VERSION").write_text("1\n")
    assert await migrate(dsn, directory) == []
    assert await fetchval(dsn, "SELECT more() + two()") == 21


FOLDED = """
-- through: 0002_second.sql
-- folded: 0001_old.sql {}
ALTER TABLE first ADD CHECK (id > 0);
"""


@pytest.mark.usefixtures("functions")
async def test_an_earlier_history_goes_on(dsn: str, directory: Path) -> None:
    """Folded files count as applied where their predecessors were; later files are applied as usual."""
    (directory / "earlier").mkdir()
    (directory / "earlier" / "0001_old.sql").write_text(old := "".join(FILES.values()) + "-- as it was")
    await migrate(dsn, directory / "earlier")
    (directory / "folded.sql").write_text(FOLDED.format(hashlib.sha256(old.encode()).hexdigest()))
    (directory / "0003_more.sql").write_text("INSERT INTO first VALUES (3);")
    assert await migrate(dsn, directory) == ["0003_more.sql", "functions"]
    assert await fetchval(dsn, "SELECT string_agg(name, ' ' ORDER BY name) FROM schema_migrations") == (
        "0001_first.sql 0002_second.sql 0003_more.sql"
    )
    with pytest.raises(asyncpg.CheckViolationError):
        await execute(dsn, "INSERT INTO first VALUES (-1)")
    assert await migrate(dsn, directory) == []
