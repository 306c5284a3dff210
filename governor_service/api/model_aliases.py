"""What model ids mean, and operators' own names of models, between messages and the domain."""

from __future__ import annotations

from collections.abc import Sequence

from governor_service.api import parse, render
from governor_service.app.resolve_model import ResolvedModel
from governor_service.domain.model_aliases import ModelAlias
from governor_service.domain.model_names import candidate_names
from infin8.governor.v1 import pricing_service_pb2
from service_chassis.rpc.fields import Fields


def why(sent: str, resolved: ResolvedModel) -> Sequence[str]:
    """The steps from an id to the model that it means, for people to read."""
    if resolved.alias is not None:
        return [f"alias {resolved.alias.alias}, set by {resolved.alias.author}"]
    resolution = candidate_names(sent)
    chosen = resolved.model if resolved.model in resolution.names else resolution.names[-1]
    return resolution.steps_of(resolution.names.index(chosen))


def alias(fields: Fields, value: str) -> str:
    """An operator's name of a model, as the first of an id's names is written."""
    return candidate_names(parse.model_id(fields, "alias", value)).names[0]


def alias_message(value: ModelAlias) -> pricing_service_pb2.ModelAlias:
    return pricing_service_pb2.ModelAlias(
        alias=value.alias,
        model=value.model or "",
        author=value.author,
        update_time=render.timestamp(value.update_time),
    )
