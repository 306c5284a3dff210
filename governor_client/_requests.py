"""The requests of both clients, and the options of their channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, NotRequired, TypedDict, Unpack
from uuid import UUID

from infin8.governor.v1.authorization_pb2 import ExpiryAction
from infin8.governor.v1.entry_pb2 import Usage
from infin8.governor.v1.governor_service_pb2 import (
    AuthorizeRequest,
    GetAuthorizationRequest,
    SettleRequest,
    UnknownOutcome,
    VoidRequest,
)
from service_chassis.text import as_free_text

TIMEOUT_SECONDS_DEFAULT: Final = 10.0

CHANNEL_OPTIONS: Final = (
    # `_retry` retries, with one request_id and one deadline.
    ("grpc.enable_retries", 0),
    # By default it takes up to two minutes to notice that the governor is back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Notices, during a call, that the governor vanished without closing the connection.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)


class PlannedCall(TypedDict):
    """The model call that a hold is placed for. Token bounds are totals over all of its requests."""

    organization_id: UUID
    workflow_id: UUID
    models: Sequence[str]
    """In order of preference."""
    input_tokens_max: int
    output_tokens_max: int
    output_tokens_min: NotRequired[int | None]
    """If the budget is too small for `output_tokens_max`, at least so many are granted."""
    requests_max: NotRequired[int | None]
    hold_duration: NotRequired[timedelta | None]
    on_expiry: NotRequired[ExpiryAction.ValueType]
    labels: NotRequired[Mapping[str, str] | None]
    cache_write_tokens_max: NotRequired[int | None]
    """Unset: any input token may be written to the provider's cache, and is held at that price."""
    cache_write_1h_tokens_max: NotRequired[int | None]
    """Unset: any of those may be kept for an hour."""
    other_units_max: NotRequired[Mapping[str, int] | None]
    """By genai-prices' usage keys, such as {"web_searches": 5}. What is not named is not held."""
    price_context: NotRequired[Mapping[str, str] | None]
    """Selects a variant of the price: {"processing": "batch"}."""


class Outcome(TypedDict):
    """What a provider reports of a call beside its usage."""

    served_model: NotRequired[str]
    """Unset: the granted model."""
    provider_cost_nano_usd: NotRequired[int | None]
    """Of a call whose usage is unknown, this alone is charged."""
    provider_generation_id: NotRequired[str]
    price_context: NotRequired[Mapping[str, str] | None]
    """The variant of the price that the provider applied. Unset: that of the hold."""


def authorize_request(request_id: UUID, **call: Unpack[PlannedCall]) -> AuthorizeRequest:
    request = AuthorizeRequest(
        organization_id=str(call["organization_id"]),
        workflow_id=str(call["workflow_id"]),
        request_id=str(request_id),
        models=call["models"],
        input_tokens_max=call["input_tokens_max"],
        output_tokens_max=call["output_tokens_max"],
        output_tokens_min=call.get("output_tokens_min"),
        requests_max=call.get("requests_max"),
        on_expiry=call.get("on_expiry", ExpiryAction.EXPIRY_ACTION_UNSPECIFIED),
        labels=call.get("labels") or {},
        cache_write_tokens_max=call.get("cache_write_tokens_max"),
        cache_write_1h_tokens_max=call.get("cache_write_1h_tokens_max"),
        other_units_max=call.get("other_units_max") or {},
        price_context=call.get("price_context") or {},
    )
    hold_duration = call.get("hold_duration")
    if hold_duration is not None:
        request.hold_duration.FromTimedelta(hold_duration)
    return request


def settle_request(
    organization_id: UUID | str,
    authorization_id: UUID | str,
    usage: Usage | None,
    **outcome: Unpack[Outcome],
) -> SettleRequest:
    """`usage` None means unknown."""
    return SettleRequest(
        organization_id=str(organization_id),
        authorization_id=str(authorization_id),
        served_model=outcome.get("served_model", ""),
        usage=usage,
        unknown_outcome=UnknownOutcome() if usage is None else None,
        provider_cost_nano_usd=outcome.get("provider_cost_nano_usd"),
        provider_generation_id=outcome.get("provider_generation_id", ""),
        price_context=outcome.get("price_context") or {},
    )


def void_request(organization_id: UUID | str, request_id: UUID | str, reason: str) -> VoidRequest:
    """`reason` may be any text: it is shortened and cleaned, so that it cannot prevent the void."""
    return VoidRequest(
        organization_id=str(organization_id), request_id=str(request_id), reason=as_free_text(reason)
    )


def get_authorization_request(organization_id: UUID, request_id: UUID) -> GetAuthorizationRequest:
    return GetAuthorizationRequest(organization_id=str(organization_id), request_id=str(request_id))
