"""Freezes, between messages and the domain."""

from __future__ import annotations

from governor_service.api import parse, render
from governor_service.domain.organizations import Freeze, FreezeTarget
from infin8.governor.v1 import budget_service_pb2
from service_chassis.refusal import invalid_field
from service_chassis.rpc import fields


def freeze_target(request: budget_service_pb2.SetFreezeRequest) -> FreezeTarget:
    """What to freeze, or to lift the freeze of."""
    match request.WhichOneof("target"):
        case "organization_id":
            return FreezeTarget(
                organization_id=fields.required_uuid("organization_id", request.organization_id)
            )
        case "model":
            return FreezeTarget(model=parse.model("model", request.model))
        case "everything":
            if not request.everything:
                raise invalid_field("everything", "is true or unset")
            return FreezeTarget()
        case _:
            raise invalid_field("target", "organization_id, model or everything is required")


def freeze_reason(request: budget_service_pb2.SetFreezeRequest) -> str:
    """Required for lifting, too."""
    return fields.text("reason", request.reason, max_length=parse.REASON_LENGTH_MAX, multiline=True)


def freeze_message(value: Freeze) -> budget_service_pb2.Freeze:
    message = budget_service_pb2.Freeze(
        frozen=value.frozen,
        reason=value.reason,
        author=value.author,
        update_time=render.timestamp(value.update_time),
    )
    if value.target.organization_id is not None:
        message.organization_id = str(value.target.organization_id)
    elif value.target.model is not None:
        message.model = value.target.model
    else:
        message.everything = True
    return message
