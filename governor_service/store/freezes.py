"""Freezes in the database."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from governor_service.domain.organizations import ChangeRequest, Freeze, FreezeTarget, SetOutcome
from service_chassis.postgres.database import Connection
from service_chassis.postgres.queries import load_queries

QUERIES = load_queries(__package__, "freezes.sql")


async def set_freeze(
    connection: Connection, target: FreezeTarget, request: ChangeRequest, *, frozen: bool, reason: str
) -> tuple[SetOutcome, Freeze | None]:
    """The freeze as the request set it, even if it has changed since; None if the request was refused."""
    row = await connection.fetchrow(
        QUERIES["set_freeze"],
        target.organization_id,
        request.request_id,
        request.content_hash,
        target.model or "",
        frozen,
        reason,
        request.author,
    )
    assert row is not None
    answer = row["answer"]
    return SetOutcome(row["outcome"]), answer and Freeze(
        # A name may mean another model by now.
        target=FreezeTarget(organization_id=target.organization_id, model=answer["model"] or None),
        frozen=answer["frozen"],
        reason=answer["reason"],
        author=answer["author"],
        update_time=datetime.fromisoformat(answer["change_time"]),
    )


async def list_freezes(
    connection: Connection, organization_id: UUID | None, *, after: tuple[UUID, str] | None, limit: int
) -> list[Freeze]:
    """At most `limit` freezes in force after an organization and model (None: from the first on).

    `organization_id` None: every freeze.
    """
    position = after or (None, None)
    rows = await connection.fetch(QUERIES["list_freezes"], organization_id, *position, limit)
    return [
        Freeze(
            target=FreezeTarget(organization_id=row["organization_id"], model=row["model"]),
            frozen=True,
            reason=row["reason"],
            author=row["author"],
            update_time=row["update_time"],
        )
        for row in rows
    ]
