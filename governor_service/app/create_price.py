"""CreatePrice: adds a version of a price. Earlier versions stay (functions/75_create_price.sql)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from governor_service.domain import errors
from governor_service.domain.model_id import ModelId
from governor_service.domain.pricing import Price
from governor_service.domain.unusual_prices import unusual_rates
from governor_service.listings import Listing
from governor_service.listings.genai_prices_listings import listed_price
from governor_service.store import prices
from service_chassis.postgres.database import Connection, Database
from service_chassis.refusal import Refusal, invalid_field


async def create_price(
    database: Database,
    listing: Listing,
    model: ModelId,
    *,
    effective_time: datetime | None,
    author: str,
    request_id: UUID | None,
    content_hash: bytes,
    allow_unusual: bool,
) -> Price:
    """Adds a version of `model` that takes effect at a time (None: now), once for each request_id.

    Refuses with INVALID_FIELD on effective_time, or on a rate that is unusual; or with REQUEST_ID_REUSED.
    """

    async def work(connection: Connection) -> Price:
        await prices.lock_price_book(connection)
        name = await prices.resolve_model(connection, model, effective_time)
        before = await prices.price_at_time(connection, name, listing.price_context, effective_time)
        outcome, price_id = await prices.create_price(
            connection,
            replace(listing, model=name),
            effective_time=effective_time,
            author=author,
            request_id=request_id,
            content_hash=content_hash,
        )
        if price_id is None:
            raise _refusal(outcome)
        if outcome == "CREATED" and not allow_unusual:
            # Raised within the transaction, which takes the version back.
            _refuse_unusual(listing, before, listed_price(name, listing.price_context))
        price = await prices.price_by_id(connection, price_id)
        assert price is not None
        return price

    return await database.write(work)


def _refuse_unusual(listing: Listing, before: Price | None, listed: Listing | None) -> None:
    for name in unusual_rates(listing, [before, listed]):
        if name in dict(listing.components()):
            field, what = name, "it"
        elif name == "cost":
            field, what = "input_nano_usd_per_mtok", "the cost of an ordinary call"
        else:
            field, what = "rates", name
        raise invalid_field(
            field,
            f"makes {what} more than ten times dearer or cheaper than until now or in the shipped list: set "
            "allow_unusual if it is meant",
        )


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
