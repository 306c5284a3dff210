"""GetBudget, ListBudgets and SetBudget: what may be spent."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from governor_service.domain import errors
from governor_service.domain.budgets import PERIODS, BudgetName, BudgetScope, BudgetStatus
from governor_service.store import budgets
from service_chassis.postgres.database import Connection, Database


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
                connection, organization_id, [present.standing, present]
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
    """Sets a limit (None: removes it) and returns the budget that the limit applies to now."""

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
        return await budgets.find(connection, organization_id, name.at(await budgets.now(connection)))

    return await database.write(work)
