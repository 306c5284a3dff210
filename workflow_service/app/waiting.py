"""Waits for the end of what a RunStep or RunWorkflow request has begun, on whichever instance it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from service_chassis.postgres.database import Database
from service_chassis.refusal import Refusal
from workflow_service.app.changes import Changes
from workflow_service.app.driver import Driver
from workflow_service.app.idempotency import RUN_METHOD, Answer, workflow_from_json
from workflow_service.app.read_workflows import get_workflow
from workflow_service.domain.refusals import state_conflict, workflow_not_found
from workflow_service.domain.states import WorkflowState
from workflow_service.domain.workflow import WorkflowKey
from workflow_service.store import request_ids
from workflow_service.store.request_ids import Request, Standing

_UNAVAILABLE: Final = frozenset({"DATABASE_UNAVAILABLE", "OVERLOADED"})


@dataclass(frozen=True, slots=True)
class Waiting:
    """One per process."""

    database: Database
    changes: Changes
    driver: Driver

    def refuse_if_stopping(self) -> None:
        if self.driver.stopping:
            raise shutting_down()

    async def answer(
        self, request: Request, workflow_id: UUID, begun_state: WorkflowState, *, wait: bool, replayed: bool
    ) -> Answer:
        """The recorded answer once there is one; without `wait` the workflow as it is until then.

        It waits for as long as the caller does: trouble with the database meanwhile is not an answer to it.
        Raises STATE_CONFLICT, with `begun_state` as expected, if what was begun was cut short;
        SHUTTING_DOWN if this instance stops and another one will go on.
        """
        key = WorkflowKey(request.organization_id, workflow_id)
        with self.changes.watching(key) as changed:
            while True:
                changed.clear()
                found = await self._look(request, workflow_id, begun_state, is_patient=wait)
                if found is not None:
                    return Answer(found.workflow, replayed=replayed)
                if not wait:
                    workflow = await get_workflow(self.database, *_ids(key))
                    return Answer(workflow, replayed=replayed)
                if self.driver.stopping and not self.driver.is_running(key):
                    raise shutting_down()
                await changed.wait()

    async def _look(
        self, request: Request, workflow_id: UUID, begun_state: WorkflowState, *, is_patient: bool
    ) -> Answer | None:
        """None while what was begun goes on."""
        try:
            async with self.database.read() as connection:
                recorded, standing = await request_ids.look(connection, request, workflow_id)
        except Refusal as refusal:
            if is_patient and refusal.reason in _UNAVAILABLE:
                return None
            raise
        if standing is None:
            raise workflow_not_found()
        if recorded is not None and recorded.answer is not None:
            return Answer(workflow_from_json(recorded.answer))
        if recorded is None or standing.state is WorkflowState.CANCELLED:
            raise state_conflict(begun_state, standing.state)
        if _goes_on(request, standing, begun_state):
            return None
        if request.method == RUN_METHOD:
            # An instance of an earlier version began this run, and died with it.
            return Answer(await get_workflow(self.database, request.organization_id, workflow_id))
        raise state_conflict(begun_state, standing.state)


def _goes_on(request: Request, standing: Standing, begun_state: WorkflowState) -> bool:
    if request.method == RUN_METHOD:
        return standing.is_running
    return standing.state is begun_state


def shutting_down() -> Refusal:
    return Refusal("SHUTTING_DOWN", "the service is stopping", retry_after_seconds=1)


def _ids(key: WorkflowKey) -> tuple[UUID, UUID]:
    return key.organization_id, key.workflow_id
