"""Reads the ledger."""

from __future__ import annotations

from governor_service.domain.ledger import EntryFilter, LedgerEntry
from governor_service.store import records
from governor_service.store.prices import resolve_model
from service_chassis.postgres.database import Connection
from service_chassis.postgres.queries import load_queries

QUERIES = load_queries(__package__, "ledger.sql")


async def list_entries(
    connection: Connection, entries: EntryFilter, *, after_sequence: int, limit: int
) -> list[LedgerEntry]:
    """At most `limit` entries after a sequence, by sequence."""
    model = entries.model and await resolve_model(connection, entries.model, None)
    rows = await connection.fetch(
        QUERIES["list_entries"],
        entries.organization_id,
        after_sequence,
        entries.workflow_id,
        model,
        entries.kind and entries.kind.value,
        entries.flag and entries.flag.value,
        entries.label,
        entries.month and f"{entries.month:%Y-%m}",
        entries.start_time,
        entries.end_time,
        limit,
    )
    return [records.entry(row["entry"]) for row in rows]
