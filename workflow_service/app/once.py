"""A change that happens once: under its request_id, and from the state that its caller expects.

The order of the answers is the contract's: an earlier answer to the same request_id, then WORKFLOW_NOT_FOUND,
then ILLEGAL_TRANSITION (whatever the present state), then STATE_CONFLICT.
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
    request_id_reused,
    state_conflict,
    workflow_not_found,
)
from workflow_service.domain.states import TRANSITIONS, WorkflowState
from workflow_service.domain.workflow import Workflow
from workflow_service.store import request_ids
from workflow_service.store.request_ids import Recorded, Request, Standing

T = TypeVar("T")

_WORKFLOW: Final = TypeAdapter(Workflow)


@dataclass(frozen=True)
class Move:
    """What the caller expects, and where it wants to go. `takes_over`: the edge is a lease's takeover."""

    expected: WorkflowState
    target: WorkflowState
    takes_over: bool = False

    @property
    def is_legal(self) -> bool:
        return self.takes_over or self.target in TRANSITIONS[self.expected]


@dataclass(frozen=True)
class Answer:
    """A workflow, and whether an earlier call got it already."""

    workflow: Workflow
    replayed: bool = False


def workflow_to_json(workflow: Workflow) -> Any:
    return _WORKFLOW.dump_python(workflow, mode="json")


def workflow_from_json(answer: Any) -> Workflow:
    return _WORKFLOW.validate_python(answer)


async def recorded_or_refused(
    database: Database, request: Request, workflow_id: UUID, move: Move
) -> Recorded | None:
    """What the same request got before; None where it may go on. Raises the contract's refusals.

    One read outside any transaction: of a thousand who race, those who have lost already are told at once.
    """
    async with database.read() as connection:
        recorded, standing = await request_ids.look(connection, request, workflow_id)
    if recorded is not None:
        return _same_request(request, recorded)
    _require(move, standing)
    return None


async def once(
    database: Database,
    request: Request,
    workflow_id: UUID,
    move: Move,
    work: Callable[[Connection], Awaitable[T | None]],
    *,
    answer: Callable[[T], Any | None],
    epoch: Callable[[T], int | None] = lambda _: None,
) -> T | Recorded:
    """Does the work in one transaction with its request_id, or returns what stands recorded of it.

    `work` returns None where its guard did not hold; then nothing is left of it, the request_id included.
    `answer` and `epoch` say what is kept of it for whoever repeats the request.
    """
    if recorded := await recorded_or_refused(database, request, workflow_id, move):
        return recorded

    async def transaction(connection: Connection) -> T | Recorded:
        if request.request_id is not None and (
            earlier := await take_request_id(connection, request, workflow_id)
        ):
            return earlier
        done = await work(connection)
        if done is None:
            _, standing = await request_ids.look(connection, request, workflow_id)
            _require(move, standing)
            # It went away and came back between the guard and this look.
            raise state_conflict(move.expected, move.expected)
        if request.request_id is not None:
            await request_ids.set_answer(connection, request, answer(done), epoch=epoch(done))
        return done

    return await database.write(transaction)


async def take_request_id(connection: Connection, request: Request, workflow_id: UUID) -> Recorded | None:
    """Takes the request_id for this transaction, or returns what was done under it."""
    if await request_ids.insert_if_new(connection, request, workflow_id):
        return None
    recorded, _ = await request_ids.look(connection, request, workflow_id)
    assert recorded is not None
    return _same_request(request, recorded)


def _same_request(request: Request, recorded: Recorded) -> Recorded:
    if recorded.content_hash != request.content_hash:
        assert request.request_id is not None
        raise request_id_reused(request.request_id)
    return recorded


def _require(move: Move, standing: Standing | None) -> None:
    if standing is None:
        raise workflow_not_found()
    if not move.is_legal:
        raise illegal_transition(move.expected, move.target)
    if standing.state is not move.expected:
        raise state_conflict(move.expected, standing.state)
