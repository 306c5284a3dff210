"""The ledger: settlements of holds, and the entries that they post."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID, uuid5

from governor_service.domain.authorization import Ended, NotFound
from governor_service.domain.budgets import BudgetStatus
from governor_service.domain.model_id import ModelId
from governor_service.domain.organizations import CostBasis
from governor_service.domain.usage import Usage
from service_chassis.content_hash import content_hash, counts_content

_NAMESPACE = UUID("6f0b7a52-9a1c-5d0e-8c43-2f7d1f3a9be1")


def idempotency_key(method: str, request_id: UUID) -> UUID:
    """The key of the one entry that a request may post, within its organization."""
    return uuid5(_NAMESPACE, f"{method}/{request_id}")


def usage_content(usage: Usage | None) -> str:
    """Usage as text for `content_hash`; empty if it is unknown. 0 requests count as 1."""
    if usage is None:
        return ""
    content = (
        f"{usage.input_tokens} {usage.cached_input_tokens} {usage.cache_write_tokens} "
        f"{usage.output_tokens} {usage.reasoning_tokens} {usage.requests or 1}"
    )
    # Left out where there are none, so that a retry after an upgrade means the same as before it.
    if usage.cache_write_1h_tokens or usage.other_units:
        content += f" {usage.cache_write_1h_tokens} {counts_content(usage.other_units)}"
    return content


class EntryKind(StrEnum):
    """The kind of an entry. Only an ADJUSTMENT may be negative."""

    USAGE = "USAGE"
    UNKNOWN = "UNKNOWN"
    ADJUSTMENT = "ADJUSTMENT"


class EntryFlag(StrEnum):
    """Why an entry deserves attention."""

    MODEL_DRIFT = "MODEL_DRIFT"
    UNPRICED_MODEL = "UNPRICED_MODEL"
    OVERAGE = "OVERAGE"
    LATE = "LATE"
    PROVIDER_VARIANCE = "PROVIDER_VARIANCE"
    UNKNOWN_OUTCOME = "UNKNOWN_OUTCOME"
    UNGUARDED = "UNGUARDED"
    USAGE_UNKNOWN = "USAGE_UNKNOWN"


class SettleOutcome(StrEnum):
    """How the database answers a settlement (migrations/governor/functions/50_settle.sql)."""

    SETTLED = "SETTLED"
    REPLAYED = "REPLAYED"
    AUTHORIZATION_NOT_FOUND = "AUTHORIZATION_NOT_FOUND"
    AUTHORIZATION_NOT_PENDING = "AUTHORIZATION_NOT_PENDING"
    COST_TOO_LARGE = "COST_TOO_LARGE"
    TOTAL_TOO_LARGE = "TOTAL_TOO_LARGE"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleRequest:
    """The usage of a call; `usage` is None if it is unknown.

    `served_model` None: the granted one. `price_context` is the variant that the provider applied; empty: the
    hold's.
    """

    organization_id: UUID
    authorization_id: UUID
    served_model: ModelId | None
    price_context: Mapping[str, str]
    usage: Usage | None
    provider_cost_nano_usd: int | None
    provider_generation_id: str
    author: str

    @property
    def true_up_key(self) -> UUID:
        """The idempotency key of the adjustment that brings an unknown outcome to its true cost."""
        return idempotency_key("TrueUp", self.authorization_id)

    @property
    def content_hash(self) -> bytes:
        """Distinguishes a repeated settlement from a different one.

        The served model and the variant are not part of it. The database compares these, since it knows the
        hold, which has their defaults.
        """
        return content_hash(
            usage=usage_content(self.usage),
            provider_cost_nano_usd=self.provider_cost_nano_usd,
            provider_generation_id=self.provider_generation_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One line of an organization's ledger. If it settles a hold, cost + released = held + overage.

    `cost_basis` is None for an adjustment by Adjust.
    """

    organization_id: UUID
    entry_id: UUID
    sequence: int
    kind: EntryKind
    workflow_id: UUID
    authorization_id: UUID | None
    requested_model: str
    granted_model: str
    served_model: str
    usage: Usage
    cost_nano_usd: int
    rated_cost_nano_usd: int
    provider_cost_nano_usd: int | None
    provider_generation_id: str
    held_nano_usd: int
    overage_nano_usd: int
    price_id: UUID | None
    price_context: Mapping[str, str]
    cost_basis: CostBasis | None
    flags: tuple[EntryFlag, ...]
    labels: Mapping[str, str]
    month: date
    adjusts_entry_id: UUID | None
    reason: str
    author: str
    create_time: datetime

    @property
    def released_nano_usd(self) -> int:
        """The unused remainder that went back to the budgets when the entry was posted."""
        return max(0, self.held_nano_usd + self.overage_nano_usd - self.cost_nano_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The entry of a settlement, and the hold's budgets with their figures at the time of this answer."""

    entry: LedgerEntry
    budgets: tuple[BudgetStatus, ...]
    replayed: bool


@dataclass(frozen=True, slots=True)
class CostTooLarge:
    """The usage costs more than the bound of one entry. The hold stays as it is."""


@dataclass(frozen=True, slots=True)
class TotalTooLarge:
    """The cost would take a budget above its bound. The hold stays as it is."""


SettleAnswer: TypeAlias = Settlement | Ended | NotFound | CostTooLarge | TotalTooLarge
"""A settlement that was posted now or, if it is `replayed`, earlier; or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCost:
    """One served model's part of a cost."""

    model: str
    cost_nano_usd: int
    entries: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowCost:
    """The cost of a workflow, by served model, dearest first. `held_nano_usd` is not part of the cost."""

    workflow_id: UUID
    cost_nano_usd: int
    held_nano_usd: int
    models: tuple[ModelCost, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """Which of an organization's entries to list. None does not narrow. `month` is its first day."""

    organization_id: UUID
    workflow_id: UUID | None
    model: ModelId | None
    kind: EntryKind | None
    flag: EntryFlag | None
    label: dict[str, str] | None
    month: date | None
    start_time: datetime | None
    end_time: datetime | None
