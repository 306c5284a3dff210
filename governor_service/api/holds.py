"""Requests about holds → domain.

Each function makes every check that needs only the message. One Refusal names all bad fields.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from governor_service.api import parse
from governor_service.domain import authorization as holds
from governor_service.domain.authorization import (
    AuthorizationFilter,
    AuthorizationState,
    ExpiryAction,
    Extension,
    HoldRequest,
    HoldTarget,
    PlannedCall,
    authorization_id_of,
)
from governor_service.domain.ledger import SettleRequest
from governor_service.domain.usage import REQUESTS_MAX, TOKENS_MAX
from infin8.governor.v1 import authorization_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from service_chassis.rpc.fields import Fields

GENERATION_ID_LENGTH_MAX = 200
BEFORE_ALL = datetime.min.replace(tzinfo=UTC), UUID(int=0)
"""The creation time and id that the first page of holds begins after."""

_HOLD_DURATION_MIN = timedelta(seconds=1)


def hold_request(request: governor_pb2.AuthorizeRequest) -> HoldRequest:
    """A request for a hold."""
    with Fields() as fields:
        return HoldRequest(
            request_id=fields.required_uuid("request_id", request.request_id),
            call=_planned_call(fields, request),
            hold_duration=_hold_duration(fields, request),
            on_expiry=_on_expiry(fields, request),
        )


def budget_check(request: governor_pb2.CheckBudgetRequest) -> PlannedCall:
    """The call to check. Also refuses the other fields that Authorize would refuse."""
    with Fields() as fields:
        _hold_duration(fields, request)
        _on_expiry(fields, request)
        return _planned_call(fields, request)


def _planned_call(
    fields: Fields, request: governor_pb2.AuthorizeRequest | governor_pb2.CheckBudgetRequest
) -> PlannedCall:
    output_tokens_max = fields.integer(
        "output_tokens_max", request.output_tokens_max, minimum=1, maximum=TOKENS_MAX
    )
    output_tokens_min = None
    if request.HasField("output_tokens_min"):
        output_tokens_min = fields.integer(
            "output_tokens_min", request.output_tokens_min, minimum=1, maximum=TOKENS_MAX
        )
        if output_tokens_min > output_tokens_max:
            fields.invalid("output_tokens_min", "is above output_tokens_max")
    requests_max = 1
    if request.HasField("requests_max"):
        requests_max = fields.integer("requests_max", request.requests_max, minimum=1, maximum=REQUESTS_MAX)
    return PlannedCall(
        organization_id=fields.required_uuid("organization_id", request.organization_id),
        workflow_id=fields.required_uuid("workflow_id", request.workflow_id),
        models=parse.candidates(fields, "models", request.models),
        input_tokens_max=fields.integer(
            "input_tokens_max", request.input_tokens_max, minimum=1, maximum=TOKENS_MAX
        ),
        output_tokens_max=output_tokens_max,
        output_tokens_min=output_tokens_min,
        requests_max=requests_max,
        cache_write_tokens_max=_optional_tokens(fields, request, "cache_write_tokens_max"),
        cache_write_1h_tokens_max=_optional_tokens(fields, request, "cache_write_1h_tokens_max"),
        other_units_max=parse.other_units(fields, "other_units_max", request.other_units_max),
        price_context=parse.price_context(fields, request),
        labels=fields.labels("labels", request.labels),
    )


def _optional_tokens(
    fields: Fields,
    request: governor_pb2.AuthorizeRequest | governor_pb2.CheckBudgetRequest,
    name: Literal["cache_write_tokens_max", "cache_write_1h_tokens_max"],
) -> int | None:
    if not request.HasField(name):
        return None
    return fields.integer(name, getattr(request, name), minimum=0, maximum=TOKENS_MAX)


def _hold_duration(
    fields: Fields, request: governor_pb2.AuthorizeRequest | governor_pb2.CheckBudgetRequest
) -> timedelta:
    duration = fields.duration(
        "hold_duration",
        request,
        "hold_duration",
        minimum=_HOLD_DURATION_MIN,
        maximum=holds.HOLD_DURATION_MAX,
    )
    return duration or holds.HOLD_DURATION_DEFAULT


def _on_expiry(
    fields: Fields, request: governor_pb2.AuthorizeRequest | governor_pb2.CheckBudgetRequest
) -> ExpiryAction:
    action = fields.optional_enum(
        "on_expiry", request.on_expiry, authorization_pb2.ExpiryAction, "EXPIRY_ACTION_", ExpiryAction
    )
    return action or ExpiryAction.RELEASE


def settle_request(request: governor_pb2.SettleRequest, *, author: str) -> SettleRequest:
    """What a call used, or that its outcome is unknown."""
    with Fields() as fields:
        outcome = request.WhichOneof("outcome")
        if outcome is None:
            fields.invalid("outcome", "needs usage or unknown_outcome")
        return SettleRequest(
            organization_id=fields.required_uuid("organization_id", request.organization_id),
            authorization_id=fields.required_uuid("authorization_id", request.authorization_id),
            served_model=parse.model(fields, "served_model", request.served_model)
            if request.served_model
            else None,
            price_context=parse.price_context(fields, request),
            usage=parse.usage(fields, "usage", request.usage) if outcome == "usage" else None,
            provider_cost_nano_usd=parse.provider_cost(fields, request),
            provider_generation_id=fields.text(
                "provider_generation_id",
                request.provider_generation_id,
                max_length=GENERATION_ID_LENGTH_MAX,
                required=False,
            ),
            author=author,
        )


def hold_target(
    fields: Fields, request: governor_pb2.VoidRequest | governor_pb2.GetAuthorizationRequest
) -> HoldTarget:
    """A hold by its id, or by the request_id it was authorized with."""
    organization_id = fields.required_uuid("organization_id", request.organization_id)
    if request.WhichOneof("target") == "request_id":
        request_id = fields.required_uuid("request_id", request.request_id)
        return HoldTarget(
            organization_id=organization_id,
            authorization_id=authorization_id_of(request_id),
            request_id=request_id,
        )
    if not request.authorization_id:
        fields.invalid("authorization_id", "is required unless request_id is given")
    return HoldTarget(
        organization_id=organization_id,
        authorization_id=fields.required_uuid("authorization_id", request.authorization_id),
        request_id=None,
    )


def extension(request: governor_pb2.ExtendRequest) -> Extension:
    """A hold and its new expire_time."""
    with Fields() as fields:
        return Extension(
            organization_id=fields.required_uuid("organization_id", request.organization_id),
            authorization_id=fields.required_uuid("authorization_id", request.authorization_id),
            expire_time=fields.required_timestamp("expire_time", request, "expire_time"),
        )


def authorization_filter(
    fields: Fields, request: governor_pb2.ListAuthorizationsRequest
) -> AuthorizationFilter:
    """The filter of ListAuthorizations."""
    return AuthorizationFilter(
        organization_id=fields.required_uuid("organization_id", request.organization_id),
        state=fields.optional_enum(
            "state",
            request.state,
            authorization_pb2.AuthorizationState,
            "AUTHORIZATION_STATE_",
            AuthorizationState,
        ),
        workflow_id=fields.optional_uuid("workflow_id", request.workflow_id),
        created_before=fields.timestamp("created_before", request, "created_before"),
    )
