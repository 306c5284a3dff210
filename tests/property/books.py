"""The model's data, immutable except an organization's dictionaries, and its arithmetic."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.property.budget_keys import BudgetKey
from tests.property.operations import (
    Authorize,
    Entry,
    Price,
    Rates,
    SetTier,
    Settle,
    Status,
    Sweep,
    Usage,
)

ENTRY_COST_MAX = 10**15
TOTAL_MAX = 9 * 10**18
RETENTION = timedelta(hours=24)
LONGEST_HOLD = timedelta(hours=24)
DEFAULT_TIER = SetTier(None, "default", workflow_limit=10**9, monthly_quota=25 * 10**9)
NOTHING_USED = Usage(0, 0, 0, 0, 0, 0)


def canonical(model: str) -> str:
    """The name without the parts that do not change a price: case, provider, variant, date."""
    return re.sub(r"-\d{4}-\d{2}-\d{2}$", "", re.split("[@:]", model.lower())[0])


def rated_cost(rates: Rates, usage: Usage) -> int:
    cached = rates.input if rates.cached is None else rates.cached
    cache_write = rates.input if rates.cache_write is None else rates.cache_write
    reasoning = rates.output if rates.reasoning is None else rates.reasoning
    millionths = (
        (usage.input - usage.cached - usage.cache_write) * rates.input
        + usage.cached * cached
        + usage.cache_write * cache_write
        + (usage.output - usage.reasoning) * rates.output
        + usage.reasoning * reasoning
    )
    return _rounded_up(millionths) + (usage.requests or 1) * rates.request


def bound(rates: Rates, input_tokens: int, output_tokens: int, requests: int) -> int:
    """The highest cost of a call: every token at the dearest price of its direction."""
    dearest_input = max(rates.input, rates.cached or 0, rates.cache_write or 0)
    dearest_output = max(rates.output, rates.reasoning or 0)
    return (
        _rounded_up(input_tokens * dearest_input + output_tokens * dearest_output) + requests * rates.request
    )


def _rounded_up(millionths: int) -> int:
    return -(-millionths // 10**6)


def month_of(time: datetime) -> str:
    return f"{time:%Y-%m}"


@dataclass(frozen=True)
class Account:
    spent: int = 0
    held: int = 0
    unguarded: int = 0


@dataclass(frozen=True)
class Hold:
    """`asked` None: voided before Authorize arrived. `settled_with`: the operation that posted its entry."""

    asked: Authorize | None
    state: str
    create_time: datetime
    expire_time: datetime
    model: str = ""
    output_tokens: int = 0
    held: int = 0
    price: Price | None = None
    downgraded: bool = False
    month: str | None = None
    budgets: tuple[BudgetKey, ...] = ()
    entry: int | None = None
    settled_with: Settle | Sweep | None = None
    true_up: int | None = None

    @property
    def is_unknown(self) -> bool:
        """Settled, and its usage is still unknown."""
        by = self.settled_with
        return self.state == "SETTLED" and not (isinstance(by, Settle) and by.usage is not None)

    def state_at(self, now: datetime) -> str:
        return "SUSPENSE" if self.state == "PENDING" and self.expire_time <= now else self.state


@dataclass
class Organization:
    tier: str = "default"
    workflow_limit: int | None = None
    monthly_quota: int | None = None
    limits: dict[BudgetKey, int | None] = field(default_factory=dict)
    accounts: dict[BudgetKey, Account] = field(default_factory=dict)
    holds: dict[int, Hold] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    posted_to: dict[int, tuple[BudgetKey, ...]] = field(default_factory=dict)

    def copy(self) -> Organization:
        return Organization(
            self.tier,
            self.workflow_limit,
            self.monthly_quota,
            dict(self.limits),
            dict(self.accounts),
            dict(self.holds),
            list(self.entries),
            dict(self.posted_to),
        )


@dataclass(frozen=True)
class Decision:
    """The grant, or the reason of its `denial`."""

    budgets: tuple[Status, ...]
    denial: str | None = None
    model: str = ""
    price: Price | None = None
    output_tokens: int = 0
    hold: int = 0
    downgraded: bool = False


@dataclass(frozen=True)
class Charge:
    cost: int
    rated: int
    price: Price | None
    flags: frozenset[str]
