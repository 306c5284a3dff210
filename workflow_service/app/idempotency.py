"""Changes that are idempotent under a request_id and guarded by the state that their caller expects.

The contract fixes the order of the answers: the earlier answer to the same request_id, then
WORKFLOW_NOT_FOUND, then ILLEGAL_TRANSITION (whatever the present state), then STATE_CONFLICT.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID

from pydantic import TypeAdapter

from service_chassis.postgres.database import Connection, Database
from workflow_service.domain.refusals import (
    illegal_transition,
    paused,
    request_id_reused,
    state_conflict,
    workflow_not_found,
)
from workflow_service.domain.states import TRANSITIONS, WorkflowState
from workflow_service.domain.workflow import Workflow
from workflow_service.store import request_ids
from workflow_service.store.request_ids import Recorded, Request, Standing

T = TypeVar("T")

STEP_METHOD: Final = "RunStep"
RUN_METHOD: Final = "RunWorkflow"
"""The methods whose requests are recorded without an answer until what they began has ended."""

_WORKFLOW: Final = TypeAdapter(Workflow)


@dataclass(frozen=True)
class PlannedTransition:
    """From the state that the caller expects to a target state.

    `takes_over`: the state stays, and an expired lease is replaced by a new one, or by none.
    """

    expected: WorkflowState
    target: WorkflowState
    takes_over: bool = False
    also_paused: bool = False
    """Whether it may be made while the workflow is paused: where it begins nothing."""

    @property
    def is_legal(self) -> bool:
        return self.takes_over or self.target in TRANSITIONS[self.expected]


@dataclass(frozen=True)
class Answer:
    """A workflow. `replayed`: an earlier call with the same request_id got the same answer."""

    workflow: Workflow
    replayed: bool = False


def workflow_to_json(workflow: Workflow) -> Any:
    return _WORKFLOW.dump_python(workflow, mode="json")


def workflow_from_json(answer: Any) -> Workflow:
    return _WORKFLOW.validate_python(answer)


async def apply_idempotently(
    database: Database,
    request: Request,
    workflow_id: UUID,
    planned: PlannedTransition,
    work: Callable[[Connection], Awaitable[T | None]],
    *,
    answer: Callable[[T], Any | None],
    epoch: Callable[[T], int | None] = lambda _: None,
) -> T | Recorded:
    """Does `work` and records its request_id in one transaction, or returns what was recorded earlier.

    `work` returns None where its guard did not hold. The transaction then rolls back, and a refusal says why.
    `answer` and `epoch` give what is recorded for a repetition of the request.
    """
    if recorded := await _recorded_or_refused(database, request, workflow_id, planned):
        return recorded

    async def transaction(connection: Connection) -> T | Recorded:
        if request.request_id is not None and (
            earlier := await take_request_id(connection, request, workflow_id)
        ):
            return earlier
        done = await work(connection)
        if done is None:
            _, standing = await request_ids.look(connection, request, workflow_id)
            _require(planned, standing)
            # The state left the expected one and came back between the guard and this read.
            raise state_conflict(planned.expected, planned.expected)
        if request.request_id is not None:
            await request_ids.set_answer(connection, request, answer(done), epoch=epoch(done))
        return done

    return await database.write(transaction)


async def take_request_id(connection: Connection, request: Request, workflow_id: UUID) -> Recorded | None:
    """Takes the request_id for this transaction. If it was taken earlier, returns what was recorded then."""
    if await request_ids.insert_if_new(connection, request, workflow_id):
        return None
    recorded, _ = await request_ids.look(connection, request, workflow_id)
    assert recorded is not None
    return _same_request(request, recorded)


async def _recorded_or_refused(
    database: Database, request: Request, workflow_id: UUID, planned: PlannedTransition
) -> Recorded | None:
    """What was recorded for the same request; None if there is nothing, and the transition may be tried.

    One read outside any transaction: when a thousand callers race, most of the losers are refused here.
    """
    async with database.read() as connection:
        recorded, standing = await request_ids.look(connection, request, workflow_id)
    if recorded is not None:
        return _same_request(request, recorded)
    _require(planned, standing)
    return None


def _same_request(request: Request, recorded: Recorded) -> Recorded:
    if recorded.content_hash != request.content_hash:
        assert request.request_id is not None
        raise request_id_reused(request.request_id)
    return recorded


def _require(planned: PlannedTransition, standing: Standing | None) -> None:
    if standing is None:
        raise workflow_not_found()
    if not planned.is_legal:
        raise illegal_transition(planned.expected, planned.target)
    if standing.state is not planned.expected:
        raise state_conflict(planned.expected, standing.state)
    if standing.is_paused and not planned.also_paused:
        raise paused()
