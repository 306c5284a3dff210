"""The outbox of events about workflows: the tables `workflow_events` and `last_event_offset`."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import asyncpg

from service_chassis.postgres.database import Connection
from service_chassis.postgres.queries import load_queries
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.events import EventType, WorkflowEvent
from workflow_service.domain.states import WorkflowState
from workflow_service.domain.workflow import LastError, WorkflowKey

QUERIES: Final = load_queries(__package__, "events.sql")

GIVEN_OUT_MAX: Final = 1000
"""How many offsets one call gives out at most."""


async def insert_event(
    connection: Connection, key: WorkflowKey, event_type: EventType, *, actor: str, reason: str
) -> None:
    """A TRANSITION is written by the history's trigger."""
    await connection.execute(
        QUERIES["insert_event"], key.organization_id, key.workflow_id, event_type, actor, reason
    )


async def give_out_offsets(connection: Connection) -> int:
    """How many were given out. It must be a transaction of its own: its commit makes them visible."""
    done = await connection.execute(QUERIES["give_out_offsets"])
    return int(done.rpartition(" ")[2])


async def get_last_offset(connection: Connection) -> int:
    return int(await connection.fetchval(QUERIES["get_last_offset"]))


async def list_events(
    connection: Connection, organization_id: UUID, *, after_offset: int, limit: int
) -> list[WorkflowEvent]:
    records = await connection.fetch(QUERIES["list_events"], organization_id, after_offset, limit)
    return [_event(record) for record in records]


def _event(record: asyncpg.Record) -> WorkflowEvent:
    error = None
    if record["error_class"] is not None:
        error = LastError(ErrorClass(record["error_class"]), record["error_reason"], record["error_message"])
    return WorkflowEvent(
        offset=record["event_offset"],
        event_id=record["event_id"],
        organization_id=record["organization_id"],
        workflow_id=record["workflow_id"],
        type=EventType(record["type"]),
        state=WorkflowState(record["state"]),
        from_state=None if record["from_state"] is None else WorkflowState(record["from_state"]),
        version=record["version"],
        epoch=record["epoch"] or 0,
        actor=record["actor"],
        reason=record["reason"],
        error=error,
        attempt=record["attempt"] or 0,
        attempts_max=record["attempts_max"] or 0,
        next_time=record["next_time"],
        total_ai_cost_nano_usd=record["total_ai_cost_nano_usd"],
        create_time=record["create_time"],
    )
