"""Operations and answers of the governor: the vocabulary shared by the model and the real governor.

Organizations, workflows and requests are small numbers here, and an entry is its sequence; `wire.py` converts
them to real ids. `sameness.py` says which operations have the same content.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

from governor_service.domain.pricing import Rates
from governor_service.domain.usage import Usage
from tests.property.budget_keys import BudgetKey


class HoldName(NamedTuple):
    """A hold: its organization, and the request that asked for it."""

    organization: int
    request: int


class EntryName(NamedTuple):
    """An entry: the organization of its ledger, and its sequence."""

    organization: int
    sequence: int


Labels: TypeAlias = tuple[tuple[str, str], ...]
Context: TypeAlias = tuple[tuple[str, str], ...]
"""The variant of a price, sorted."""
Counts: TypeAlias = tuple[tuple[str, int], ...]
"""Other units by their usage keys, sorted."""


@dataclass(frozen=True)
class Call:
    """The fields that Authorize and CheckBudget share. `models` are as sent, in any spelling."""

    organization: int
    workflow: int
    models: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    output_tokens_min: int | None = None
    requests: int | None = None
    labels: Labels = ()
    cache_write_max: int | None = None
    cache_write_1h_max: int | None = None
    others_max: Counts = ()
    context: Context = ()


@dataclass(frozen=True)
class Authorize:
    request: int
    call: Call
    duration: timedelta | None = None
    on_expiry: str | None = None

    @property
    def organization(self) -> int:
        return self.call.organization


@dataclass(frozen=True)
class CheckBudget:
    call: Call


@dataclass(frozen=True)
class Settle:
    """`usage` None: the outcome is unknown."""

    organization: int
    hold: HoldName
    usage: Usage | None
    served: str = ""
    provider_cost: int | None = None
    context: Context = ()


@dataclass(frozen=True)
class Void:
    organization: int
    hold: HoldName
    by_request: bool


@dataclass(frozen=True)
class Extend:
    organization: int
    hold: HoldName
    expire_time: datetime


@dataclass(frozen=True)
class Sweep:
    """One round of the sweeper for one organization."""

    organization: int


@dataclass(frozen=True)
class RecordUsage:
    organization: int
    workflow: int
    request: int
    served: str
    usage: Usage
    provider_cost: int | None = None
    labels: Labels = ()
    occurred_time: datetime | None = None
    context: Context = ()


@dataclass(frozen=True)
class Adjust:
    organization: int
    request: int
    entry: EntryName
    corrected_cost: int


@dataclass(frozen=True)
class CreatePrice:
    request: int | None
    model: str
    rates: Rates
    effective_time: datetime | None = None
    context: Context = ()
    source: str = ""
    allow_unusual: bool = True


@dataclass(frozen=True)
class SetModelAlias:
    request: int | None
    alias: str
    model: str


@dataclass(frozen=True)
class DeleteModelAlias:
    request: int | None
    alias: str


@dataclass(frozen=True)
class SetBudget:
    request: int | None
    organization: int
    key: BudgetKey
    limit: int | None


@dataclass(frozen=True)
class SetTier:
    request: int | None
    tier: str
    workflow_limit: int | None
    monthly_quota: int | None
    allowed_models: tuple[str, ...] = ()
    threshold_percent: int | None = None
    cost_basis: str | None = None


@dataclass(frozen=True)
class SetOrganization:
    """Sets all four fields; None clears one."""

    request: int | None
    organization: int
    tier: str | None
    workflow_limit: int | None
    monthly_quota: int | None
    cost_basis: str | None = None


@dataclass(frozen=True)
class SetFreeze:
    """An organization, a model, or (both None) everything."""

    request: int | None
    organization: int | None
    model: str | None
    frozen: bool


Operation: TypeAlias = (
    Authorize
    | CheckBudget
    | Settle
    | Void
    | Extend
    | Sweep
    | RecordUsage
    | Adjust
    | CreatePrice
    | SetModelAlias
    | DeleteModelAlias
    | SetBudget
    | SetTier
    | SetOrganization
    | SetFreeze
)


@dataclass(frozen=True)
class Price:
    """A version of a model's price. `source` tells two versions of one time apart."""

    model: str
    rates: Rates
    effective_time: datetime
    context: Context
    source: str


@dataclass(frozen=True)
class ModelAlias:
    """An alias as a change left it; `model` is empty if it was removed."""

    alias: str
    model: str
    update_time: datetime


@dataclass(frozen=True)
class Status:
    """The status of a budget."""

    key: BudgetKey
    limit: int | None
    spent: int
    held: int
    unguarded: int


@dataclass(frozen=True)
class HoldSeen:
    """An authorization as callers see it; few fields if it was voided before Authorize arrived."""

    organization: int
    request: int
    workflow: int | None
    state: str
    model: str
    input_tokens: int
    output_tokens: int
    requests: int
    held: int
    price: Price | None
    downgraded: bool
    on_expiry: str | None
    labels: Labels
    month: str | None
    create_time: datetime
    expire_time: datetime
    entry: int | None
    cache_write_max: int | None
    cache_write_1h_max: int | None
    others_max: Counts
    context: Context


@dataclass(frozen=True)
class Entry:
    """A line of the ledger. `hold` is the request of the hold that it settled."""

    organization: int
    sequence: int
    kind: str
    workflow: int
    hold: int | None
    requested_model: str
    granted_model: str
    served_model: str
    usage: Usage
    cost: int
    rated_cost: int
    provider_cost: int | None
    held: int
    overage: int
    price: Price | None
    flags: frozenset[str]
    labels: Labels
    month: str
    adjusts: int | None
    create_time: datetime
    context: Context
    cost_basis: str | None


@dataclass(frozen=True)
class Held:
    """The answer of Authorize, Void and Extend."""

    hold: HoldSeen
    budgets: tuple[Status, ...]
    replayed: bool


@dataclass(frozen=True)
class Checked:
    """The answer of CheckBudget; `denial` None: allowed."""

    denial: str | None
    model: str
    output_tokens: int
    estimated: int
    budgets: tuple[Status, ...]


@dataclass(frozen=True)
class Settled:
    entry: Entry
    released: int
    budgets: tuple[Status, ...]
    replayed: bool


@dataclass(frozen=True)
class Swept:
    released_holds: int
    charged_holds: int


@dataclass(frozen=True)
class Refused:
    """A refusal, with its details by name."""

    reason: str
    details: frozenset[tuple[str, str | int]] = frozenset()


Answer: TypeAlias = (
    Held
    | Checked
    | Settled
    | Swept
    | Entry
    | Status
    | Price
    | ModelAlias
    | SetTier
    | SetOrganization
    | SetFreeze
    | Refused
)
