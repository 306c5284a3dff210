"""The model's data, immutable except an organization's dictionaries, and its arithmetic."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from governor_service.domain.hold_bounds import CallBounds
from governor_service.domain.usage import Usage
from tests.property.budget_keys import BudgetKey
from tests.property.operations import (
    Authorize,
    Call,
    Context,
    Entry,
    Price,
    SetTier,
    Settle,
    Status,
    Sweep,
)

ENTRY_COST_MAX = 10**15
TOTAL_MAX = 9 * 10**18
RETENTION = timedelta(hours=24)
LONGEST_HOLD = timedelta(hours=24)
DEFAULT_TIER = SetTier(None, "default", workflow_limit=10**9, monthly_quota=25 * 10**9, cost_basis="GREATER")
NOTHING_USED = Usage(input_tokens=0, output_tokens=0, requests=0)


def names_of(model: str) -> list[str]:
    """The names that a model id may mean, the most specific first: without the case, the provider, the date,
    and last the variant."""
    base, *tails = re.split("(?=[@:])", model.lower())
    variant = "".join(tail for tail in tails if tail[0] == ":")
    undated = re.sub(r"-\d{4}-\d{2}-\d{2}$", "", base)
    stems = [f"{stem}{kept}" for kept in (variant, "") for stem in (base, undated)]
    return list(dict.fromkeys([model.lower(), *stems]))


def canonical(model: str) -> str:
    """The most general name."""
    return names_of(model)[-1]


def bounds_of(call: Call, output_tokens: int) -> CallBounds:
    """The most that a call may use, with so many output tokens."""
    return CallBounds(
        input_tokens_max=call.input_tokens,
        output_tokens_max=output_tokens,
        requests_max=call.requests or 1,
        cache_write_tokens_max=call.cache_write_max,
        cache_write_1h_tokens_max=call.cache_write_1h_max,
        other_units_max=dict(call.others_max),
    )


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
    requested: str = ""
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
    def context(self) -> Context:
        """The variant of the price that it was asked for."""
        return self.asked.call.context if self.asked else ()

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
    cost_basis: str | None = None
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
            self.cost_basis,
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
