"""The model call for one item: an attempt, and further attempts for as long as the route allows.

Once an attempt has begun it runs to its end, even if its caller is cancelled, so that its answer is stored
and its cost is settled.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from governor_client import GovernorClient
from workflow_service.app.attempt import Attempt, AttemptFailed, CallServices
from workflow_service.app.call_slots import CallSlots, Slot
from workflow_service.app.end_call import CallEnder
from workflow_service.app.step_failed import StepFailed
from workflow_service.app.true_up import TrueUps
from workflow_service.clients.openrouter import OpenRouterClient
from workflow_service.domain.routing import Fail, Failure, NextModel, Retry, Route, candidates, next_move
from workflow_service.domain.workflow import Lease
from workflow_service.steps.model_step import Item, ModelStep, UnusableAnswerError
from workflow_service.store.invocations import Invocation, Invocations

T = TypeVar("T")

# A hold outlives the call's own deadline, so that there is time to retry its settlement.
_HOLD_MARGIN: Final = timedelta(minutes=5)


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
        call_deadline_seconds: float,
        authorize_timeout_seconds: float = 10.0,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`call_deadline_seconds` is the provider client's total deadline for one call.

        `slots` are no more than the provider client's connections.
        """
        ender = CallEnder(journal, governor, provider, call_deadline_seconds=call_deadline_seconds)
        self.true_ups = TrueUps(journal, provider, ender)
        self._services = CallServices(
            journal,
            governor,
            provider,
            ender,
            hold_duration=timedelta(seconds=call_deadline_seconds) + _HOLD_MARGIN,
            authorize_timeout_seconds=authorize_timeout_seconds,
        )
        self._route = route
        self._slots = slots
        self._sleep = sleep
        self._jitter = jitter
        self._running: set[asyncio.Task[Any]] = set()

    async def end_open(self, lease: Lease) -> None:
        """Ends the calls that earlier runs of the step left open.

        Raises StepFailed while the governor is unavailable.
        """
        await self._run_to_completion(
            self._services.ender.end_open(
                lease.organization_id, lease.workflow_id, lease.step, epoch=lease.epoch
            )
        )

    async def answer(
        self,
        lease: Lease,
        step: ModelStep[Any, Any, Any, Any],
        item: Item[Any],
        earlier: Sequence[Invocation],
    ) -> BaseModel:
        """The item's answer: a good one among `earlier`, the item's ended calls, or a new one.

        Raises StepFailed; Refusal LEASE_LOST, DATABASE_UNAVAILABLE.
        """
        for row in reversed(earlier):
            if (answer := _good_answer(step, item, row)) is not None:
                return answer
        number = max((row.attempt for row in earlier), default=0)
        prompt = step.prompt(item.payload)
        models = candidates(self._route, ())
        failures: list[Failure] = []
        while True:
            number += 1
            attempt = Attempt(self._services, lease, step, item, prompt, number, models)
            slot = await self._slots.take(lease.organization_id)
            outcome = await self._run_to_completion(_in_slot(slot, attempt))
            if not isinstance(outcome, AttemptFailed):
                return outcome
            failures.append(self._failure(outcome, models))
            match next_move(self._route, failures, jitter=self._jitter()):
                case Retry(models, delay_seconds):
                    await self._sleep(delay_seconds)
                case NextModel(models):
                    pass
                case Fail(error_class):
                    raise StepFailed(error_class, error_class.value, outcome.message)

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

    def _failure(self, failed: AttemptFailed, models: Sequence[str]) -> Failure:
        # The governor grants canonical names; the route may have other names for the same models.
        model = failed.model if failed.model in self._route.models else models[0]
        return Failure(model, failed.error_class, failed.retry_after_seconds)


async def _in_slot(slot: Slot, attempt: Attempt) -> BaseModel | AttemptFailed:
    try:
        return await attempt.run()
    finally:
        slot.release()


def _good_answer(step: ModelStep[Any, Any, Any, Any], item: Item[Any], row: Invocation) -> BaseModel | None:
    if row.response.answer is None:
        return None
    try:
        answer: BaseModel = step.parse(item.payload, row.response.answer)
    except UnusableAnswerError:
        return None  # an earlier version of the schema accepted it
    return answer
