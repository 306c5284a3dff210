"""Freezes, between messages and the domain."""

from __future__ import annotations

from uuid import UUID

from governor_service.api import parse, render
from governor_service.domain.model_id import ModelId
from governor_service.domain.organizations import Freeze, FreezeTarget
from infin8.governor.v1 import budget_service_pb2
from service_chassis.content_hash import content_hash
from service_chassis.rpc.fields import Fields


def freeze_target(
    fields: Fields, request: budget_service_pb2.SetFreezeRequest
) -> tuple[FreezeTarget, ModelId | None]:
    """What is frozen or unfrozen; a model by its general name, and as the request names it."""
    match request.WhichOneof("target"):
        case "organization_id":
            organization_id = fields.required_uuid("organization_id", request.organization_id)
            return FreezeTarget(organization_id=organization_id), None
        case "model":
            model = parse.model(fields, "model", request.model)
            return FreezeTarget(model=model.general_name), model
        case "everything":
            if not request.everything:
                fields.invalid("everything", "must be true or unset")
        case _:
            fields.invalid("target", "organization_id, model or everything is required")
    return FreezeTarget(), None


def freeze_content_hash(target: FreezeTarget, *, frozen: bool, reason: str) -> bytes:
    """Distinguishes a replay of a `request_id` from its reuse. `allow_unpriced` does not count."""
    return content_hash(
        organization_id=target.organization_id, model=target.model, frozen=frozen, reason=reason
    )


def freeze_position(value: Freeze) -> tuple[UUID, str]:
    """The position of a freeze in the list of all freezes."""
    return value.target.organization_id or UUID(int=0), value.target.model or ""


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
