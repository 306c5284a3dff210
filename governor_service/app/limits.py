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
    """The budget as it stands; of a period that begins anew, without a start the present one.

    `either_period`: if there is no such budget, that of the scope's next period.
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
        return await budgets.find(connection, organization_id, name.at(await budgets.now(connection)))

    return await database.write(work)
