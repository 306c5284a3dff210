"""The built-in executor: makes the result of a leased step. Its caller completes or fails the step."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from workflow_service.app.answer_items import answer_items
from workflow_service.app.end_call import persist
from workflow_service.app.model_call import ModelCaller
from workflow_service.app.publish_articles import Publishing
from workflow_service.app.step_failed import StepFailed
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.steps import PublishInput, StepResult
from workflow_service.domain.workflow import Lease
from workflow_service.steps.model_step import Item
from workflow_service.steps.registry import MODEL_STEPS
from workflow_service.store.invocations import Invocation, Invocations

__all__ = ["StepExecutor", "StepFailed"]


class StepExecutor:
    def __init__(
        self,
        caller: ModelCaller,
        journal: Invocations,
        publishing: Publishing,
        *,
        calls_at_once: int = 4,
        deadline_seconds: float = 3600.0,
    ) -> None:
        """`calls_at_once`: of a step whose items do not need each other. `deadline_seconds`: of a run of a
        step's model calls. Those that are in flight then are settled all the same.
        """
        self._caller = caller
        self._journal = journal
        self._publishing = publishing
        self._calls_at_once = calls_at_once
        self._deadline_seconds = deadline_seconds

    async def execute(self, lease: Lease) -> StepResult:
        """Makes the step's result. Good answers of earlier runs are used again.

        Raises StepFailed; Refusal LEASE_LOST if the step was taken over, DATABASE_UNAVAILABLE, OVERLOADED.
        """
        if isinstance(lease.input, PublishInput):
            return await self._publishing.publish(lease, lease.input)
        deadline = asyncio.timeout(self._deadline_seconds)
        try:
            async with deadline:
                return await self._call_models(lease)
        except TimeoutError:
            if not deadline.expired():
                raise
            message = f"the step was not done within {self._deadline_seconds:g} s"
            raise StepFailed(ErrorClass.TIMEOUT, "STEP_DEADLINE_EXCEEDED", message) from None

    async def _call_models(self, lease: Lease) -> StepResult:
        step = MODEL_STEPS[lease.step]
        await self._caller.end_open(lease)
        begun: set[str] = set()
        earlier = await self._calls_by_item(lease)

        async def answer(item: Item[Any]) -> BaseModel:
            nonlocal earlier
            if item.name in begun:  # it was denied, and that attempt is in the journal
                earlier = await self._calls_by_item(lease)
            begun.add(item.name)
            return await self._caller.answer(lease, step, item, earlier.get(item.name, ()))

        answers = await answer_items(
            step.items(lease.input), answer, at_once=self._calls_at_once if step.calls_at_once else 1
        )
        result: StepResult = step.combine(lease.workflow_id, lease.input, answers)
        return result

    async def _calls_by_item(self, lease: Lease) -> Mapping[str, Sequence[Invocation]]:
        rows = await persist(
            lambda: self._journal.of_step(lease.organization_id, lease.workflow_id, lease.step)
        )
        calls: defaultdict[str, list[Invocation]] = defaultdict(list)
        for row in rows:
            calls[row.item].append(row)
        return calls
