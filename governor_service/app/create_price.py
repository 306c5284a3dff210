"""Enters versions of prices. What was in force stays (functions/75_create_price.sql)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from governor_service.domain import errors
from governor_service.domain.pricing import Price
from governor_service.listings import Listing
from governor_service.store import prices
from service_chassis.postgres.database import Connection, Database
from service_chassis.refusal import Refusal, invalid_field


async def create_price(
    database: Database,
    listing: Listing,
    *,
    effective_time: datetime | None,
    author: str,
    request_id: UUID | None,
    content_hash: bytes,
) -> Price:
    """A version that begins at a time (None: now), entered once for a request_id.

    Refuses with INVALID_FIELD on effective_time, or REQUEST_ID_REUSED.
    """
    return await database.write(
        lambda connection: enter_version(
            connection,
            listing,
            effective_time=effective_time,
            author=author,
            request_id=request_id,
            content_hash=content_hash,
        )
    )


async def enter_version(
    connection: Connection,
    listing: Listing,
    *,
    effective_time: datetime | None,
    author: str,
    request_id: UUID | None = None,
    content_hash: bytes | None = None,
) -> Price:
    """As `create_price`, within a transaction, for those who enter several together."""
    outcome, price_id = await prices.create_price(
        connection,
        listing,
        effective_time=effective_time,
        author=author,
        request_id=request_id,
        content_hash=content_hash,
    )
    if price_id is None:
        raise _refusal(outcome)
    price = await prices.price_by_id(connection, price_id)
    assert price is not None
    return price


def _refusal(outcome: str) -> Refusal:
    match outcome:
        case "SAME_INSTANT":
            return invalid_field("effective_time", "another version of the model's price begins at that time")
        case "ALREADY_IN_FORCE":
            return invalid_field(
                "effective_time",
                "has passed, and the model had a price then: a version begins now or later, or before the "
                "model's first",
            )
        case _:
            return errors.request_id_reused()
