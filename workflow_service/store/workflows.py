"""Workflows and their history: the tables `intent_workflows` and `workflow_transitions`.

A guarded write returns the new state of the workflow, or None if the guard did not hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from service_chassis.postgres.database import Connection
from service_chassis.postgres.queries import load_queries
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.states import WorkflowState
from workflow_service.domain.steps import IcpResult
from workflow_service.domain.workflow import (
    LastError,
    Pause,
    Profile,
    PublishKind,
    PublishTarget,
    Transition,
    Waiting,
    WaitKind,
    Workflow,
    WorkflowKey,
)

QUERIES: Final = load_queries(__package__, "workflows.sql")


async def insert_workflow(
    connection: Connection,
    organization_id: UUID,
    workflow_id: UUID,
    *,
    display_name: str,
    profile: Profile,
    publish_target: PublishTarget,
) -> Workflow:
    record = await connection.fetchrow(
        QUERIES["insert_workflow"],
        organization_id,
        workflow_id,
        display_name,
        {
            "organization_name": profile.organization_name,
            "organization_url": profile.organization_url,
            "linkedin_url": profile.linkedin_url,
            "competitor_urls": list(profile.competitor_urls),
        },
        publish_target.kind.value,
        publish_target.location,
    )
    assert record is not None
    return to_workflow(record)


async def get_workflow(connection: Connection, organization_id: UUID, workflow_id: UUID) -> Workflow | None:
    record = await connection.fetchrow(QUERIES["get_workflow"], organization_id, workflow_id)
    return None if record is None else to_workflow(record)


async def list_workflows(
    connection: Connection,
    organization_id: UUID,
    *,
    state: WorkflowState | None,
    waits_for: WaitKind | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Workflow]:
    """A page, newest first. `after` is the previous page's last (create_time, workflow_id)."""
    create_time, workflow_id = after or (None, None)
    records = await connection.fetch(
        QUERIES["list_workflows"], organization_id, state, create_time, workflow_id, limit, waits_for
    )
    return [to_workflow(record) for record in records]


async def merge_data_if_it_fits(
    connection: Connection,
    organization_id: UUID,
    workflow_id: UUID,
    data: Mapping[str, Any],
    *,
    bytes_max: int,
) -> Workflow | None:
    record = await connection.fetchrow(
        QUERIES["merge_data_if_it_fits"], organization_id, workflow_id, dict(data), bytes_max
    )
    return None if record is None else to_workflow(record)


async def transition_if_state(
    connection: Connection,
    organization_id: UUID,
    workflow_id: UUID,
    *,
    from_state: WorkflowState,
    to_state: WorkflowState,
    actor: str,
    reason: str,
) -> Workflow | None:
    """`to_state` is a state without a lease. A live lease ends here."""
    record = await connection.fetchrow(
        QUERIES["transition_if_state"], organization_id, workflow_id, from_state, to_state, actor, reason
    )
    return None if record is None else to_workflow(record)


async def insert_missing_transitions(
    connection: Connection, edges: Sequence[tuple[WorkflowState, WorkflowState]]
) -> None:
    """Adds (from_state, to_state) pairs to the matrix of legal transitions."""
    await connection.execute(
        QUERIES["insert_missing_transitions"],
        [from_state for from_state, _ in edges],
        [to_state for _, to_state in edges],
    )


async def list_transitions(
    connection: Connection, organization_id: UUID, workflow_id: UUID, *, after_version: int, limit: int
) -> list[Transition]:
    records = await connection.fetch(
        QUERIES["list_transitions"], organization_id, workflow_id, after_version, limit
    )
    return [
        Transition(
            from_state=WorkflowState(record["from_state"]),
            to_state=WorkflowState(record["to_state"]),
            version=record["version"],
            actor=record["actor"],
            reason=record["reason"],
            epoch=record["epoch"] or 0,
            total_ai_cost_nano_usd=record["total_ai_cost_nano_usd"],
            create_time=record["create_time"],
        )
        for record in records
    ]


async def set_pause(
    connection: Connection, key: WorkflowKey, pause: tuple[str, str] | None
) -> Workflow | None:
    """Pauses the workflow, by an actor for a reason, or resumes it. None if that is no change."""
    actor, reason = pause or (None, None)
    record = await connection.fetchrow(
        QUERIES["set_pause"], key.organization_id, key.workflow_id, actor, reason
    )
    return None if record is None else to_workflow(record)


async def lock_matching(
    connection: Connection,
    organization_id: UUID,
    *,
    state: WorkflowState | None,
    waits_for: WaitKind | None,
    is_paused: bool,
    limit: int,
) -> list[WorkflowKey]:
    """Workflows that are paused, or can be, and match; locked until the transaction ends."""
    records = await connection.fetch(
        QUERIES["lock_matching"], organization_id, state, waits_for, is_paused, limit
    )
    return [WorkflowKey(organization_id, each["id"]) for each in records]


async def list_update_times(
    connection: Connection, keys: Sequence[WorkflowKey]
) -> dict[WorkflowKey, datetime]:
    records = await connection.fetch(
        QUERIES["list_update_times"],
        [key.organization_id for key in keys],
        [key.workflow_id for key in keys],
    )
    return {WorkflowKey(each["organization_id"], each["id"]): each["update_time"] for each in records}


def to_workflow(record: asyncpg.Record) -> Workflow:
    """From a row of `intent_workflows`."""
    profile = record["profile"]
    return Workflow(
        workflow_id=record["id"],
        organization_id=record["organization_id"],
        display_name=record["display_name"],
        state=WorkflowState(record["state"]),
        version=record["version"],
        profile=Profile(
            organization_name=profile["organization_name"],
            organization_url=profile["organization_url"],
            linkedin_url=profile["linkedin_url"],
            competitor_urls=tuple(profile["competitor_urls"]),
        ),
        publish_target=PublishTarget(PublishKind(record["publish_kind"]), record["publish_location"]),
        workflow_data=record["workflow_data"],
        icp=None if record["icp"] is None else IcpResult.model_validate(record["icp"]),
        total_ai_cost_nano_usd=record["total_ai_cost_nano_usd"],
        last_error=_last_error(record),
        epoch=record["lease_epoch"],
        lease_expire_time=record["lease_expire_time"],
        create_time=record["create_time"],
        update_time=record["update_time"],
        waiting=_waiting(record),
        pause=None
        if record["pause_time"] is None
        else Pause(record["pause_time"], record["pause_actor"], record["pause_reason"]),
    )


def _waiting(record: asyncpg.Record) -> Waiting | None:
    if record["waits_for"] is None:
        return None
    kind = WaitKind(record["waits_for"])
    next_times = {
        WaitKind.LEASE_HOLDER: record["lease_expire_time"],
        WaitKind.RETRY: record["due_time"],
        WaitKind.BUDGET: record["due_time"],
    }
    is_retry = kind is WaitKind.RETRY
    return Waiting(
        kind=kind,
        since_time=record["pause_time"] if kind is WaitKind.RESUME else record["state_time"],
        next_time=next_times.get(kind),
        attempt=record["failed_attempts"] if is_retry else 0,
        attempts_max=(record["attempts_max"] or 0) if is_retry else 0,
    )


def _last_error(record: asyncpg.Record) -> LastError | None:
    if record["error_class"] is None:
        return None
    return LastError(ErrorClass(record["error_class"]), record["error_reason"], record["error_message"])
