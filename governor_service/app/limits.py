"""GetBudget, ListBudgets and SetBudget: what may be spent."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from governor_service.domain import errors
from governor_service.domain.budgets import BudgetName, BudgetPeriod, BudgetScope, BudgetStatus
from governor_service.store import budgets
from service_chassis.postgres.database import Connection, Database


async def get_budget(
    database: Database, organization_id: UUID, name: BudgetName, *, either_period: bool
) -> BudgetStatus:
    """The budget as it stands; without a month, this month's.

    `either_period`: of a label's budgets, the lifetime's where there is none for the month.
    """
    async with database.read() as connection:
        this_month = await _of_this_month(connection, name)
        if name.scope is BudgetScope.LABEL:
            standing = replace(name, month=None)
            known = await budgets.has_limit(connection, organization_id, [standing, this_month])
            if not known and either_period:
                this_month = replace(name, period=BudgetPeriod.LIFETIME, month=None)
                known = await budgets.has_limit(connection, organization_id, [this_month])
            if not known:
                raise errors.budget_not_found()
        return await budgets.find(connection, organization_id, this_month)


async def list_budgets(
    database: Database, organization_id: UUID, scope: BudgetScope | None, *, after_key: str, limit: int
) -> list[BudgetStatus]:
    """At most `limit` of the budgets that were ever used or set, by key; `scope` None: of any."""
    async with database.read() as connection:
        return await budgets.list_budgets(
            connection, organization_id, scope, after_key=after_key, limit=limit
        )


async def set_budget(
    database: Database,
    organization_id: UUID,
    name: BudgetName,
    limit_nano_usd: int | None,
    *,
    author: str,
    request_id: UUID | None,
    content_hash: bytes,
) -> BudgetStatus:
    """Sets a limit, or (None) takes it away, and returns the budget that it governs now."""

    async def work(connection: Connection) -> BudgetStatus:
        accepted = await budgets.set_limit(
            connection,
            organization_id,
            name,
            limit_nano_usd,
            author=author,
            request_id=request_id,
            content_hash=content_hash,
        )
        if not accepted:
            raise errors.request_id_reused()
        return await budgets.find(connection, organization_id, await _of_this_month(connection, name))

    return await database.write(work)


async def _of_this_month(connection: Connection, name: BudgetName) -> BudgetName:
    if name.period is BudgetPeriod.MONTH and name.month is None:
        return replace(name, month=await budgets.current_month(connection))
    return name
