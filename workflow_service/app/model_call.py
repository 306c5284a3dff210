"""The model call for one item: an attempt, and further attempts for as long as the route allows.

Once an attempt has begun it runs to its end, even if its caller is cancelled, so that its answer is stored
and its cost is settled.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from governor_client import GovernorClient
from workflow_service.app.attempt import Attempt, AttemptAnswered, AttemptFailed, CallServices
from workflow_service.app.breakers import Breakers
from workflow_service.app.call_slots import CallSlots, Slot
from workflow_service.app.end_call import CallEnder
from workflow_service.app.recovery import Recovery
from workflow_service.app.step_failed import StepFailed
from workflow_service.app.true_up import TrueUps
from workflow_service.clients.openrouter import OpenRouterClient
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.output_tokens import output_tokens
from workflow_service.domain.routing import (
    Fail,
    Failure,
    MoreTokens,
    NextModel,
    Repair,
    Retry,
    Route,
    candidates,
    next_move,
)
from workflow_service.domain.workflow import Lease
from workflow_service.steps.model_step import Item, ModelStep, UnusableAnswerError
from workflow_service.store.invocations import Invocation, Invocations

T = TypeVar("T")

# A hold outlives the call's own deadline, so that there is time to retry its settlement.
_HOLD_MARGIN: Final = timedelta(minutes=5)
# From the end of a call's deadline until its outcome is in the journal.
_RECORD_TIME: Final = timedelta(seconds=1)
_OUTAGE_SECONDS_MAX: Final = 120.0


class ModelCaller:
    """One per process. Tests replace `sleep` and `jitter`, a number in [0, 1)."""

    def __init__(
        self,
        journal: Invocations,
        governor: GovernorClient,
        provider: OpenRouterClient,
        *,
        route: Route,
        slots: CallSlots,
        breakers: Breakers,
        call_deadline_seconds: float,
        authorize_timeout_seconds: float = 10.0,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`call_deadline_seconds` is the provider client's total deadline for one call.

        `slots` are no more than its connections. `breakers` are those of the route's models.
        """
        ender = CallEnder(journal, governor, provider)
        self.true_ups = TrueUps(journal, provider, ender)
        self._services = CallServices(
            journal,
            governor,
            provider,
            ender,
            hold_duration=timedelta(seconds=call_deadline_seconds) + _HOLD_MARGIN,
            authorize_timeout_seconds=authorize_timeout_seconds,
        )
        self._recovery = Recovery(
            journal, ender, call_deadline=timedelta(seconds=call_deadline_seconds) + _RECORD_TIME
        )
        self._route = route
        self._slots = slots
        self._breakers = breakers
        self._sleep = sleep
        self._jitter = jitter
        self._running: set[asyncio.Task[Any]] = set()

    async def end_open(self, lease: Lease) -> None:
        """Ends the calls that earlier runs of the step left open, but for those that may still be answered.

        Raises StepFailed while the governor is unavailable.
        """
        await self._run_to_completion(self._recovery.end_open(lease))

    async def answer(
        self,
        lease: Lease,
        step: ModelStep[Any, Any, Any, Any],
        item: Item[Any],
        earlier: Sequence[Invocation],
    ) -> BaseModel:
        """The item's answer: a good one among `earlier`, the item's calls so far, or a new one.

        One of them that may still be answered is waited for. Raises StepFailed; Refusal LEASE_LOST,
        DATABASE_UNAVAILABLE.
        """
        earlier = [await self._recovery.ended(lease, row) for row in earlier]
        for row in reversed(earlier):
            if (answer := _good_answer(step, item, row)) is not None:
                return answer
        number = max((row.attempt for row in earlier), default=0)
        plain = prompt = step.prompt(item.payload)
        cut_off_at = self._cut_off_at(earlier)
        models = candidates(self._route, ())
        failures: list[Failure] = []
        denied: StepFailed | None = None
        while True:
            slot, admitted = await self._slot_for(lease, models, candidates(self._route, failures))
            if admitted[0] != models[0]:
                prompt = plain
            asked = _asked_together(admitted, cut_off_at)
            output = output_tokens(step.output_tokens_max, cut_off_at.get(asked[0]))
            failed = _no_more_tokens(asked[0])
            if output is None:
                slot.release()
            else:
                number += 1
                attempt = Attempt(self._services, lease, step, item, prompt, number, asked, output)
                try:
                    outcome = await self._run_to_completion(self._in_slot(slot, attempt))
                except StepFailed as refused:
                    if output.at_least is None or refused.error.error_class is not ErrorClass.BUDGET_DENIED:
                        raise
                    denied = refused
                else:
                    if isinstance(outcome, AttemptAnswered):
                        return outcome.answer
                    failed = outcome
            failure = self._failure(failed, asked)
            failures.append(failure)
            if failure.error_class is ErrorClass.OUTPUT_LIMIT_REACHED and failed.output_tokens_max:
                cut_off_at[failure.model] = failed.output_tokens_max
            match next_move(self._route, failures, jitter=self._jitter()):
                case Retry(models, delay_seconds):
                    if self._breakers.is_closed(models[0]):
                        await self._sleep(delay_seconds)
                case Repair(models):
                    prompt = plain.repairing(failed.answer, failed.message)
                case MoreTokens(models):
                    pass
                case NextModel(models):
                    prompt = plain
                case Fail(error_class):
                    raise denied or StepFailed(error_class, error_class.value, failed.message)

    async def _slot_for(
        self, lease: Lease, models: Sequence[str], others: Sequence[str]
    ) -> tuple[Slot, tuple[str, ...]]:
        """A slot, and those of `models` that may be called, or else of `others`.

        While the breakers of all of them are open, the call waits without a slot, but not for ever.
        """
        waited_seconds = 0.0
        while True:
            slot = await self._slots.take(lease.organization_id)
            admitted = self._breakers.admitted(models) or self._breakers.admitted(others)
            if admitted:
                return slot, admitted
            slot.release()
            if waited_seconds >= _OUTAGE_SECONDS_MAX:
                raise StepFailed(
                    ErrorClass.PROVIDER_ERROR,
                    "MODELS_OUT_OF_ORDER",
                    "too many of the latest calls failed, of every model that may be asked",
                )
            seconds = self._breakers.wait_seconds(others) + self._jitter()
            waited_seconds += seconds
            await self._sleep(seconds)

    async def finish(self) -> None:
        """Waits for the running attempts. Cancelling the wait does not cancel them."""
        if self._running:
            await asyncio.wait(self._running)

    async def _run_to_completion(self, work: Coroutine[Any, Any, T]) -> T:
        """If the caller is cancelled, only its waiting ends."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # read, so that asyncio does not log it, with its text, where no caller waits

    async def _in_slot(self, slot: Slot, attempt: Attempt) -> AttemptAnswered | AttemptFailed:
        try:
            outcome = await attempt.run()
        finally:
            slot.release()
        error_class = outcome.error_class if isinstance(outcome, AttemptFailed) else None
        self._breakers.note(self._on_route(outcome.model, attempt.models), error_class)
        return outcome

    def _failure(self, failed: AttemptFailed, models: Sequence[str]) -> Failure:
        return Failure(
            self._on_route(failed.model, models),
            failed.error_class,
            failed.retry_after_seconds,
            # Without a ceiling, nothing was sent.
            is_last=failed.error_class is ErrorClass.OUTPUT_LIMIT_REACHED and not failed.output_tokens_max,
        )

    def _on_route(self, granted: str, models: Sequence[str]) -> str:
        """The governor grants canonical names; the route may have other names for the same models."""
        return granted if granted in self._route.models else models[0]

    def _cut_off_at(self, earlier: Sequence[Invocation]) -> dict[str, int]:
        """The most output tokens that each model used up in vain in earlier runs of the step."""
        cut_off_at: dict[str, int] = {}
        for row in earlier:
            if row.response.error_class is not ErrorClass.OUTPUT_LIMIT_REACHED or not row.output_tokens_max:
                continue
            model = self._on_route(row.model or "", row.requested_models)
            cut_off_at[model] = max(cut_off_at.get(model, 0), row.output_tokens_max)
        return cut_off_at


def _asked_together(models: Sequence[str], cut_off_at: Mapping[str, int]) -> tuple[str, ...]:
    """The first of `models`, and the others that need the same output tokens."""
    if models[0] in cut_off_at:
        return (models[0],)
    return tuple(model for model in models if model not in cut_off_at)


def _no_more_tokens(model: str) -> AttemptFailed:
    message = "the answer was cut off, and there are no more output tokens for it"
    return AttemptFailed(model, ErrorClass.OUTPUT_LIMIT_REACHED, message)


def _good_answer(step: ModelStep[Any, Any, Any, Any], item: Item[Any], row: Invocation) -> BaseModel | None:
    if row.response.answer is None:
        return None
    try:
        answer: BaseModel = step.parse(item.payload, row.response.answer)
    except UnusableAnswerError:
        return None  # an earlier version of the schema accepted it
    return answer
