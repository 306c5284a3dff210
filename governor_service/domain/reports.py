"""Reports of what was spent, read from totals that each ledger entry updates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from governor_service.domain.ledger import ModelCost


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCost:
    """One UTC day's part of a month's cost."""

    day: date
    cost_nano_usd: int
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCost:
    """The part of a month's cost that is labelled `key=value`."""

    key: str
    value: str
    cost_nano_usd: int
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyCost:
    """What a month has cost an organization.

    Models and labels come dearest first, days in their order. `labels` are those of the requested
    key; an entry without this key is in none of them. `month` is the month's first day.
    """

    organization_id: UUID
    month: date
    models: tuple[ModelCost, ...]
    days: tuple[DayCost, ...]
    labels: tuple[LabelCost, ...]

    @property
    def cost_nano_usd(self) -> int:
        """The total."""
        return sum(day.cost_nano_usd for day in self.days)

    @property
    def entries(self) -> int:
        """The total."""
        return sum(day.entries for day in self.days)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowMonthlyCost:
    """What one workflow cost in one month."""

    workflow_id: UUID
    cost_nano_usd: int
    entries: int


@dataclass(frozen=True, slots=True)
class TopWorkflowsPage:
    """The position after which a page of a month's workflows begins."""

    month: date
    cost_nano_usd: int
    workflow_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class TopWorkflows:
    """A month's workflows, dearest first."""

    month: date
    workflows: tuple[WorkflowMonthlyCost, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """What organizations pay for a month, and what it cost.

    An organization pays for the months since it was first seen, and for those before in which it spent.
    """

    month: date
    subscription_price_nano_usd: int
    cost_nano_usd: int
    organizations: int

    @property
    def margin_nano_usd(self) -> int:
        """May be negative."""
        return self.subscription_price_nano_usd - self.cost_nano_usd
