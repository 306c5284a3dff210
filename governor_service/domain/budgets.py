"""Budgets: what may be spent, what is spent and what is held."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache

LIMIT_NANO_USD_MAX = 10**17
"""A hundred million USD."""


class BudgetScope(StrEnum):
    """Whose budget it is."""

    ORGANIZATION = "ORGANIZATION"
    WORKFLOW = "WORKFLOW"
    LABEL = "LABEL"

    @property
    def key_prefix(self) -> str:
        """What the keys of its budgets begin with."""
        match self:
            case BudgetScope.ORGANIZATION:
                return "month/"
            case BudgetScope.WORKFLOW:
                return "workflow/"
            case BudgetScope.LABEL:
                return "label/"


class BudgetPeriod(StrEnum):
    """How often a budget begins anew. ORGANIZATION is by MONTH, WORKFLOW for a LIFETIME, LABEL either."""

    MONTH = "MONTH"
    LIFETIME = "LIFETIME"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetName:
    """Which of an organization's budgets.

    `month` is its first day; None for a lifetime, and for the limit that stands for every month.
    """

    scope: BudgetScope
    subject: str
    period: BudgetPeriod
    month: date | None

    @property
    def key(self) -> str:
        """As the database names it: migrations/governor/0002_budgets.sql."""
        month = f"{self.month:%Y-%m}" if self.month else "standing"
        match self.scope, self.period:
            case BudgetScope.ORGANIZATION, _:
                return f"month/{month}"
            case BudgetScope.WORKFLOW, _:
                return f"workflow/{self.subject}"
            case _, BudgetPeriod.MONTH:
                return f"label/month/{month}/{self.subject}"
            case _:
                return f"label/lifetime/{self.subject}"

    @classmethod
    @lru_cache(maxsize=16_384)
    def of_key(cls, key: str) -> BudgetName:
        """The budget that a key names."""
        kind, _, rest = key.partition("/")
        if kind == "workflow":
            return cls(scope=BudgetScope.WORKFLOW, subject=rest, period=BudgetPeriod.LIFETIME, month=None)
        if kind == "month":
            return cls(
                scope=BudgetScope.ORGANIZATION, subject="", period=BudgetPeriod.MONTH, month=_month(rest)
            )
        period, _, rest = rest.partition("/")
        if period == "lifetime":
            return cls(scope=BudgetScope.LABEL, subject=rest, period=BudgetPeriod.LIFETIME, month=None)
        month, _, subject = rest.partition("/")
        return cls(scope=BudgetScope.LABEL, subject=subject, period=BudgetPeriod.MONTH, month=_month(month))


def _month(text: str) -> date | None:
    return None if text == "standing" else date.fromisoformat(f"{text}-01")


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """One budget at one instant. `limit_nano_usd` None: no limit."""

    name: BudgetName
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
