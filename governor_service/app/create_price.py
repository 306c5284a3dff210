"""CreatePrice: adds a version of a price. Earlier versions stay (functions/75_create_price.sql)."""

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
    """Adds a version that takes effect at a time (None: now), once for each request_id.

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
    """Like `create_price`, but within the caller's transaction, which may add several versions."""
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
                "has passed, and the model had a price then: choose now, a later time, or a time before the "
                "model's first version",
            )
        case _:
            return errors.request_id_reused()
