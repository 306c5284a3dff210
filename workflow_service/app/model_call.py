"""One governed model call for an item: authorize → dispatch → settle | void, again while the route allows it.

Each attempt and each fallback is a row of the journal and a hold of its own (I7). Without an authorization
nothing is sent (I14). An attempt that has begun is finished whatever becomes of its caller, so that its
answer is stored and its cost settled.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

import structlog
from pydantic import BaseModel

from governor_client import GovernorClient, GovernorUnavailableError
from infin8.governor.v1.authorization_pb2 import Authorization, ExpiryAction
from service_chassis.refusal import Refusal
from workflow_service.app.end_call import CallEnder, call_usage, governor_failed
from workflow_service.app.step_failed import StepFailed
from workflow_service.clients.openrouter import (
    ChargeKind,
    Completion,
    CompletionRequest,
    MaxPrice,
    ModelCallFailed,
    OpenRouterClient,
)
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.routing import Fail, Failure, NextModel, Retry, Route, candidates, next_move
from workflow_service.domain.workflow import Lease
from workflow_service.steps.model_step import Item, ModelStep, Prompt, UnusableAnswerError
from workflow_service.store.invocations import Invocation, Invocations, Response

T = TypeVar("T")

# Beyond the call's own deadline a hold lives long enough for its settlement to be tried again.
_HOLD_MARGIN: Final = timedelta(minutes=5)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Failed:
    """An attempt that gave no answer to use; its money is settled."""

    failure: Failure
    message: str


class ModelCaller:
    """One per process. `route` is data; `sleep` and `jitter` (in [0, 1)) come in from outside."""

    def __init__(
        self,
        journal: Invocations,
        governor: GovernorClient,
        provider: OpenRouterClient,
        *,
        route: Route,
        call_deadline_seconds: float,
        authorize_timeout_seconds: float = 10.0,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`call_deadline_seconds` is the provider client's total deadline for one call."""
        self._journal = journal
        self._governor = governor
        self._provider = provider
        self._ender = CallEnder(journal, governor, provider)
        self._route = route
        self._hold_duration = timedelta(seconds=call_deadline_seconds) + _HOLD_MARGIN
        self._authorize_timeout_seconds = authorize_timeout_seconds
        self._sleep = sleep
        self._jitter = jitter
        self._running: set[asyncio.Task[Any]] = set()

    async def end_open(self, lease: Lease) -> None:
        """Ends what earlier runs of the step left open. Raises StepFailed while the governor is away."""
        await self._to_its_end(
            self._ender.end_open(lease.organization_id, lease.workflow_id, lease.step, epoch=lease.epoch)
        )

    async def answer(
        self,
        lease: Lease,
        step: ModelStep[Any, Any, Any],
        item: Item[Any],
        earlier: Sequence[Invocation],
    ) -> BaseModel:
        """The item's answer: a good one out of `earlier`, the item's ended calls, or one that is paid for.

        Raises StepFailed; Refusal LEASE_LOST, DATABASE_UNAVAILABLE.
        """
        for row in reversed(earlier):
            if (answer := _good_answer(step, item, row)) is not None:
                return answer
        attempt = max((row.attempt for row in earlier), default=0)
        prompt = step.prompt(item.payload)
        models = candidates(self._route, ())
        failures: list[Failure] = []
        while True:
            attempt += 1
            work = self._attempt(lease, step, item, prompt, attempt, models)
            outcome = await self._to_its_end(work)
            if not isinstance(outcome, _Failed):
                return outcome
            failures.append(outcome.failure)
            match next_move(self._route, failures, jitter=self._jitter()):
                case Retry(models, delay_seconds):
                    await self._sleep(delay_seconds)
                case NextModel(models):
                    pass
                case Fail(error_class):
                    raise StepFailed(error_class, error_class.value, outcome.message)

    async def finish(self) -> None:
        """Waits for the attempts that run. Whoever gives this wait up does not end them."""
        if self._running:
            await asyncio.wait(self._running)

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """A cancelled caller stops waiting; the work goes on."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be left to look at it, and asyncio would log it with its text

    async def _attempt(
        self,
        lease: Lease,
        step: ModelStep[Any, Any, Any],
        item: Item[Any],
        prompt: Prompt,
        attempt: int,
        models: Sequence[str],
    ) -> BaseModel | _Failed:
        row = await self._journal.request_if_leased(
            lease.organization_id,
            lease.workflow_id,
            lease.step,
            item.name,
            attempt,
            epoch=lease.epoch,
            models=models,
        )
        if row is None:
            raise _lease_lost()
        authorization = await self._authorize(row, step, prompt)
        row = await self._record_hold(row, authorization)
        try:
            dispatched = await self._journal.dispatch_if_authorized_and_leased(row)
        except Refusal:
            # The commit may have gone through, but nothing was sent.
            await self._ender.void(row, ErrorClass.INTERNAL)
            raise
        if dispatched is None:
            await self._ender.void(row, ErrorClass.LEASE_EXPIRED)
            raise _lease_lost()
        # From here on money may be spent, and every way out ends the hold.
        return await self._dispatch(dispatched, authorization, step, item, prompt)

    async def _authorize(
        self, row: Invocation, step: ModelStep[Any, Any, Any], prompt: Prompt
    ) -> Authorization:
        try:
            return await self._governor.authorize(
                organization_id=row.organization_id,
                workflow_id=row.workflow_id,
                request_id=row.request_id,
                models=row.requested_models,
                input_tokens_max=prompt.input_tokens_max,
                output_tokens_max=step.output_tokens_max,
                hold_duration=self._hold_duration,
                on_expiry=ExpiryAction.EXPIRY_ACTION_CHARGE,
                labels={"step": row.step.value},
                timeout_seconds=self._authorize_timeout_seconds,
            )
        except GovernorUnavailableError as unavailable:
            await self._ender.void(row, ErrorClass.GOVERNOR_UNAVAILABLE)
            raise governor_failed(unavailable) from None
        except Refusal as refusal:
            failed = governor_failed(refusal)
            await self._journal.deny_if_requested(row, failed.error.error_class)
            raise failed from None

    async def _record_hold(self, row: Invocation, authorization: Authorization) -> Invocation:
        try:
            authorized = await self._journal.authorize_if_requested(
                row,
                authorization_id=UUID(authorization.authorization_id),
                model=authorization.model,
                held_nano_usd=authorization.held_nano_usd,
            )
        except Refusal:
            await self._ender.void(row, ErrorClass.INTERNAL)
            raise
        if authorized is None:
            # Somebody took the row over, and voids it by its request_id.
            raise _lease_lost()
        return authorized

    async def _dispatch(
        self,
        row: Invocation,
        authorization: Authorization,
        step: ModelStep[Any, Any, Any],
        item: Item[Any],
        prompt: Prompt,
    ) -> BaseModel | _Failed:
        request = CompletionRequest(
            model=authorization.model,
            messages=prompt.messages,
            max_tokens=authorization.output_tokens_max,
            max_price=MaxPrice(
                input_nano_usd_per_mtok=authorization.price.input_nano_usd_per_mtok,
                output_nano_usd_per_mtok=authorization.price.output_nano_usd_per_mtok,
                request_nano_usd=authorization.price.request_nano_usd,
            ),
            temperature=step.temperature,
            response_format=prompt.response_format,
            user=str(row.organization_id),
        )
        try:
            completion = await self._provider.complete(request)
        except ModelCallFailed as failed:
            return await self._end_failed(row, failed)
        except Exception:
            # A fault of ours: sent it may have been all the same. (Cancelled is who stops with the process:
            # that row stays DISPATCHED, for the next holder of the step.)
            await self._ender.respond_and_settle(row, Response(error_class=ErrorClass.INTERNAL))
            raise
        return await self._end_answered(row, completion, step, item)

    async def _end_failed(self, row: Invocation, failed: ModelCallFailed) -> _Failed:
        charge = failed.charge
        if charge.kind is ChargeKind.NOT_CHARGED:
            await self._ender.void(row, failed.error_class, generation_id=charge.generation_id)
        else:
            ended = await self._ender.respond_and_settle(
                row,
                Response(
                    error_class=failed.error_class,
                    served_model=charge.served_model,
                    generation_id=charge.generation_id,
                    usage=call_usage(charge.usage),
                    provider_cost_nano_usd=charge.provider_cost_nano_usd,
                ),
            )
            if ended is None:
                raise _lease_lost()
        return self._failed(row, failed.error_class, failed.message, failed.retry_after_seconds)

    async def _end_answered(
        self, row: Invocation, completion: Completion, step: ModelStep[Any, Any, Any], item: Item[Any]
    ) -> BaseModel | _Failed:
        answer: BaseModel | None = None
        unusable: UnusableAnswerError | None = None
        try:
            answer = step.parse(item.payload, completion.text)
        except UnusableAnswerError as error:
            unusable = error
        ended = await self._ender.respond_and_settle(
            row,
            Response(
                answer=completion.text if unusable is None else None,
                error_class=None if unusable is None else unusable.error_class,
                served_model=completion.served_model,
                generation_id=completion.generation_id,
                usage=call_usage(completion.usage),
                provider_cost_nano_usd=completion.provider_cost_nano_usd,
            ),
        )
        if ended is None:
            raise _lease_lost()
        if unusable is not None:
            return self._failed(row, unusable.error_class, str(unusable), None)
        assert answer is not None
        return answer

    def _failed(
        self, row: Invocation, error_class: ErrorClass, message: str, retry_after_seconds: float | None
    ) -> _Failed:
        _log.warning(
            "model_call_failed",
            workflow_id=str(row.workflow_id),
            step=row.step.value,
            item=row.item,
            attempt=row.attempt,
            model=row.model,
            error_class=error_class.value,
        )
        # The route names models as it likes; the governor grants canonical names.
        model = row.model if row.model in self._route.models else row.requested_models[0]
        assert model is not None
        return _Failed(Failure(model, error_class, retry_after_seconds), message)


def _good_answer(step: ModelStep[Any, Any, Any], item: Item[Any], row: Invocation) -> BaseModel | None:
    if row.response.answer is None:
        return None
    try:
        answer: BaseModel = step.parse(item.payload, row.response.answer)
    except UnusableAnswerError:
        return None  # good by an older version's schema
    return answer


def _lease_lost() -> Refusal:
    return Refusal("LEASE_LOST", "the step was taken over, or its workflow was cancelled")
