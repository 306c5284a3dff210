"""Databases with the history before it was folded, and the parts of a schema."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from service_chassis.postgres.embedded import EmbeddedPostgres
from tests.conftest import cloned


@asynccontextmanager
async def restored(postgres: EmbeddedPostgres, service: str) -> AsyncIterator[str]:
    """A database as the earlier files left it, from a dump of one that was in use."""
    await postgres.ensure_database("empty_template", service)
    async with cloned(postgres, "empty_template", service) as dsn:
        dump = Path(__file__).with_name(f"{service}_before_folding.sql").read_text("utf-8")
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(dump)
        finally:
            await connection.close()
        yield dsn


async def fetch(dsn: str, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(sql, *arguments)]
    finally:
        await connection.close()


_PARTS_OF_A_SCHEMA = {
    "columns": """
        SELECT c.relname, row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), a.attname,
            format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated,
            pg_get_expr(d.adbin, d.adrelid), c.reloptions
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'c')
        ORDER BY 1, 2
    """,
    "constraints": """
        SELECT conrelid::regclass::text, contypid::regtype::text, conname, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2, 3
    """,
    "types": """
        SELECT typname, typtype, format_type(typbasetype, typtypmod), typnotnull, typdefault
        FROM pg_type WHERE typnamespace = 'public'::regnamespace ORDER BY 1
    """,
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public' ORDER BY 1",
    "functions": """
        SELECT oid::regprocedure::text, pg_get_functiondef(oid), obj_description(oid)
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1
    """,
    "triggers": """
        SELECT pg_get_triggerdef(oid), tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1
    """,
    "recorded files": "SELECT name, sha256 FROM schema_migrations ORDER BY 1",
    "recorded functions": "SELECT version, sha256, functions, views FROM schema_functions",
}


async def schema_of(dsn: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that the migrations create, by kind, except rows."""
    return {part: await fetch(dsn, sql) for part, sql in _PARTS_OF_A_SCHEMA.items()}
