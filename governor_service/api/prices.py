"""Model ids and prices, between requests and the domain."""

from governor_service.domain.pricing import Price
from infin8.governor.v1 import price_pb2
from service_chassis import fields
from service_chassis.refusal import invalid_field

MODEL_LENGTH_MAX = 200


def model_id(path: str, value: str) -> str:
    """Any variant of a model's id: up to 200 characters, none of them white space."""
    fields.text(path, value, max_length=MODEL_LENGTH_MAX)
    if any(character.isspace() for character in value):
        raise invalid_field(path, "has white space")
    return value


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
