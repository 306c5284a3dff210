"""What each request_id was used for, and its answer: the table `request_ids`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from service_chassis.postgres.database import Connection
from service_chassis.postgres.queries import load_queries
from workflow_service.domain.states import WorkflowState

QUERIES: Final = load_queries(__package__, "request_ids.sql")


@dataclass(frozen=True)
class Request:
    """A call that changes something. Without a `request_id` it is never a repetition."""

    organization_id: UUID
    method: str
    request_id: UUID | None
    content_hash: bytes
    actor: str


@dataclass(frozen=True)
class Recorded:
    """An earlier call under the same request_id. `answer` is None until its run has ended."""

    content_hash: bytes
    workflow_id: UUID
    epoch: int | None
    answer: Any | None


@dataclass(frozen=True)
class Standing:
    """The state and the lease of a workflow. `is_running`: RunWorkflow's run has not ended."""

    state: WorkflowState
    epoch: int
    lease_expire_time: datetime | None
    is_running: bool
    is_paused: bool


async def look(
    connection: Connection, request: Request, workflow_id: UUID | None
) -> tuple[Recorded | None, Standing | None]:
    """The recorded call and the workflow's state, from one consistent read."""
    record = await connection.fetchrow(
        QUERIES["look"], request.organization_id, request.method, request.request_id, workflow_id
    )
    assert record is not None
    recorded = standing = None
    if record["request_id"] is not None:
        recorded = Recorded(record["content_hash"], record["workflow_id"], record["epoch"], record["answer"])
    if record["state"] is not None:
        standing = Standing(
            WorkflowState(record["state"]),
            record["lease_epoch"],
            record["lease_expire_time"],
            record["is_running"],
            record["is_paused"],
        )
    return recorded, standing


async def insert_if_new(connection: Connection, request: Request, workflow_id: UUID) -> bool:
    """False if the request_id is already recorded."""
    row = await connection.fetchval(
        QUERIES["insert_if_new"], *_key(request), request.content_hash, workflow_id
    )
    return row is not None


async def set_answer(
    connection: Connection, request: Request, answer: Any | None, *, epoch: int | None = None
) -> None:
    """`answer` is JSON, or None until the run that the request started has ended."""
    await connection.execute(QUERIES["set_answer"], *_key(request), answer, epoch)


async def answer_open(
    connection: Connection, organization_id: UUID, workflow_id: UUID, method: str, answer: Any
) -> None:
    await connection.execute(QUERIES["answer_open"], organization_id, workflow_id, method, answer)


async def forget_open(
    connection: Connection, organization_id: UUID, workflow_id: UUID, methods: Sequence[str]
) -> None:
    await connection.execute(QUERIES["forget_open"], organization_id, workflow_id, list(methods))


def _key(request: Request) -> tuple[UUID, str, UUID | None]:
    return request.organization_id, request.method, request.request_id
