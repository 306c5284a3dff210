"""Migrations: plain `.sql` files, run whole and in order, each in one transaction."""

from __future__ import annotations

import hashlib
from importlib.resources.abc import Traversable
from pathlib import Path

import asyncpg

_LOCK = 0x6D696772617465  # "migrate"
_CONNECT_TIMEOUT_SECONDS = 10.0
_WAIT_SECONDS = 600.0  # for another instance that is migrating, and for each file

_CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    sha256 text NOT NULL,
    applied_time timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationEdited(Exception):  # noqa: N818 - says what happened
    """A file that has been applied is no longer what it was."""


async def migrate(dsn: str, directory: Traversable | Path) -> list[str]:
    """Applies the files that the database has not seen, by name, and returns their names.

    Who comes while another instance migrates waits for it. Files that only the database knows are left
    alone: a newer version has been here, and its migrations fit the older code. MigrationEdited before
    anything is applied; PostgresError for a file that fails, which then left nothing.
    """
    files = _files(directory)
    connection = await asyncpg.connect(
        dsn, timeout=_CONNECT_TIMEOUT_SECONDS, command_timeout=_WAIT_SECONDS, statement_cache_size=0
    )
    try:
        # Of the session, not of a transaction: it covers all files, and a killed instance loses it.
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute(_CREATE_TABLE)
        rows = await connection.fetch("SELECT name, sha256 FROM schema_migrations")
        applied = {row["name"]: row["sha256"] for row in rows}
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        for name, digest in digests.items():
            if applied.get(name, digest) != digest:
                raise MigrationEdited(
                    f"{name} has been applied and was edited since; write a new file instead"
                )
        missing = [name for name in files if name not in applied]
        for name in missing:
            await _apply(connection, name, files[name].decode(), digests[name])
        return missing
    finally:
        await connection.close(timeout=_CONNECT_TIMEOUT_SECONDS)


def _files(directory: Traversable | Path) -> dict[str, bytes]:
    entries = sorted(directory.iterdir(), key=lambda entry: entry.name)
    return {entry.name: entry.read_bytes() for entry in entries if entry.name.endswith(".sql")}


async def _apply(connection: asyncpg.Connection[asyncpg.Record], name: str, sql: str, digest: str) -> None:
    await connection.execute("BEGIN")
    await connection.execute(sql)
    if not connection.is_in_transaction():
        raise ValueError(f"{name} ends its own transaction: the runner does that")
    await connection.execute("INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)", name, digest)
    await connection.execute("COMMIT")
