"""GetBudget, ListBudgets and SetBudget: what may be spent."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from governor_service.domain import errors
from governor_service.domain.budgets import PERIODS, BudgetName, BudgetScope, BudgetStatus, LimitChange
from governor_service.store import budgets
from service_chassis.postgres.database import Connection, Database
from service_chassis.refusal import invalid_field


async def get_budget(
    database: Database, organization_id: UUID, name: BudgetName, *, either_period: bool
) -> BudgetStatus:
    """The present figures of a budget. A name without a start means the present period.

    `either_period`: if there is no such budget, the scope's other periods are tried. Refuses with
    BUDGET_NOT_FOUND.
    """
    others = PERIODS[name.scope] if either_period else ()
    names = [
        name,
        *(replace(name, period=period, start=None) for period in others if period is not name.period),
    ]
    async with database.read() as connection:
        now = await budgets.now(connection)
        for present in (name.at(now) for name in names):
            if present.exists_without_limit or await budgets.has_limit(
                connection, organization_id, present.limits
            ):
                return await budgets.find(connection, organization_id, present)
        raise errors.budget_not_found()


async def list_budgets(
    database: Database, organization_id: UUID, scope: BudgetScope | None, *, after_key: str, limit: int
) -> list[BudgetStatus]:
    """At most `limit` budgets that were ever used or given a limit, by key. `scope` None: any scope."""
    async with database.read() as connection:
        return await budgets.list_budgets(
            connection, organization_id, scope, after_key=after_key, limit=limit
        )


async def list_limit_changes(
    database: Database,
    organization_id: UUID,
    scope: BudgetScope | None,
    *,
    before: tuple[datetime, UUID],
    limit: int,
) -> list[LimitChange]:
    """At most `limit` changes before a time and id, newest first. `scope` None: any scope."""
    async with database.read() as connection:
        return await budgets.list_limit_changes(
            connection, organization_id, scope, before=before, limit=limit
        )


async def set_budget(
    database: Database,
    organization_id: UUID,
    name: BudgetName,
    limit_nano_usd: int | None,
    *,
    expire_time: datetime | None,
    author: str,
    request_id: UUID | None,
    content_hash: bytes,
) -> BudgetStatus:
    """Sets a limit (None: removes it) until `expire_time` (None: without an end).

    Returns the budget that the limit applies to now. Refuses with REQUEST_ID_REUSED, and with INVALID_FIELD
    for an expire_time that has passed.
    """

    async def work(connection: Connection) -> BudgetStatus:
        outcome = await budgets.set_limit(
            connection,
            organization_id,
            name,
            limit_nano_usd,
            expire_time=expire_time,
            author=author,
            request_id=request_id,
            content_hash=content_hash,
        )
        if outcome == "ENDED_BEFORE":
            raise invalid_field("expire_time", "has passed")
        if outcome == "REQUEST_ID_REUSED":
            raise errors.request_id_reused()
        return await budgets.find(connection, organization_id, name.at(await budgets.now(connection)))

    return await database.write(work)
