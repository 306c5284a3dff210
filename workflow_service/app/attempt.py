"""One attempt at a governed model call: authorize → dispatch → settle or void.

Each attempt is a row of the journal and a hold of its own (I7). Nothing is sent without an authorization
(I14).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from pydantic import BaseModel

from governor_client import GovernorClient, GovernorUnavailableError
from infin8.governor.v1.authorization_pb2 import Authorization, ExpiryAction
from service_chassis.refusal import Refusal
from workflow_service.app.end_call import CallEnder, call_usage, persist
from workflow_service.app.max_price import max_price
from workflow_service.app.settlement import governor_failed
from workflow_service.clients.openrouter import (
    ChargeKind,
    Completion,
    CompletionRequest,
    ModelCallFailed,
    OpenRouterClient,
)
from workflow_service.clients.openrouter_types import TokenUsage
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.output_tokens import OutputTokens
from workflow_service.domain.workflow import Lease
from workflow_service.steps.model_step import Item, ModelStep, Prompt, UnusableAnswerError
from workflow_service.store.invocations import (
    CallUsage,
    Invocation,
    Invocations,
    InvocationState,
    Response,
    request_id,
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AttemptAnswered:
    """`model` is the granted one."""

    model: str
    answer: BaseModel


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """An attempt without a usable answer. Its hold has ended. `model` is the granted one."""

    model: str
    error_class: ErrorClass
    message: str
    retry_after_seconds: float | None = None
    answer: str = ""
    """The text that does not parse."""
    output_tokens_max: int | None = None
    """As granted, where the call was sent."""


@dataclass(frozen=True, slots=True)
class CallServices:
    """What attempts work with; one per process."""

    journal: Invocations
    governor: GovernorClient
    provider: OpenRouterClient
    ender: CallEnder
    hold_duration: timedelta
    authorize_timeout_seconds: float


class _GenerationNote:
    """Writes the provider's id of a call into the journal while the answer is still on its way.

    If this process is killed before the answer is there, the provider's record can be looked up by it.
    """

    def __init__(self, journal: Invocations, row: Invocation) -> None:
        self._journal = journal
        self._row = row
        self._writing: asyncio.Task[object] | None = None

    def begin(self, generation_id: str) -> None:
        self._writing = asyncio.create_task(
            self._journal.note_generation_if_dispatched(self._row, generation_id)
        )

    async def end(self) -> None:
        """A note that failed is only logged: the answer names the call, too."""
        if self._writing is None:
            return
        [outcome] = await asyncio.gather(self._writing, return_exceptions=True)
        if isinstance(outcome, Exception):
            _log.warning("generation_not_noted", request_id=str(self._row.request_id))


@dataclass(frozen=True, slots=True)
class Attempt:
    """`number` is the attempt's ordinal for its step and item. `models` are in order of preference."""

    services: CallServices
    lease: Lease
    step: ModelStep[Any, Any, Any, Any]
    item: Item[Any]
    prompt: Prompt
    number: int
    models: Sequence[str]
    output: OutputTokens

    async def run(self) -> AttemptAnswered | AttemptFailed:
        """The parsed answer, or why there is none.

        Raises StepFailed; Refusal LEASE_LOST, DATABASE_UNAVAILABLE.
        """
        journal, ender = self.services.journal, self.services.ender
        requested = await self._request()
        authorization = await self._authorize(requested)
        authorized = await self._record_hold(requested, authorization)
        try:
            dispatched = await self._moved(
                InvocationState.DISPATCHED, lambda: journal.dispatch_if_authorized_and_leased(authorized)
            )
        except Refusal:
            # The commit may have succeeded, but nothing was sent.
            await ender.void(authorized, ErrorClass.INTERNAL)
            raise
        if dispatched is None:
            await ender.void(authorized, ErrorClass.LEASE_EXPIRED)
            raise _lease_lost()
        # From here on the call may cost money, so every path below ends the hold.
        note = _GenerationNote(journal, dispatched)
        try:
            completion = await self.services.provider.complete(
                self._completion_request(authorization), note_generation=note.begin
            )
        except ModelCallFailed as failed:
            return await self._end_failed(dispatched, authorization, failed)
        except Exception:
            # A bug of ours, and the request may have been sent. (A cancellation, when the process stops,
            # leaves the row DISPATCHED. The next holder of the step ends it.)
            await ender.respond_and_settle(dispatched, Response(error_class=ErrorClass.INTERNAL))
            raise
        finally:
            await note.end()
        return await self._end_answered(dispatched, authorization, completion)

    async def _request(self) -> Invocation:
        row = await self._moved(
            InvocationState.REQUESTED,
            lambda: self.services.journal.request_if_leased(
                self.lease.organization_id,
                self.lease.workflow_id,
                self.lease.step,
                self.item.name,
                self.number,
                epoch=self.lease.epoch,
                models=self.models,
            ),
        )
        if row is None:
            raise _lease_lost()
        return row

    async def _moved(
        self, state: InvocationState, move: Callable[[], Awaitable[Invocation | None]]
    ) -> Invocation | None:
        """The row after a move to `state`, which is repeated while the database is away; None if it failed.

        Nobody else moves the row at this epoch. So if it is in `state` already, the commit succeeded and only
        its answer was lost.
        """
        moved = await persist(move)
        if moved is not None:
            return moved
        name = request_id(self.lease.workflow_id, self.lease.step, self.item.name, self.number)
        present = await persist(lambda: self.services.journal.get(self.lease.organization_id, name))
        if present is not None and (present.state, present.epoch) == (state, self.lease.epoch):
            return present
        return None

    async def _authorize(self, row: Invocation) -> Authorization:
        try:
            return await self.services.governor.authorize(
                organization_id=row.organization_id,
                workflow_id=row.workflow_id,
                request_id=row.request_id,
                models=row.requested_models,
                input_tokens_max=self.prompt.input_tokens_max,
                output_tokens_max=self.output.at_most,
                output_tokens_min=self.output.at_least,
                # Cache writes are not bounded: OpenAI (since GPT-5.6) and Moonshot write to their caches, and
                # bill that, without being asked. An hour's lifetime needs asking for, at Anthropic and at
                # Moonshot. Searches have no bound either: requests have no tools, and what a model searches
                # for by itself, nobody can tell beforehand.
                cache_write_1h_tokens_max=0,
                hold_duration=self.services.hold_duration,
                on_expiry=ExpiryAction.EXPIRY_ACTION_CHARGE,
                labels={"step": row.step.value},
                timeout_seconds=self.services.authorize_timeout_seconds,
            )
        except GovernorUnavailableError as unavailable:
            await self.services.ender.void(row, ErrorClass.GOVERNOR_UNAVAILABLE)
            raise governor_failed(unavailable) from None
        except Refusal as refusal:
            failed = governor_failed(refusal)
            await self.services.journal.deny_if_requested(row, failed.error.error_class)
            raise failed from None

    async def _record_hold(self, row: Invocation, authorization: Authorization) -> Invocation:
        try:
            authorized = await self._moved(
                InvocationState.AUTHORIZED,
                lambda: self.services.journal.authorize_if_requested(
                    row,
                    authorization_id=UUID(authorization.authorization_id),
                    model=authorization.model,
                    held_nano_usd=authorization.held_nano_usd,
                    output_tokens_max=authorization.output_tokens_max,
                ),
            )
        except Refusal:
            await self.services.ender.void(row, ErrorClass.INTERNAL)
            raise
        if authorized is None:
            # Another worker took the row over, and voids the hold by its request_id.
            raise _lease_lost()
        return authorized

    def _completion_request(self, authorization: Authorization) -> CompletionRequest:
        return CompletionRequest(
            model=authorization.model,
            messages=self.prompt.messages,
            max_tokens=authorization.output_tokens_max,
            max_price=max_price(authorization),
            temperature=self.step.temperature,
            response_format=self.prompt.response_format,
            user=authorization.organization_id,
        )

    async def _end_failed(
        self, row: Invocation, authorization: Authorization, failed: ModelCallFailed
    ) -> AttemptFailed:
        charge = failed.charge
        if charge.kind is ChargeKind.NOT_CHARGED:
            await self.services.ender.void(row, failed.error_class, generation_id=charge.generation_id)
        else:
            await self._settle(
                row,
                Response(
                    error_class=failed.error_class,
                    served_model=charge.served_model,
                    generation_id=charge.generation_id,
                    usage=_charged_usage(charge.usage, charge.provider_cost_nano_usd, authorization),
                    provider_cost_nano_usd=charge.provider_cost_nano_usd,
                ),
            )
        return self._failed(row, failed.error_class, failed.message, failed.retry_after_seconds)

    async def _end_answered(
        self, row: Invocation, authorization: Authorization, completion: Completion
    ) -> AttemptAnswered | AttemptFailed:
        answer: BaseModel | None = None
        unusable: UnusableAnswerError | None = None
        try:
            answer = self.step.parse(self.item.payload, completion.text)
        except UnusableAnswerError as error:
            unusable = error
            if completion.is_cut_off and error.error_class is ErrorClass.UNPARSABLE_RESULT:
                unusable = UnusableAnswerError(ErrorClass.OUTPUT_LIMIT_REACHED, "the answer was cut off")
        await self._settle(
            row,
            Response(
                answer=completion.text if unusable is None else None,
                error_class=None if unusable is None else unusable.error_class,
                served_model=completion.served_model,
                generation_id=completion.generation_id,
                usage=_charged_usage(completion.usage, completion.provider_cost_nano_usd, authorization),
                provider_cost_nano_usd=completion.provider_cost_nano_usd,
            ),
        )
        if unusable is not None:
            return self._failed(row, unusable.error_class, str(unusable), None, answer=completion.text)
        assert answer is not None
        return AttemptAnswered(authorization.model, answer)

    async def _settle(self, row: Invocation, response: Response) -> None:
        if await self.services.ender.respond_and_settle(row, response) is None:
            raise _lease_lost()

    def _failed(
        self,
        row: Invocation,
        error_class: ErrorClass,
        message: str,
        retry_after_seconds: float | None,
        *,
        answer: str = "",
    ) -> AttemptFailed:
        _log.warning(
            "model_call_failed",
            workflow_id=str(row.workflow_id),
            step=row.step.value,
            item=row.item,
            attempt=row.attempt,
            model=row.model,
            error_class=error_class.value,
        )
        return AttemptFailed(
            row.model or row.requested_models[0],
            error_class,
            message,
            retry_after_seconds,
            answer,
            row.output_tokens_max,
        )


def _charged_usage(
    usage: TokenUsage | None, provider_cost_nano_usd: int | None, authorization: Authorization
) -> CallUsage | None:
    """None where the bill alone is to be charged.

    A provider that used nothing and bills nothing did not charge its fee for the request either, but a usage
    would be rated with the fee.
    """
    used_nothing = usage is not None and usage.input_tokens == usage.output_tokens == 0
    if used_nothing and provider_cost_nano_usd == 0 and max_price(authorization).request_nano_usd:
        return None
    return call_usage(usage)


def _lease_lost() -> Refusal:
    return Refusal("LEASE_LOST", "the step was taken over, or its workflow was cancelled")
