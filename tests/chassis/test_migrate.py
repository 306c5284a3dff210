"""Migrations: each once, in order, whole or not at all; an edited one is noticed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from service_chassis.postgres.embedded import EmbeddedPostgres
from service_chassis.postgres.migrate import MigrationEdited, migrate
from tests.conftest import cloned

FILES = {
    "0001_first.sql": "CREATE TABLE first (id int PRIMARY KEY);\nINSERT INTO first VALUES (1);\n",
    "0002_function.sql": "CREATE FUNCTION two() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 2; END $$;\n",
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name, sql in FILES.items():
        (tmp_path / name).write_text(sql)
    (tmp_path / "README.md").write_text("not a migration")
    return tmp_path


@pytest.fixture
async def dsn(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    await postgres.ensure_database("empty_template", "governor")
    async with cloned(postgres, "empty_template", "governor") as dsn:
        yield dsn


async def fetchval(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_each_is_applied_once(dsn: str, directory: Path) -> None:
    """In the order of their names, whole files of several statements; the second run has nothing to do."""
    assert await migrate(dsn, directory) == sorted(FILES)
    assert await migrate(dsn, directory) == []
    assert await fetchval(dsn, "SELECT two()") == 2
    digest = hashlib.sha256(FILES["0001_first.sql"].encode()).hexdigest()
    assert await fetchval(dsn, "SELECT sha256 FROM schema_migrations ORDER BY name LIMIT 1") == digest
    (directory / "0003_more.sql").write_text("INSERT INTO first VALUES (3);")
    assert await migrate(dsn, directory) == ["0003_more.sql"]


async def test_of_those_who_start_at_once_one_migrates(dsn: str, directory: Path) -> None:
    """The others wait until it is done."""
    (directory / "0001_first.sql").write_text("SELECT pg_sleep(0.3); CREATE TABLE first (id int);")
    applied = await asyncio.gather(*(migrate(dsn, directory) for _ in range(5)))
    assert sorted(applied) == [[], [], [], [], sorted(FILES)]


async def test_one_that_fails_leaves_nothing_of_itself(dsn: str, directory: Path) -> None:
    """Those before it stay; it is tried again the next time."""
    broken = directory / "0003_broken.sql"
    broken.write_text("CREATE TABLE third (); SELECT 1/0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(dsn, directory)
    assert await fetchval(dsn, "SELECT to_regclass('third')") is None
    assert await fetchval(dsn, "SELECT count(*) FROM schema_migrations") == 2
    broken.write_text("CREATE TABLE third ();")
    assert await migrate(dsn, directory) == ["0003_broken.sql"]


async def test_an_edited_one_is_noticed(dsn: str, directory: Path) -> None:
    """Before anything else is applied."""
    await migrate(dsn, directory)
    (directory / "0002_function.sql").write_text("-- another")
    (directory / "0003_more.sql").write_text("CREATE TABLE third ()")
    with pytest.raises(MigrationEdited, match="0002_function"):
        await migrate(dsn, directory)
    assert await fetchval(dsn, "SELECT to_regclass('third')") is None


async def test_older_code_starts_on_a_newer_database(dsn: str, directory: Path) -> None:
    """Of a rolling upgrade: the files that only the newer version has do not matter to the older."""
    await migrate(dsn, directory)
    (directory / "0002_function.sql").unlink()
    assert await migrate(dsn, directory) == []


async def test_one_that_commits_by_itself_is_refused(dsn: str, directory: Path) -> None:
    """The runner's transaction is the only one: else half a file could be applied without a record."""
    (directory / "0003_commit.sql").write_text("CREATE TABLE third (); COMMIT;")
    with pytest.raises(ValueError, match="0003_commit"):
        await migrate(dsn, directory)
