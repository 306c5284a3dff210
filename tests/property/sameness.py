"""What an operation means. Two requests with one request_id are the same if they mean the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from governor_service.domain.usage import Usage
from tests.property.books import canonical
from tests.property.operations import (
    Authorize,
    Call,
    CreatePrice,
    DeleteModelAlias,
    Operation,
    RecordUsage,
    SetFreeze,
    SetModelAlias,
    SetTier,
    Settle,
)


def meaning(operation: Operation) -> Operation:
    """The operation with models by their canonical names and with defaults filled in.

    The granted model, which an empty `served` of a Settle stands for, is known to the hold alone.
    """
    match operation:
        case Authorize():
            return replace(
                operation,
                call=_call(operation.call),
                duration=operation.duration or timedelta(minutes=10),
                on_expiry=operation.on_expiry or "RELEASE",
            )
        case Settle():
            return replace(operation, served=canonical(operation.served), usage=_usage(operation.usage))
        case RecordUsage():
            usage = _usage(operation.usage)
            assert usage is not None
            return replace(operation, served=canonical(operation.served), usage=usage)
        case CreatePrice():
            return replace(operation, model=canonical(operation.model), allow_unusual=True)
        case SetModelAlias(model=model, alias=alias):
            return replace(operation, model=canonical(model), alias=alias.lower())
        case DeleteModelAlias(alias=alias):
            return replace(operation, alias=alias.lower())
        case SetTier():
            models = sorted({canonical(model) for model in operation.allowed_models})
            basis = operation.cost_basis or "GREATER"
            return replace(operation, allowed_models=tuple(models), cost_basis=basis)
        case SetFreeze(model=str(model)):
            return replace(operation, model=canonical(model))
    return operation


def _call(call: Call) -> Call:
    minimum = call.output_tokens_min
    return replace(
        call,
        models=tuple(dict.fromkeys(canonical(model) for model in call.models)),
        output_tokens_min=None if minimum == call.output_tokens else minimum,
        requests=call.requests or 1,
        labels=tuple(sorted(call.labels)),
    )


def _usage(usage: Usage | None) -> Usage | None:
    return usage and replace(usage, requests=usage.requests or 1)
