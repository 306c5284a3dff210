"""Budgets and their limits in the database."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from governor_service.domain.budgets import BudgetName, BudgetPeriod, BudgetStatus
from governor_service.store import records
from service_chassis.database import Connection
from service_chassis.queries import load_queries

QUERIES = load_queries(__package__, "budgets.sql")


async def current_month(connection: Connection) -> date:
    """By the database's clock, in UTC."""
    month: date = await connection.fetchval(QUERIES["current_month"])
    return month


async def label_periods(connection: Connection, organization_id: UUID, subject: str) -> set[BudgetPeriod]:
    """The periods that budgets have been set for on `key=value`; empty where none has."""
    rows = await connection.fetch(QUERIES["label_periods"], organization_id, subject)
    return {BudgetPeriod(row["period"]) for row in rows}


async def find(connection: Connection, name: BudgetName) -> BudgetStatus:
    """The budget as it stands, also if nothing has ever been held or spent on it."""
    row = await connection.fetchrow(QUERIES["find_budget"], *_key(name))
    assert row is not None
    (status,) = records.budgets([dict(row)])
    return status


async def set_limit(
    connection: Connection,
    name: BudgetName,
    limit_nano_usd: int | None,
    *,
    author: str,
    request_id: UUID | None,
    content_hash: bytes,
) -> bool:
    """Sets the limit, or (None) takes it away. False: nothing changed, the request_id has other content."""
    organization_id, *subject = _key(name)
    outcome: str = await connection.fetchval(
        QUERIES["set_budget"], organization_id, request_id, content_hash, *subject, limit_nano_usd, author
    )
    return outcome != "REQUEST_ID_REUSED"


def _key(name: BudgetName) -> tuple[UUID, str, str, str, date]:
    period_start = name.period_start or records.LIFETIME_START
    return name.organization_id, name.scope.value, name.subject, name.period.value, period_start
