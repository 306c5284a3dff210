"""Fields that several requests have: models, usage, months, labels, reasons.

Each function records a bad value in `fields`, under the field's path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from google.protobuf.message import Message

from governor_service.domain.authorization import CANDIDATES_MAX
from governor_service.domain.model_id import ModelId
from governor_service.domain.model_names import candidate_names
from governor_service.domain.money import ENTRY_COST_NANO_USD_MAX
from governor_service.domain.organizations import ChangeRequest
from governor_service.domain.usage import REQUESTS_MAX, TOKENS_MAX, Usage, count_max
from governor_service.domain.usage_units import COUNTED_UNITS, UNITS
from infin8.governor.v1 import budget_service_pb2, entry_pb2, pricing_service_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from service_chassis.refusal import Refusal, invalid_field
from service_chassis.rpc.fields import Fields
from service_chassis.text import REASON_LENGTH_MAX

MODEL_LENGTH_MAX = 200
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

_TOKENS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)


def model_id(fields: Fields, path: str, value: str) -> str:
    """Any variant of a model's id: up to 200 characters, none of them white space."""
    model = fields.text(path, value, max_length=MODEL_LENGTH_MAX)
    if any(character.isspace() for character in model):
        fields.invalid(path, "has white space")
    return model


def model(fields: Fields, path: str, value: str) -> ModelId:
    """A model, by any of its ids."""
    try:
        return _model(path, value)
    except Refusal as refusal:
        fields.refused(refusal)
        return ModelId(("",))


@lru_cache(maxsize=4096)
def _model(path: str, value: str) -> ModelId:
    """Raises INVALID_FIELD."""
    with Fields() as fields:
        text = model_id(fields, path, value)
    names = candidate_names(text).names
    if names[-1][:1] in ("", ":", "@"):
        raise invalid_field(path, "is not a model id")
    return ModelId(names)


def candidates(fields: Fields, path: str, values: Sequence[str]) -> tuple[ModelId, ...]:
    """Models in order of preference."""
    if not values:
        fields.invalid(path, "needs at least one model")
    if len(values) > CANDIDATES_MAX:
        fields.invalid(path, f"has more than {CANDIDATES_MAX} models")
        return ()
    return tuple(
        dict.fromkeys([model(fields, f"{path}[{place}]", value) for place, value in enumerate(values)])
    )


def price_context(
    fields: Fields,
    request: governor_pb2.AuthorizeRequest
    | governor_pb2.CheckBudgetRequest
    | governor_pb2.SettleRequest
    | governor_pb2.RecordUsageRequest,
) -> Mapping[str, str]:
    """Which variant of a price applies: keys and values with the bounds of labels."""
    # Almost always empty. Asking is much cheaper than copying nothing.
    return fields.labels("price_context", request.price_context) if request.price_context else NOTHING


def other_units(fields: Fields, path: str, sent: Mapping[str, int]) -> Mapping[str, int]:
    """Counts of units that have no field of their own, by their usage keys. Counts of 0 are left out."""
    if not sent:
        return NOTHING
    counts = {}
    for unit in sorted(sent):
        if unit not in UNITS or unit in COUNTED_UNITS:
            fields.invalid(path, "has a key that is not the usage key of another unit")
            continue
        count = fields.integer(f"{path}[{unit}]", sent[unit], minimum=0, maximum=count_max(unit))
        if count:
            counts[unit] = count
    return counts


def usage(fields: Fields, path: str, sent: entry_pb2.Usage) -> Usage:
    """Counts within their bounds, and parts that do not exceed their totals."""
    (
        input_tokens,
        cached_input_tokens,
        cache_write_tokens,
        cache_write_1h_tokens,
        output_tokens,
        reasoning_tokens,
    ) = [
        fields.integer(f"{path}.{name}", getattr(sent, name), minimum=0, maximum=TOKENS_MAX)
        for name in _TOKENS
    ]
    requests = fields.integer(f"{path}.requests", sent.requests, minimum=0, maximum=REQUESTS_MAX)
    others = other_units(fields, f"{path}.other_units", sent.other_units)
    if cached_input_tokens > input_tokens:
        fields.invalid(f"{path}.cached_input_tokens", "is above input_tokens")
    elif cached_input_tokens + cache_write_tokens > input_tokens:
        fields.invalid(f"{path}.cache_write_tokens", "is, with cached_input_tokens, above input_tokens")
    if cache_write_1h_tokens > cache_write_tokens:
        fields.invalid(f"{path}.cache_write_1h_tokens", "is above cache_write_tokens")
    if reasoning_tokens > output_tokens:
        fields.invalid(f"{path}.reasoning_tokens", "is above output_tokens")
    if fields.all_good:
        try:
            return Usage(
                input_tokens=input_tokens,
                cached_input_tokens=cached_input_tokens,
                cache_write_tokens=cache_write_tokens,
                cache_write_1h_tokens=cache_write_1h_tokens,
                output_tokens=output_tokens,
                reasoning_tokens=reasoning_tokens,
                requests=requests,
                other_units=others,
            )
        except ValueError as error:
            # Each count is good. What is left is that parts among the other units exceed their whole.
            fields.invalid(f"{path}.other_units", str(error))
    return Usage(input_tokens=0, output_tokens=0)


def provider_cost(
    fields: Fields, request: governor_pb2.SettleRequest | governor_pb2.RecordUsageRequest
) -> int | None:
    """The cost that the provider reported, in nano-USD; None if it reported none."""
    if not request.HasField("provider_cost_nano_usd"):
        return None
    return fields.integer(
        "provider_cost_nano_usd", request.provider_cost_nano_usd, minimum=0, maximum=ENTRY_COST_NANO_USD_MAX
    )


def month(fields: Fields, path: str, message: Message, field: str) -> date | None:
    """The first day of the UTC month that a timestamp falls in; None if it is unset."""
    time = fields.timestamp(path, message, field)
    return time.date().replace(day=1) if time else None


def label(fields: Fields, path: str, value: str) -> tuple[str, str]:
    """The key and value of a `key=value` text, with the bounds of a hold's labels."""
    key, equals, text = value.partition("=")
    if not equals or not key:
        fields.invalid(path, "is not key=value")
    fields.labels(path, {key: text})
    return key, text


def reason(fields: Fields, path: str, value: str, *, required: bool) -> str:
    """Free text: line breaks and tabs are accepted."""
    return fields.text(path, value, max_length=REASON_LENGTH_MAX, required=required, multiline=True)


def change_request(
    fields: Fields,
    request: budget_service_pb2.SetOrganizationRequest
    | budget_service_pb2.SetTierRequest
    | budget_service_pb2.SetFreezeRequest
    | pricing_service_pb2.SetModelAliasRequest
    | pricing_service_pb2.DeleteModelAliasRequest,
    *,
    author: str,
    content_hash: bytes,
) -> ChangeRequest:
    """The author of a change, with its `request_id` and the hash of its content."""
    return ChangeRequest(
        author=author,
        request_id=fields.optional_uuid("request_id", request.request_id),
        content_hash=content_hash,
    )
