"""Model ids and prices, between requests and the domain."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from governor_service.api import parse
from governor_service.domain.model_id import ModelId
from governor_service.domain.model_names import is_priceable
from governor_service.domain.pricing import (
    EXACT_PER,
    PRICE_NANO_USD_PER_MTOK_MAX,
    RATE_NANO_USD_MAX,
    RATES_MAX,
    REQUEST_NANO_USD_MAX,
    Price,
    Rate,
)
from governor_service.domain.usage import TOKENS_MAX
from governor_service.domain.usage_units import UNITS
from governor_service.listings import Listing
from infin8.governor.v1 import price_pb2, pricing_service_pb2
from service_chassis.content_hash import content_hash, labels_content
from service_chassis.refusal import invalid_field
from service_chassis.rpc.fields import Fields


def listing(fields: Fields, request: pricing_service_pb2.CreatePriceRequest) -> tuple[Listing, ModelId]:
    """The price to add to the price book, by the model's general name, and the model as it is named."""

    def component(name: str) -> int:
        maximum = REQUEST_NANO_USD_MAX if name == "request_nano_usd" else PRICE_NANO_USD_PER_MTOK_MAX
        return fields.integer(name, getattr(request, name), minimum=0, maximum=maximum)

    def optional_component(name: str) -> int | None:
        return component(name) if request.HasField(name) else None  # type: ignore[arg-type] # a name of its own

    model = parse.model(fields, "model", request.model)
    if not is_priceable(model.general_name):
        fields.invalid("model", "is not a model id")
    rates = _rates(fields, request.rates)
    try:
        listed = Listing(
            model=model.general_name,
            price_context=fields.labels("price_context", request.price_context),
            rates=rates,
            input_nano_usd_per_mtok=component("input_nano_usd_per_mtok"),
            cached_input_nano_usd_per_mtok=optional_component("cached_input_nano_usd_per_mtok"),
            cache_write_nano_usd_per_mtok=optional_component("cache_write_nano_usd_per_mtok"),
            output_nano_usd_per_mtok=component("output_nano_usd_per_mtok"),
            reasoning_nano_usd_per_mtok=optional_component("reasoning_nano_usd_per_mtok"),
            request_nano_usd=component("request_nano_usd"),
            source=parse.reason(fields, "source", request.source, required=False).strip() or "CreatePrice",
        )
    except ValueError as error:
        # The bounds of each component and rate have been checked. What is left is that everything is free, or
        # that the rates do not fit together.
        raise invalid_field("rates" if rates else "input_nano_usd_per_mtok", str(error)) from None
    return listed, model


def _rates(fields: Fields, sent: Sequence[price_pb2.Rate]) -> tuple[Rate, ...]:
    """Rates, each within its bounds."""
    if len(sent) > RATES_MAX:
        fields.invalid("rates", f"has more than {RATES_MAX} rates")
        return ()
    rates = []
    for place, rate in enumerate(sent):
        path = f"rates[{place}]"
        if rate.unit not in UNITS:
            fields.invalid(f"{path}.unit", "is not a usage key")
        figures = {
            name: fields.integer(f"{path}.{name}", getattr(rate, name), minimum=minimum, maximum=maximum)
            for name, minimum, maximum in (
                ("per", 1, EXACT_PER),
                ("nano_usd", 0, RATE_NANO_USD_MAX),
                ("input_tokens_above", 0, TOKENS_MAX),
            )
        }
        if fields.all_good:
            try:
                rates.append(Rate(unit=rate.unit, **figures))
            except ValueError as error:
                fields.invalid(path, str(error))
    return tuple(rates)


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
        rates="\n".join(sorted(map(_rate_content, listing.rates))),
        price_context=labels_content(listing.price_context),
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
        provider=price.provider,
        rates=[
            price_pb2.Rate(
                unit=rate.unit,
                per=rate.per,
                nano_usd=rate.nano_usd,
                input_tokens_above=rate.input_tokens_above,
            )
            for rate in price.rates
        ],
        price_context=price.price_context,
    )
    if price.daily_start is not None and price.daily_end is not None:
        message.daily_start.FromTimedelta(_since_midnight(price.daily_start))
        message.daily_end.FromTimedelta(_since_midnight(price.daily_end))
    message.effective_time.FromDatetime(price.effective_time)
    return message


def _rate_content(rate: Rate) -> str:
    return f"{rate.input_tokens_above} {rate.unit} {rate.per} {rate.nano_usd}"


def _since_midnight(value: time) -> timedelta:
    return datetime.combine(date.min, value) - datetime.combine(date.min, time.min)
