"""GetBudget and SetBudget: what may be spent."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from uuid import UUID

from governor_service.domain import errors
from governor_service.domain.budgets import BudgetName, BudgetPeriod, BudgetScope, BudgetStatus
from governor_service.store import budgets
from service_chassis.database import Connection, Database


async def get_budget(
    database: Database,
    organization_id: UUID,
    scope: BudgetScope,
    subject: str,
    period: BudgetPeriod | None,
    month: date | None,
) -> BudgetStatus:
    """The budget as it stands.

    `month` None: this month. A label's `period` None: MONTH where such a budget is set, else LIFETIME.
    """
    async with database.read() as connection:
        if scope is BudgetScope.LABEL:
            periods = await budgets.label_periods(connection, organization_id, subject)
            period = period or (
                BudgetPeriod.MONTH if BudgetPeriod.MONTH in periods else BudgetPeriod.LIFETIME
            )
            if period not in periods:
                raise errors.budget_not_found()
        assert period is not None
        name = BudgetName(
            organization_id=organization_id, scope=scope, subject=subject, period=period, period_start=month
        )
        return await budgets.find(connection, await _of_this_month(connection, name))


async def set_budget(
    database: Database,
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
            name,
            limit_nano_usd,
            author=author,
            request_id=request_id,
            content_hash=content_hash,
        )
        if not accepted:
            raise errors.request_id_reused()
        return await budgets.find(connection, await _of_this_month(connection, name))

    return await database.write(work)


async def _of_this_month(connection: Connection, name: BudgetName) -> BudgetName:
    if name.period is BudgetPeriod.MONTH and name.period_start is None:
        return replace(name, period_start=await budgets.current_month(connection))
    return name
