"""Organizations in the database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record

from governor_service.domain.organizations import (
    ChangeRequest,
    CostBasis,
    Organization,
    OrganizationChange,
    SetOutcome,
)
from service_chassis.postgres.database import Connection
from service_chassis.postgres.queries import load_queries

QUERIES = load_queries(__package__, "organizations.sql")


async def find(connection: Connection, organization_id: UUID, *, denies_unknown: bool) -> Organization | None:
    """None if `denies_unknown` and nobody has set the organization up."""
    row = await connection.fetchrow(QUERIES["find_organization"], organization_id, denies_unknown)
    if row is None:
        return None
    return Organization(organization_id=organization_id, **(dict(row) | {"cost_basis": _basis(row)}))


async def set_organization(
    connection: Connection, change: OrganizationChange, request: ChangeRequest
) -> tuple[SetOutcome, Organization | None]:
    """The organization as the request set it, even if it has changed since; None if that was refused."""
    row = await connection.fetchrow(
        QUERIES["set_organization"],
        change.organization_id,
        request.request_id,
        request.content_hash,
        [field.value for field in change.fields],
        change.tier,
        change.workflow_limit_nano_usd,
        change.monthly_quota_nano_usd,
        change.cost_basis and change.cost_basis.value,
        request.author,
    )
    assert row is not None
    answer = row["answer"]
    return SetOutcome(row["outcome"]), answer and Organization(
        organization_id=change.organization_id,
        tier=answer["tier"],
        workflow_limit_nano_usd=answer["workflow_limit_nano_usd"],
        monthly_quota_nano_usd=answer["monthly_quota_nano_usd"],
        cost_basis=_basis(answer),
        create_time=datetime.fromisoformat(answer["create_time"]),
        update_time=datetime.fromisoformat(answer["update_time"]),
        author=answer["author"],
    )


def _basis(row: Mapping[str, Any] | Record) -> CostBasis | None:
    """An answer that was stored before there was a choice has none."""
    basis = row.get("cost_basis")
    return CostBasis(basis) if basis else None
