"""Budgets: what may be spent, what is spent and what is held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final
from uuid import UUID

LIMIT_NANO_USD_MAX = 10**17
"""A hundred million USD."""


class BudgetScope(StrEnum):
    """Whose budget it is."""

    ORGANIZATION = "ORGANIZATION"
    WORKFLOW = "WORKFLOW"
    LABEL = "LABEL"

    @property
    def key_prefixes(self) -> tuple[str, ...]:
        """The prefixes of its budgets' keys."""
        match self:
            case BudgetScope.ORGANIZATION:
                return tuple(period.lower() for period in PERIODS[self])
            case BudgetScope.WORKFLOW | BudgetScope.LABEL:
                return (f"{self.lower()}/",)


class BudgetPeriod(StrEnum):
    """How often a budget begins again at zero."""

    MONTH = "MONTH"
    LIFETIME = "LIFETIME"
    DAY = "DAY"
    HOUR = "HOUR"

    @property
    def begins_anew(self) -> bool:
        return self in _STARTS

    def start_of(self, time: datetime) -> datetime | None:
        """The start of the period, in UTC, that a time falls in; None if it never begins anew."""
        if not self.begins_anew:
            return None
        return self.read_start(self.write_start(time.astimezone(UTC)))

    def end_of(self, start: datetime) -> datetime:
        """When the period that begins at `start` ends."""
        later = start + _AT_LEAST[self]
        ended = self.start_of(later)
        assert ended is not None
        return ended

    def write_start(self, start: datetime) -> str:
        """The start as a budget's key writes it."""
        return start.strftime(_STARTS[self])

    def read_start(self, text: str) -> datetime:
        return datetime.strptime(text, _STARTS[self]).replace(tzinfo=UTC)


PERIODS: Final[Mapping[BudgetScope, tuple[BudgetPeriod, ...]]] = {
    BudgetScope.ORGANIZATION: (
        BudgetPeriod.MONTH,
        BudgetPeriod.DAY,
        BudgetPeriod.HOUR,
        BudgetPeriod.LIFETIME,
    ),
    BudgetScope.WORKFLOW: (
        BudgetPeriod.LIFETIME,
        BudgetPeriod.MONTH,
        BudgetPeriod.DAY,
        BudgetPeriod.HOUR,
    ),
    BudgetScope.LABEL: (BudgetPeriod.MONTH, BudgetPeriod.LIFETIME, BudgetPeriod.DAY, BudgetPeriod.HOUR),
}
"""The kinds of budgets. A scope's first period is its default."""

_STARTS: Final = {
    BudgetPeriod.MONTH: "%Y-%m",
    BudgetPeriod.DAY: "%Y-%m-%d",
    BudgetPeriod.HOUR: "%Y-%m-%dT%H",
}
"""How keys write the start of a period. A period that is not here never begins anew."""

_AT_LEAST: Final = {
    BudgetPeriod.MONTH: timedelta(days=31),
    BudgetPeriod.DAY: timedelta(days=1),
    BudgetPeriod.HOUR: timedelta(hours=1),
}
"""A time after a period's start, in the next period."""

_STANDING: Final = "standing"
"""Written in place of a start, in the key of a limit that applies to every period."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetName:
    """The name of one of an organization's budgets, or of a standing limit.

    `start` is when its period begins; None for a lifetime, and for a limit that applies to every period.
    """

    scope: BudgetScope
    subject: str
    period: BudgetPeriod
    start: datetime | None

    @property
    def exists_without_limit(self) -> bool:
        """Whether it exists without a limit: true for an organization's month and for a workflow."""
        return self.scope is not BudgetScope.LABEL and self.period is PERIODS[self.scope][0]

    @property
    def standing(self) -> BudgetName:
        """The limit that applies to every period of this budget."""
        return replace(self, start=None)

    def at(self, now: datetime) -> BudgetName:
        """For a standing limit, the budget that it applies to now; any other budget unchanged."""
        return self if self.start else replace(self, start=self.period.start_of(now))

    @property
    def limits(self) -> list[BudgetName]:
        """The names under which a limit may be set that applies to it, that which counts first, first."""
        own = [self, self.standing] if self.start else [self]
        if self.scope is not BudgetScope.LABEL:
            return own
        key = self.subject.partition("=")[0]
        return own + [replace(name, subject=f"{key}=*") for name in own]

    @property
    def key(self) -> str:
        """The budget's key in the database: the domain `budget_key` in migrations/governor."""
        period = self.period.lower()
        if self.period.begins_anew:
            period += f"/{self.period.write_start(self.start) if self.start else _STANDING}"
        match self.scope:
            case BudgetScope.ORGANIZATION:
                return period
            case BudgetScope.WORKFLOW:
                lifetime = self.period is BudgetPeriod.LIFETIME
                return f"workflow/{self.subject}" if lifetime else f"workflow/{period}/{self.subject}"
            case BudgetScope.LABEL:
                return f"label/{period}/{self.subject}"

    @classmethod
    @lru_cache(maxsize=16_384)
    def of_key(cls, key: str) -> BudgetName:
        """The budget that a key names."""
        word, _, rest = key.partition("/")
        scope = BudgetScope.ORGANIZATION
        if word == "workflow" and "/" not in rest:
            return cls(scope=BudgetScope.WORKFLOW, subject=rest, period=BudgetPeriod.LIFETIME, start=None)
        if word in ("workflow", "label"):
            scope = BudgetScope(word.upper())
            word, _, rest = rest.partition("/")
        period, start = BudgetPeriod(word.upper()), None
        if period.begins_anew:
            text, _, rest = rest.partition("/")
            start = None if text == _STANDING else period.read_start(text)
        return cls(scope=scope, subject=rest, period=period, start=start)


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
        """The amount that a hold may still take; 0 if there is no limit."""
        return max(0, self._headroom_nano_usd or 0)

    @property
    def _headroom_nano_usd(self) -> int | None:
        """Negative after a limit was lowered or overage was posted; None without a limit."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChange:
    """A limit that was set, or (None) removed. At an `expire_time`, `limit_after_nano_usd` comes back."""

    change_id: UUID
    name: BudgetName
    limit_nano_usd: int | None
    expire_time: datetime | None
    limit_after_nano_usd: int | None
    author: str
    change_time: datetime
