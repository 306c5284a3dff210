"""Model ids and prices, between requests and the domain."""

from datetime import UTC, datetime
from functools import lru_cache

from governor_service.api import parse
from governor_service.domain.model_names import canonical_model, is_priceable
from governor_service.domain.pricing import PRICE_NANO_USD_PER_MTOK_MAX, REQUEST_NANO_USD_MAX, Price
from governor_service.listings import Listing
from infin8.governor.v1 import price_pb2, pricing_service_pb2
from service_chassis.content_hash import content_hash
from service_chassis.refusal import invalid_field
from service_chassis.rpc.fields import Fields


def listing(fields: Fields, request: pricing_service_pb2.CreatePriceRequest) -> Listing:
    """The price to add to the price book, for the canonical model."""

    def component(name: str) -> int:
        maximum = REQUEST_NANO_USD_MAX if name == "request_nano_usd" else PRICE_NANO_USD_PER_MTOK_MAX
        return fields.integer(name, getattr(request, name), minimum=0, maximum=maximum)

    def optional_component(name: str) -> int | None:
        return component(name) if request.HasField(name) else None  # type: ignore[arg-type] # a name of its own

    model = canonical_model(parse.model_id(fields, "model", request.model)).model
    if not is_priceable(model):
        fields.invalid("model", "is not a model id")
    try:
        return Listing(
            model=model,
            input_nano_usd_per_mtok=component("input_nano_usd_per_mtok"),
            cached_input_nano_usd_per_mtok=optional_component("cached_input_nano_usd_per_mtok"),
            cache_write_nano_usd_per_mtok=optional_component("cache_write_nano_usd_per_mtok"),
            output_nano_usd_per_mtok=component("output_nano_usd_per_mtok"),
            reasoning_nano_usd_per_mtok=optional_component("reasoning_nano_usd_per_mtok"),
            request_nano_usd=component("request_nano_usd"),
            source=parse.reason(fields, "source", request.source, required=False).strip() or "CreatePrice",
        )
    except ValueError as error:
        # The bounds of each component have been checked. The only error left is that everything is free.
        raise invalid_field("input_nano_usd_per_mtok", str(error)) from None


def effective_time(fields: Fields, request: pricing_service_pb2.CreatePriceRequest) -> datetime | None:
    """When the price takes effect; None: now."""
    time = fields.timestamp("effective_time", request, "effective_time")
    # asyncpg sends the latest time that Python knows as infinity.
    if time == datetime.max.replace(tzinfo=UTC):
        fields.invalid("effective_time", "is too late")
    return time


def price_content_hash(listing: Listing, effective_time: datetime | None) -> bytes:
    """Distinguishes a replay of a `request_id` from its reuse."""
    return content_hash(
        model=listing.model,
        **dict(listing.components()),
        effective_time=effective_time,
        source=listing.source,
    )


@lru_cache(maxsize=4096)
def price_message(price: Price) -> price_pb2.Price:
    message = price_pb2.Price(
        price_id=str(price.price_id),
        model=price.model,
        input_nano_usd_per_mtok=price.input_nano_usd_per_mtok,
        cached_input_nano_usd_per_mtok=price.cached_input_nano_usd_per_mtok,
        cache_write_nano_usd_per_mtok=price.cache_write_nano_usd_per_mtok,
        output_nano_usd_per_mtok=price.output_nano_usd_per_mtok,
        reasoning_nano_usd_per_mtok=price.reasoning_nano_usd_per_mtok,
        request_nano_usd=price.request_nano_usd,
        source=price.source,
        author=price.author,
    )
    message.effective_time.FromDatetime(price.effective_time)
    return message
