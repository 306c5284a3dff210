"""Budgets and their limits in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from governor_service.domain.budgets import BudgetName, BudgetScope, BudgetStatus, LimitChange
from governor_service.store import records
from service_chassis.postgres.database import Connection
from service_chassis.postgres.queries import load_queries

QUERIES = load_queries(__package__, "budgets.sql")


async def now(connection: Connection) -> datetime:
    """The time by the database's clock."""
    time: datetime = await connection.fetchval(QUERIES["now"])
    return time


async def has_limit(connection: Connection, organization_id: UUID, names: Sequence[BudgetName]) -> bool:
    """Whether a limit was ever set for one of these."""
    found: bool = await connection.fetchval(
        QUERIES["has_limit"], organization_id, [name.key for name in names]
    )
    return found


async def find(connection: Connection, organization_id: UUID, name: BudgetName) -> BudgetStatus:
    """The budget's present figures, even if nothing has ever been held or spent on it."""
    row = await connection.fetchrow(QUERIES["find_budget"], organization_id, name.key)
    assert row is not None
    (status,) = records.budgets(row)
    return status


async def list_budgets(
    connection: Connection, organization_id: UUID, scope: BudgetScope | None, *, after_key: str, limit: int
) -> list[BudgetStatus]:
    """At most `limit` budgets that were ever used or given a limit, after a key, by key. None: any scope."""
    row = await connection.fetchrow(
        QUERIES["list_budgets"], organization_id, scope.key_prefixes if scope else ("",), after_key, limit
    )
    assert row is not None
    return list(records.budgets(row))


async def list_limit_changes(
    connection: Connection,
    organization_id: UUID,
    scope: BudgetScope | None,
    *,
    before: tuple[datetime, UUID],
    limit: int,
) -> list[LimitChange]:
    """At most `limit` changes before a time and id, newest first. `scope` None: any scope."""
    rows = await connection.fetch(
        QUERIES["list_limit_changes"],
        organization_id,
        scope.key_prefixes if scope else ("",),
        *before,
        limit,
    )
    return [
        LimitChange(
            change_id=row["change_id"],
            name=BudgetName.of_key(row["budget_key"]),
            limit_nano_usd=row["limit_nano_usd"],
            expire_time=row["expire_time"],
            limit_after_nano_usd=row["limit_after_nano_usd"],
            author=row["author"],
            change_time=row["change_time"],
        )
        for row in rows
    ]


async def set_limit(
    connection: Connection,
    organization_id: UUID,
    name: BudgetName,
    limit_nano_usd: int | None,
    *,
    expire_time: datetime | None,
    author: str,
    request_id: UUID | None,
    content_hash: bytes,
) -> str:
    """Sets the limit (None: removes it). The outcome of the function set_budget."""
    outcome: str = await connection.fetchval(
        QUERIES["set_budget"],
        organization_id,
        request_id,
        content_hash,
        name.key,
        limit_nano_usd,
        expire_time,
        author,
    )
    return outcome
