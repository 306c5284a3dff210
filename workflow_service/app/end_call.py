"""Ends the hold of a model call: settles it with what the call used, or voids it if the call used nothing.

Everything here may be repeated, by any worker: the governor has at most one entry for each hold.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar
from uuid import UUID

import stamina
import structlog

from governor_client import GovernorClient, GovernorUnavailableError
from infin8.governor.v1.budget_pb2 import BudgetScope
from infin8.governor.v1.entry_pb2 import EntryKind, Usage
from infin8.governor.v1.governor_service_pb2 import Settlement
from service_chassis.refusal import Refusal
from workflow_service.app.step_failed import StepFailed
from workflow_service.clients.openrouter import ModelCallFailed, OpenRouterClient, TokenUsage
from workflow_service.domain.error_class import ErrorClass
from workflow_service.store.invocations import CallUsage, Invocation, Invocations, InvocationState, Response

T = TypeVar("T")

_PERSIST_SECONDS: Final = 30.0
_SETTLE_SECONDS: Final = 30.0
_VOID_SECONDS: Final = 2.0
_VOID_REASON: Final = "the call was not sent, or was refused without charge"

_log = structlog.get_logger(__name__)


class CallEnder:
    """Raises Refusal if the journal cannot be written, StepFailed if the governor is unavailable."""

    def __init__(self, journal: Invocations, governor: GovernorClient, provider: OpenRouterClient) -> None:
        self._journal = journal
        self._governor = governor
        self._provider = provider

    async def respond_and_settle(self, row: Invocation, response: Response) -> Invocation | None:
        """Ends a DISPATCHED call. None if the row was taken over; its cost is settled in that case, too."""
        response = await self._with_the_providers_record(response)
        try:
            responded = await persist(lambda: self._journal.respond_if_dispatched(row, response))
        except Refusal:
            # The journal is unavailable, but the governor may be reached. Recovery finds the row DISPATCHED
            # and gets the same settlement.
            await self._settle_at_governor(row, response)
            raise
        if responded is None:
            # Perhaps the commit succeeded, and only its answer was lost.
            responded = await persist(lambda: self._journal.get(row.organization_id, row.request_id))
            if responded is None or (responded.state, responded.epoch) != (
                InvocationState.RESPONDED,
                row.epoch,
            ):
                await self._settle_late(row, response)
                return None
        return await self.settle(responded)

    async def settle(self, row: Invocation) -> Invocation:
        """Ends a RESPONDED call."""
        settlement = await self._settle_at_governor(row, row.response)
        entry, cost_nano_usd = settlement.entry, settlement.entry.cost_nano_usd
        if entry.kind == EntryKind.ENTRY_KIND_ADJUSTMENT:
            # The hold had expired and was charged as unknown. This entry corrects that one.
            entry = (await self._settle_at_governor(row, Response())).entry
            cost_nano_usd += entry.cost_nano_usd
        settled = await persist(
            lambda: self._journal.settle_if_responded(
                row,
                entry_id=UUID(entry.entry_id),
                cost_nano_usd=cost_nano_usd,
                workflow_spent_nano_usd=_workflow_spent_nano_usd(settlement),
            )
        )
        if settled is None:
            settled = await self._journal.get(row.organization_id, row.request_id)
        assert settled is not None, "a journal row is never deleted"
        return settled

    async def void(
        self, row: Invocation, error_class: ErrorClass, *, generation_id: str | None = None
    ) -> None:
        """Ends a call that cost nothing.

        If the governor is unavailable, the row stays VOIDING, and a later `end_open` ends it.
        """
        voiding = await persist(
            lambda: self._journal.void_if_unanswered(row, error_class, generation_id=generation_id)
        )
        if voiding is None:
            # Perhaps the commit succeeded, and only its answer was lost.
            voiding = await self._journal.get(row.organization_id, row.request_id)
        if voiding is not None and voiding.state is InvocationState.VOIDING:
            try:
                await self._end_void(voiding)
            except GovernorUnavailableError:
                _log.warning("hold_not_voided_yet", request_id=str(row.request_id))

    async def end_open(self, rows: Sequence[Invocation]) -> None:
        """Ends the calls that earlier holders of the step's lease left open, and that were adopted from them.

        A REQUESTED or AUTHORIZED call was never sent. The answer to a DISPATCHED call is lost. A RESPONDED
        row has everything that its settlement needs.
        """
        for row in rows:
            match row.state:
                case InvocationState.REQUESTED | InvocationState.AUTHORIZED:
                    await self.void(row, ErrorClass.LEASE_EXPIRED)
                case InvocationState.VOIDING:
                    try:
                        await self._end_void(row)
                    except GovernorUnavailableError as error:
                        raise governor_failed(error) from None
                case InvocationState.DISPATCHED:
                    await self.respond_and_settle(row, Response(error_class=ErrorClass.LEASE_EXPIRED))
                case InvocationState.RESPONDED:
                    await self.settle(row)

    async def _with_the_providers_record(self, response: Response) -> Response:
        """Fills in a missing usage from the provider's own record of the call, if there is one."""
        if response.usage is not None or response.generation_id is None:
            return response
        try:
            record = await self._provider.generation(response.generation_id)
        except ModelCallFailed:
            return response
        if record is None:
            return response
        return Response(
            answer=response.answer,
            error_class=response.error_class,
            served_model=response.served_model or record.served_model,
            generation_id=response.generation_id,
            usage=call_usage(record.usage),
            provider_cost_nano_usd=_greater(response.provider_cost_nano_usd, record.provider_cost_nano_usd),
        )

    async def _settle_at_governor(self, row: Invocation, response: Response) -> Settlement:
        """What the governor refuses of the provider's words and figures is left out; the rest counts.

        The call has to be charged once, and the same response always ends in the same settlement.
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

    async def _settle_late(self, row: Invocation, response: Response) -> None:
        """Settles with the true usage after another worker took the row over and charged it as unknown."""
        if response.usage is None:
            if response.provider_cost_nano_usd is not None:
                # The cost alone counts if it comes before the new owner's settlement.
                await self._settle_at_governor(row, response)
            return
        usage = response.usage
        settlement = await self._settle_at_governor(row, response)
        present = await persist(lambda: self._journal.get(row.organization_id, row.request_id))
        if present is not None and present.state is InvocationState.RESPONDED:
            # The new owner has settled at the governor and not yet in the journal. Its write is made first,
            # so that there is a row to correct.
            await self.settle(present)
        # An entry that is no correction was posted before the new owner's settlement, which returns that
        # entry.
        is_correction = settlement.entry.kind == EntryKind.ENTRY_KIND_ADJUSTMENT
        await persist(
            lambda: self._journal.correct_if_settled_unknown(
                row,
                usage=usage,
                difference_nano_usd=settlement.entry.cost_nano_usd if is_correction else 0,
                workflow_spent_nano_usd=_workflow_spent_nano_usd(settlement),
            )
        )

    async def _end_void(self, row: Invocation) -> None:
        """Raises GovernorUnavailableError."""
        try:
            await self._governor.void(
                organization_id=row.organization_id,
                request_id=row.request_id,
                reason=_VOID_REASON,
                timeout_seconds=_VOID_SECONDS,
            )
        except GovernorUnavailableError:
            raise
        except Refusal as refusal:
            if refusal.reason != "AUTHORIZATION_NOT_PENDING":
                raise governor_failed(refusal) from None
            await self._record_charged_void(row)
            return
        await persist(lambda: self._journal.end_void_if_voiding(row))

    async def _record_charged_void(self, row: Invocation) -> None:
        """Records that the hold expired, and was charged as unknown, before it could be voided."""
        authorization = await self._governor.get_authorization(
            organization_id=row.organization_id, request_id=row.request_id
        )
        settlement = await self._governor.settle(
            organization_id=row.organization_id,
            authorization_id=UUID(authorization.authorization_id),
            usage=None,
        )
        await persist(
            lambda: self._journal.settle_if_voiding(
                row,
                authorization_id=UUID(authorization.authorization_id),
                model=authorization.model,
                held_nano_usd=authorization.held_nano_usd,
                entry_id=UUID(settlement.entry.entry_id),
                cost_nano_usd=settlement.entry.cost_nano_usd,
            )
        )


async def persist(move: Callable[[], Awaitable[T]]) -> T:
    """A journal write that must not be lost: retried for half a minute while the database is unavailable."""
    async for attempt in stamina.retry_context(
        on=_is_database_trouble, timeout=_PERSIST_SECONDS, attempts=None
    ):
        with attempt:
            return await move()
    raise AssertionError("stamina lets the last exception through")


def governor_failed(refusal: Refusal) -> StepFailed:
    """How the step fails after the governor refused Authorize, Settle or Void."""
    if isinstance(refusal, GovernorUnavailableError):
        error_class = ErrorClass.GOVERNOR_UNAVAILABLE
    elif refusal.reason == "BUDGET_EXCEEDED":
        error_class = ErrorClass.BUDGET_DENIED
    else:
        error_class = ErrorClass.GOVERNOR_REFUSED
    return StepFailed(error_class, refusal.reason, refusal.message)


def call_usage(usage: TokenUsage | None) -> CallUsage | None:
    """As the journal keeps it. Each call is one request."""
    if usage is None:
        return None
    return CallUsage(
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        requests=1,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        other_units=usage.other_units,
    )


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


def _workflow_spent_nano_usd(settlement: Settlement) -> int | None:
    for budget in settlement.budgets:
        if budget.scope == BudgetScope.BUDGET_SCOPE_WORKFLOW:
            return budget.spent_nano_usd
    return None


def _is_database_trouble(error: Exception) -> bool:
    return isinstance(error, Refusal) and error.reason in ("DATABASE_UNAVAILABLE", "OVERLOADED")


def _greater(one: int | None, other: int | None) -> int | None:
    known = [cost for cost in (one, other) if cost is not None]
    return max(known, default=None)
