"""The built-in executor: makes the result of a leased step. Its caller completes or fails the step."""

from __future__ import annotations

from collections import defaultdict

from workflow_service.app.model_call import ModelCaller
from workflow_service.app.publish_articles import Publishing
from workflow_service.app.step_failed import StepFailed
from workflow_service.domain.steps import PublishInput, StepResult
from workflow_service.domain.workflow import Lease
from workflow_service.steps.registry import MODEL_STEPS
from workflow_service.store.invocations import Invocation, Invocations

__all__ = ["StepExecutor", "StepFailed"]


class StepExecutor:
    def __init__(
        self,
        caller: ModelCaller,
        journal: Invocations,
        publishing: Publishing,
    ) -> None:
        self._caller = caller
        self._journal = journal
        self._publishing = publishing

    async def execute(self, lease: Lease) -> StepResult:
        """Makes the step's result. Good answers of earlier runs are used again.

        Items are worked on one after the other, so that the same failures lead to the same calls.
        Raises StepFailed; Refusal LEASE_LOST if the step was taken over, DATABASE_UNAVAILABLE, OVERLOADED.
        """
        if isinstance(lease.input, PublishInput):
            return await self._publishing.publish(lease, lease.input)
        step = MODEL_STEPS[lease.step]
        await self._caller.end_open(lease)
        earlier: defaultdict[str, list[Invocation]] = defaultdict(list)
        for row in await self._journal.of_step(lease.organization_id, lease.workflow_id, lease.step):
            earlier[row.item].append(row)
        answers = [
            await self._caller.answer(lease, step, item, earlier[item.name])
            for item in step.items(lease.input)
        ]
        result: StepResult = step.combine(lease.workflow_id, lease.input, answers)
        return result
