"""ListEntries: what was spent, line by line."""

from __future__ import annotations

from governor_service.domain.ledger import EntryFilter, LedgerEntry
from governor_service.store import ledger
from service_chassis.postgres.database import Database


async def list_entries(
    database: Database, entries: EntryFilter, *, after_sequence: int, limit: int
) -> list[LedgerEntry]:
    """At most `limit` entries after a sequence."""
    async with database.read() as connection:
        return await ledger.list_entries(connection, entries, after_sequence=after_sequence, limit=limit)
