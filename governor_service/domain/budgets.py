"""Budgets: what may be spent, what is spent and what is held."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

LIMIT_NANO_USD_MAX = 10**17
"""A hundred million USD."""


class BudgetScope(StrEnum):
    """Whose budget it is."""

    ORGANIZATION = "ORGANIZATION"
    WORKFLOW = "WORKFLOW"
    LABEL = "LABEL"


class BudgetPeriod(StrEnum):
    """How often a budget begins anew. ORGANIZATION is by MONTH, WORKFLOW for a LIFETIME, LABEL either."""

    MONTH = "MONTH"
    LIFETIME = "LIFETIME"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetName:
    """Which budget.

    `period_start` is the first day of a month, or None: for a lifetime, and for a month's standing limit.
    """

    organization_id: UUID
    scope: BudgetScope
    subject: str
    period: BudgetPeriod
    period_start: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """One budget at one instant. `period_start` None: a lifetime. `limit_nano_usd` None: no limit."""

    scope: BudgetScope
    subject: str
    period_start: datetime | None
    limit_nano_usd: int | None
    spent_nano_usd: int
    held_nano_usd: int
    unguarded_nano_usd: int

    @property
    def available_nano_usd(self) -> int:
        """What a hold may still take; 0 where there is no limit to take it from."""
        return max(0, self._headroom_nano_usd or 0)

    @property
    def _headroom_nano_usd(self) -> int | None:
        """Below 0 where a limit was lowered or overage was posted; None without a limit."""
        if self.limit_nano_usd is None:
            return None
        return self.limit_nano_usd - self.spent_nano_usd - self.held_nano_usd

    def denies(self, requested_nano_usd: int) -> bool:
        """Whether a hold of this amount does not fit."""
        return self._headroom_nano_usd is not None and self._headroom_nano_usd < requested_nano_usd


def binding(budgets: Iterable[BudgetStatus]) -> BudgetStatus | None:
    """The budget that would deny first: of those with a limit, the one with the least available."""
    limited = [budget for budget in budgets if budget.limit_nano_usd is not None]
    return min(limited, key=lambda budget: budget.available_nano_usd, default=None)
