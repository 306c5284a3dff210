"""Settles calls at the governor, and corrects what they were charged."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from uuid import uuid5

import structlog

from governor_client import GovernorClient, GovernorUnavailableError
from infin8.governor.v1.budget_pb2 import BudgetScope
from infin8.governor.v1.entry_pb2 import EntryKind, LedgerEntry, Usage
from infin8.governor.v1.governor_service_pb2 import Settlement
from service_chassis.refusal import Refusal
from workflow_service.app.step_failed import StepFailed
from workflow_service.domain.error_class import ErrorClass
from workflow_service.store.invocations import CallUsage, Invocation, Response

_SETTLE_SECONDS: Final = 30.0
_BILLED: Final = "the provider's bill became known"

_log = structlog.get_logger(__name__)


class Settlements:
    """Everything here may be repeated, by anybody: the governor has at most one entry for each hold."""

    def __init__(self, governor: GovernorClient) -> None:
        self._governor = governor

    async def settle(self, row: Invocation, response: Response) -> Settlement:
        """Settles the row's hold with `response`. Raises StepFailed if the governor is unavailable.

        What the governor refuses of the provider's words and figures is left out; the rest counts. The
        call has to be charged once, and the same response always ends in the same settlement.
        """
        assert row.authorization_id is not None, "what was dispatched has its hold"
        while True:
            try:
                return await self._governor.settle(
                    organization_id=row.organization_id,
                    authorization_id=row.authorization_id,
                    usage=_usage(response.usage),
                    served_model=response.served_model or "",
                    provider_cost_nano_usd=response.provider_cost_nano_usd,
                    provider_generation_id=response.generation_id or "",
                    timeout_seconds=_SETTLE_SECONDS,
                )
            except Refusal as refusal:
                accepted = _without_refused(response, refusal)
                if isinstance(refusal, GovernorUnavailableError) or accepted == response:
                    raise governor_failed(refusal) from None
                _log.warning(
                    "settlement_refused",
                    request_id=str(row.request_id),
                    reason=refusal.reason,
                    fields=[field.field for field in refusal.fields],
                )
                response = accepted

    async def bill(self, row: Invocation, provider_cost_nano_usd: int) -> LedgerEntry:
        """Corrects what a SETTLED row was charged as unknown to the provider's bill."""
        assert row.entry_id is not None, "what is settled has its entry"
        try:
            return await self._governor.adjust(
                organization_id=row.organization_id,
                request_id=uuid5(row.request_id, "bill"),
                entry_id=row.entry_id,
                corrected_cost_nano_usd=provider_cost_nano_usd,
                reason=_BILLED,
                timeout_seconds=_SETTLE_SECONDS,
            )
        except Refusal as refusal:
            raise governor_failed(refusal) from None


def correction_nano_usd(entry: LedgerEntry) -> int:
    """What the entry added to an earlier one; 0 if it corrects none."""
    return entry.cost_nano_usd if entry.kind == EntryKind.ENTRY_KIND_ADJUSTMENT else 0


def governor_failed(refusal: Refusal) -> StepFailed:
    """How the step fails after the governor refused Authorize, Settle or Void."""
    if isinstance(refusal, GovernorUnavailableError):
        error_class = ErrorClass.GOVERNOR_UNAVAILABLE
    elif refusal.reason == "BUDGET_EXCEEDED":
        error_class = ErrorClass.BUDGET_DENIED
    else:
        error_class = ErrorClass.GOVERNOR_REFUSED
    return StepFailed(error_class, refusal.reason, refusal.message)


def _usage(usage: CallUsage | None) -> Usage | None:
    if usage is None:
        return None
    return Usage(
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        requests=usage.requests,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        other_units=usage.other_units,
    )


def _without_refused(response: Response, refusal: Refusal) -> Response:
    """The response without the fields that the governor refuses; as it is if none of them can be left out.

    The plain tokens stay for as long as only other units, or what is kept for an hour, are refused. A refusal
    that names no field is that of a hold that has ended: an unknown outcome returns its entry.
    """
    if not refusal.fields:
        return replace(response, usage=None)
    for name in {violation.field.partition(".")[0] for violation in refusal.fields}:
        match name:
            case "served_model":
                response = replace(response, served_model=None)
            case "provider_generation_id":
                response = replace(response, generation_id=None)
            case "provider_cost_nano_usd":
                response = replace(response, provider_cost_nano_usd=None)
            case "usage":
                response = replace(response, usage=_plainer(response.usage))
            case _:
                pass
    return response


def _plainer(usage: CallUsage | None) -> CallUsage | None:
    if usage is None or not (usage.other_units or usage.cache_write_1h_tokens):
        return None
    return replace(usage, other_units={}, cache_write_1h_tokens=0)


def workflow_spent_nano_usd(settlement: Settlement) -> int | None:
    for budget in settlement.budgets:
        if budget.scope == BudgetScope.BUDGET_SCOPE_WORKFLOW:
            return budget.spent_nano_usd
    return None
