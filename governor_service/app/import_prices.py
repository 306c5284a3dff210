"""Updates the price book from a price list: shows what differs, and adds versions for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import zip_longest

from governor_service.app.compare_prices import Comparison, PriceChange, compare
from governor_service.listings import Listing, PriceList
from governor_service.store import prices
from service_chassis.postgres.database import Connection, Database
from service_chassis.refusal import Refusal


async def compare_price_list(
    database: Database, price_list: PriceList, *, replaces_hand_set: bool
) -> Comparison:
    """What the list would change in the price book as it is now."""
    async with database.read() as connection:
        comparison, _ = await _compared(connection, price_list, replaces_hand_set=replaces_hand_set)
    return comparison


async def record_comparison(database: Database, price_list: PriceList, *, author: str) -> None:
    """Records that the price book was found to be as the list says."""

    async def work(connection: Connection) -> None:
        await prices.record_check(connection, source=price_list.source, changes=0, author=author)

    await database.write(work)


async def write_changes(
    database: Database, price_list: PriceList, seen: Comparison, *, author: str, replaces_hand_set: bool
) -> int:
    """Makes the changes that somebody has seen, all or none, and records that the price book is now as the
    list says. Returns the number of versions.

    Refuses with STATE_CONFLICT if others would have to be made: somebody else has changed the price book, or
    a version has begun.
    """

    async def work(connection: Connection) -> int:
        await prices.lock_price_book(connection)
        found, now = await _compared(connection, price_list, replaces_hand_set=replaces_hand_set)
        for ours, theirs in zip_longest(found.changes, seen.changes):
            if ours != theirs:
                model = (ours or theirs).model
                raise Refusal("STATE_CONFLICT", f"the price of {model} has changed since the comparison")
        await _write(connection, price_list, found, now, author)
        return len(found.changes)

    return await database.write(work)


async def write_price_list(connection: Connection, price_list: PriceList, *, author: str) -> Comparison:
    """Makes all changes that the list would make, within the caller's transaction, which has locked the price
    book. What was set by hand is kept."""
    found, now = await _compared(connection, price_list, replaces_hand_set=False)
    await _write(connection, price_list, found, now, author)
    return found


async def _compared(
    connection: Connection, price_list: PriceList, *, replaces_hand_set: bool
) -> tuple[Comparison, datetime]:
    now = await prices.now(connection)
    comparison = compare(
        await prices.all_prices(connection),
        await prices.alternate_names(connection),
        price_list,
        now,
        replaces_hand_set=replaces_hand_set,
    )
    return comparison, now


async def _write(
    connection: Connection, price_list: PriceList, comparison: Comparison, now: datetime, author: str
) -> None:
    await prices.enter_prices(connection, _versions(comparison.changes, now), author=author)
    await prices.enter_alternate_names(connection, comparison.alternate_names)
    await prices.record_check(
        connection, source=price_list.source, changes=len(comparison.changes), author=author
    )


def _versions(changes: Sequence[PriceChange], now: datetime) -> list[Listing]:
    return [
        replace(row, effective_time=change.effective_time or now)
        for change in changes
        for row in change.after
    ]
