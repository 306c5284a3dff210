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
from infin8.governor.v1.entry_pb2 import EntryKind
from service_chassis.refusal import Refusal
from workflow_service.app.settlement import (
    Settlements,
    correction_nano_usd,
    governor_failed,
    workflow_spent_nano_usd,
)
from workflow_service.clients.openrouter import (
    GenerationRecord,
    ModelCallFailed,
    OpenRouterClient,
    TokenUsage,
)
from workflow_service.domain.error_class import ErrorClass
from workflow_service.store.invocations import CallUsage, Invocation, Invocations, InvocationState, Response

T = TypeVar("T")

_PERSIST_SECONDS: Final = 30.0
_VOID_SECONDS: Final = 2.0
_VOID_REASON: Final = "the call was not sent, or was refused without charge"

_log = structlog.get_logger(__name__)


class CallEnder:
    """Raises Refusal if the journal cannot be written, StepFailed if the governor is unavailable."""

    def __init__(self, journal: Invocations, governor: GovernorClient, provider: OpenRouterClient) -> None:
        self._journal = journal
        self._governor = governor
        self._provider = provider
        self._settlements = Settlements(governor)

    async def respond_and_settle(self, row: Invocation, response: Response) -> Invocation | None:
        """Ends a DISPATCHED call. None if the row was taken over; its cost is settled in that case, too."""
        response = await self._with_the_providers_record(response)
        try:
            responded = await persist(lambda: self._journal.respond_if_dispatched(row, response))
        except Refusal:
            # The journal is unavailable, but the governor may be reached. Recovery finds the row DISPATCHED
            # and gets the same settlement.
            await self._settlements.settle(row, response)
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
        settlement = await self._settlements.settle(row, row.response)
        entry, cost_nano_usd = settlement.entry, settlement.entry.cost_nano_usd
        if entry.kind == EntryKind.ENTRY_KIND_ADJUSTMENT:
            # The hold had expired and was charged as unknown. This entry corrects that one.
            entry = (await self._settlements.settle(row, Response())).entry
            cost_nano_usd += entry.cost_nano_usd
        settled = await persist(
            lambda: self._journal.settle_if_responded(
                row,
                entry_id=UUID(entry.entry_id),
                cost_nano_usd=cost_nano_usd,
                workflow_spent_nano_usd=workflow_spent_nano_usd(settlement),
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
            await self._end_adopted(row)

    async def has_ended(self, row: Invocation) -> bool:
        """Whether the provider has a record of the call: it makes one at a call's end."""
        if row.response.generation_id is None:
            return False
        try:
            return await self._provider.generation(row.response.generation_id) is not None
        except ModelCallFailed:
            return False

    async def true_up(self, row: Invocation, record: GenerationRecord) -> None:
        """Corrects what a SETTLED row was charged as unknown to what the provider's record says."""
        response = _completed(row.response, record)
        if response.usage is not None:
            await self._correct(row, response)
        elif response.provider_cost_nano_usd is not None:
            await self._bill(row, response.provider_cost_nano_usd)

    async def _end_adopted(self, row: Invocation) -> None:
        match row.state:
            case InvocationState.REQUESTED | InvocationState.AUTHORIZED:
                await self.void(row, ErrorClass.LEASE_EXPIRED)
            case InvocationState.VOIDING:
                try:
                    await self._end_void(row)
                except GovernorUnavailableError as error:
                    raise governor_failed(error) from None
            case InvocationState.DISPATCHED:
                lost = Response(
                    error_class=ErrorClass.LEASE_EXPIRED, generation_id=row.response.generation_id
                )
                await self.respond_and_settle(row, lost)
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
        return response if record is None else _completed(response, record)

    async def _settle_late(self, row: Invocation, response: Response) -> None:
        """Settles with what is known after another worker took the row over and charged it as unknown."""
        if response.usage is not None:
            await self._correct(row, response)
        elif response.provider_cost_nano_usd is not None:
            # It counts if it comes before the new owner's settlement, which gets the same entry then.
            entry = (await self._settlements.settle(row, response)).entry
            if entry.kind == EntryKind.ENTRY_KIND_UNKNOWN:
                await self._bill(row, response.provider_cost_nano_usd)
        elif response.generation_id is not None:
            generation_id = response.generation_id
            await self._settled(row)
            await persist(lambda: self._journal.await_record_if_settled_unknown(row, generation_id))

    async def _correct(self, row: Invocation, response: Response) -> None:
        """Corrects a row that is, or is being, settled as unknown to its true usage."""
        usage = response.usage
        assert usage is not None
        settlement = await self._settlements.settle(row, response)
        await self._settled(row)
        # An entry that is no correction was posted before the new owner's settlement, which returns that
        # entry.
        await persist(
            lambda: self._journal.correct_if_settled_unknown(
                row,
                usage=usage,
                difference_nano_usd=correction_nano_usd(settlement.entry),
                workflow_spent_nano_usd=workflow_spent_nano_usd(settlement),
            )
        )

    async def _bill(self, row: Invocation, provider_cost_nano_usd: int) -> None:
        """Corrects a row that is, or is being, settled as unknown to the provider's bill."""
        settled = await self._settled(row)
        if settled is None:
            return
        entry = await self._settlements.bill(settled, provider_cost_nano_usd)
        await persist(
            lambda: self._journal.bill_if_settled_unknown(
                settled,
                provider_cost_nano_usd=provider_cost_nano_usd,
                difference_nano_usd=correction_nano_usd(entry),
            )
        )

    async def _settled(self, row: Invocation) -> Invocation | None:
        """The row as it is, once its settlement is in the journal; None while its new owner has no outcome.

        A new owner may have settled at the governor and not yet in the journal. Its write is made first, so
        that there is a row to correct.
        """
        present = await persist(lambda: self._journal.get(row.organization_id, row.request_id))
        if present is not None and present.state is InvocationState.RESPONDED:
            present = await self.settle(present)
        return present if present is not None and present.state is InvocationState.SETTLED else None

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
    """A read or write of the journal, repeated for half a minute while the database is unavailable."""
    async for attempt in stamina.retry_context(
        on=_is_database_trouble, timeout=_PERSIST_SECONDS, attempts=None
    ):
        with attempt:
            return await move()
    raise AssertionError("stamina lets the last exception through")


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


def _completed(response: Response, record: GenerationRecord) -> Response:
    """The response with what the provider's record says of it."""
    return replace(
        response,
        served_model=response.served_model or record.served_model,
        usage=call_usage(record.usage),
        provider_cost_nano_usd=_greater(response.provider_cost_nano_usd, record.provider_cost_nano_usd),
    )


def _is_database_trouble(error: Exception) -> bool:
    return isinstance(error, Refusal) and error.reason in ("DATABASE_UNAVAILABLE", "OVERLOADED")


def _greater(one: int | None, other: int | None) -> int | None:
    known = [cost for cost in (one, other) if cost is not None]
    return max(known, default=None)
