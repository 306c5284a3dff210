"""Runs migrations: each versioned file once, and all functions whenever one of them has changed.

migrations/README.md explains how to write them, and how a rolling upgrade works.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

import asyncpg
from asyncpg import Connection, Record

FUNCTIONS = "functions"
"""The folder of functions and views. `migrate` returns this name if it has replaced them."""

_LOCK = 0x6D696772617465  # "migrate"
_CONNECT_TIMEOUT_SECONDS = 10.0
_WAIT_SECONDS = 600.0  # for another instance that is migrating, and for each file

# The errors of CREATE OR REPLACE where the existing function or view has another result or other parameters.
_NOT_IN_PLACE = (
    asyncpg.InvalidFunctionDefinitionError,
    asyncpg.InvalidTableDefinitionError,
    asyncpg.AmbiguousFunctionError,
)

_CREATE_TABLES = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    sha256 text NOT NULL,
    applied_time timestamptz NOT NULL DEFAULT now()
);
-- At most one row: the version of the functions in force, and the functions and views that it created.
CREATE TABLE IF NOT EXISTS schema_functions (
    is_in_force boolean PRIMARY KEY DEFAULT true CHECK (is_in_force),
    version integer NOT NULL,
    sha256 text NOT NULL,
    functions text[] NOT NULL,
    views text[] NOT NULL,
    applied_time timestamptz NOT NULL DEFAULT now()
);
"""

_FIND_RECORDED = """
SELECT
    (SELECT coalesce(jsonb_object_agg(name, sha256), '{}') FROM schema_migrations) AS digests,
    coalesce(f.version, 0) AS version, f.sha256, coalesce(f.functions, '{}') AS functions,
    coalesce(f.views, '{}') AS views
FROM (SELECT) AS one_row LEFT JOIN schema_functions AS f ON true
"""

# What the current transaction created or replaced: xmin of a catalog row is the transaction that wrote it.
_FIND_MADE = """
SELECT
    ARRAY(
        SELECT oid::regprocedure::text FROM pg_proc WHERE xmin = pg_current_xact_id()::xid ORDER BY 1
    ) AS functions,
    ARRAY(
        SELECT oid::regclass::text FROM pg_class
        WHERE relkind = 'v' AND xmin = pg_current_xact_id()::xid ORDER BY 1
    ) AS views
"""

_RECORD_FUNCTIONS = """
INSERT INTO schema_functions (version, sha256, functions, views) VALUES ($1, $2, $3, $4)
ON CONFLICT (is_in_force) DO UPDATE SET
    version = excluded.version, sha256 = excluded.sha256, functions = excluded.functions,
    views = excluded.views, applied_time = excluded.applied_time
"""


class MigrationEdited(Exception):  # noqa: N818 - says what happened
    """A file was changed after it had been applied."""


@dataclass(frozen=True, slots=True)
class _Folded:
    """How a database with the old files is upgraded: `sql` takes the place of the versioned files up to
    `through`."""

    sql: str
    digests: dict[str, str]
    through: str


@dataclass(frozen=True, slots=True)
class _Schema:
    """What a directory contains: SQL by file name, in order."""

    versioned: dict[str, str]
    functions: dict[str, str]
    functions_version: int
    folded: _Folded | None

    @property
    def functions_digest(self) -> str:
        return _digest(json.dumps([self.functions_version, *self.functions.items()]))


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What was applied, according to the database."""

    digests: dict[str, str]
    functions_version: int
    functions_digest: str | None
    functions: list[str]
    views: list[str]

    def is_current(self, schema: _Schema) -> bool:
        return (
            not self.is_history_of(schema.folded)
            and not self.missing_files(schema)
            and self.has_functions_of(schema)
        )

    def is_history_of(self, folded: _Folded | None) -> bool:
        return folded is not None and self.digests == folded.digests

    def missing_files(self, schema: _Schema) -> list[str]:
        for name, sql in schema.versioned.items():
            if self.digests.get(name, _digest(sql)) != _digest(sql):
                raise MigrationEdited(
                    f"{name} has been applied and was edited since; write a new file instead"
                )
        return [name for name in schema.versioned if name not in self.digests]

    def has_functions_of(self, schema: _Schema) -> bool:
        """Whether the functions are the schema's, or those of a newer version, which older code can use."""
        return (
            self.functions_digest == schema.functions_digest
            or self.functions_version > schema.functions_version
            or not (schema.functions or self.functions)
        )


async def migrate(dsn: str, directory: Traversable | Path) -> list[str]:
    """Brings the database to the state of the directory, in one transaction; returns what was applied.

    If another instance is migrating, waits for it. Files and functions that only a newer version has are left
    unchanged. Raises MigrationEdited, or the PostgresError of a file that fails; then nothing has changed.
    """
    schema = _read(directory)
    connection = await asyncpg.connect(
        dsn, timeout=_CONNECT_TIMEOUT_SECONDS, command_timeout=_WAIT_SECONDS, statement_cache_size=0
    )
    try:
        with suppress(asyncpg.UndefinedTableError):  # nothing was ever applied
            recorded = await _find_recorded(connection)
            if recorded.is_current(schema):
                return []
        try:
            return await _migrate(connection, schema, drops_first=False)
        except _NOT_IN_PLACE:
            # Functions are dropped first only if they cannot be replaced, since a drop loses their grants.
            return await _migrate(connection, schema, drops_first=True)
    finally:
        await connection.close(timeout=_CONNECT_TIMEOUT_SECONDS)


async def _migrate(connection: Connection[Record], schema: _Schema, *, drops_first: bool) -> list[str]:
    async with connection.transaction(isolation="read_committed"):
        # A lock of the transaction works behind a pooler, and is released if this instance is killed.
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(_CREATE_TABLES)
        recorded = await _find_recorded(connection)
        if schema.folded and recorded.is_history_of(schema.folded):
            await _go_on_from(connection, schema, schema.folded)
            recorded = await _find_recorded(connection)
        applied = recorded.missing_files(schema)
        for name in applied:
            await _run(connection, name, schema.versioned[name])
            await _record(connection, name, schema.versioned[name])
        if not recorded.has_functions_of(schema):
            await _replace_functions(connection, schema, recorded, drops_first=drops_first)
            applied.append(FUNCTIONS)
        return applied


async def _go_on_from(connection: Connection[Record], schema: _Schema, folded: _Folded) -> None:
    await _run(connection, "folded.sql", folded.sql)
    await connection.execute("DELETE FROM schema_migrations")
    for name, sql in schema.versioned.items():
        if name <= folded.through:
            await _record(connection, name, sql)


async def _replace_functions(
    connection: Connection[Record], schema: _Schema, recorded: _Recorded, *, drops_first: bool
) -> None:
    if drops_first:
        for drop in _drops(recorded.views, recorded.functions):
            # A function that a trigger, for example, uses cannot be dropped: it is replaced in place.
            await connection.execute(
                f"DO $$ BEGIN {drop}; EXCEPTION WHEN dependent_objects_still_exist THEN NULL; END $$"
            )
    for name, sql in schema.functions.items():
        await _run(connection, f"{FUNCTIONS}/{name}", sql)
    made = await connection.fetchrow(_FIND_MADE)
    assert made is not None
    left = _drops(set(recorded.views) - set(made["views"]), set(recorded.functions) - set(made["functions"]))
    for drop in left:
        await connection.execute(drop)
    await connection.execute(
        _RECORD_FUNCTIONS, schema.functions_version, schema.functions_digest, made["functions"], made["views"]
    )


def _drops(views: list[str] | set[str], functions: list[str] | set[str]) -> Iterator[str]:
    """Views go first, since they may use functions."""
    yield from (f"DROP VIEW IF EXISTS {view}" for view in sorted(views))
    yield from (f"DROP ROUTINE IF EXISTS {function}" for function in sorted(functions))


async def _run(connection: Connection[Record], name: str, sql: str) -> None:
    with _named(name):
        await connection.execute(sql)
    if not connection.is_in_transaction():
        raise ValueError(f"{name} ends its own transaction: the runner does that")


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except asyncpg.PostgresError as error:
        error.add_note(f"in the migration {name}")
        raise


async def _record(connection: Connection[Record], name: str, sql: str) -> None:
    await connection.execute(
        "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)", name, _digest(sql)
    )


async def _find_recorded(connection: Connection[Record]) -> _Recorded:
    row = await connection.fetchrow(_FIND_RECORDED)
    assert row is not None
    return _Recorded(
        digests=json.loads(row["digests"]),
        functions_version=row["version"],
        functions_digest=row["sha256"],
        functions=row["functions"],
        views=row["views"],
    )


def _read(directory: Traversable | Path) -> _Schema:
    sql = _sql_files(directory)
    folder = directory.joinpath(FUNCTIONS)
    has_functions = folder.is_dir()
    return _Schema(
        versioned={name: text for name, text in sql.items() if re.match(r"\d{4}_", name)},
        functions=_sql_files(folder) if has_functions else {},
        functions_version=int(folder.joinpath("VERSION").read_text()) if has_functions else 0,
        folded=_folded(sql["folded.sql"]) if "folded.sql" in sql else None,
    )


def _sql_files(directory: Traversable | Path) -> dict[str, str]:
    entries = sorted(directory.iterdir(), key=lambda entry: entry.name)
    return {entry.name: entry.read_text("utf-8") for entry in entries if entry.name.endswith(".sql")}


def _folded(sql: str) -> _Folded:
    (through,) = re.findall(r"^-- through: (\S+)$", sql, re.MULTILINE)
    digests = re.findall(r"^-- folded: (\S+) ([0-9a-f]{64})$", sql, re.MULTILINE)
    return _Folded(sql=sql, digests=dict(digests), through=through)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
