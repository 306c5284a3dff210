"""The model's budgets, prices, tiers and freezes, and the operations that set them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Self

from tests.property.books import (
    DEFAULT_TIER,
    Account,
    Organization,
    canonical,
)
from tests.property.budget_keys import BudgetKey, those_of_a_call
from tests.property.operations import (
    Answer,
    CreatePrice,
    Labels,
    Operation,
    Price,
    Refused,
    SetBudget,
    SetFreeze,
    SetOrganization,
    SetTier,
    Status,
)
from tests.property.sameness import meaning


class Accounts:
    """Limits and totals. A refusal changes nothing."""

    def __init__(self, organizations: int) -> None:
        self.organizations = [Organization() for _ in range(organizations)]
        self.tiers = {"default": DEFAULT_TIER}
        self.prices: dict[str, tuple[Price, ...]] = {}
        self.frozen: frozenset[tuple[int | None, str | None]] = frozenset()
        # The answers by request_id to operations without a hold or entry; keyed by method and owner too.
        self.requests: dict[tuple[str, int | None, int], tuple[Operation, Answer | int]] = {}

    def copy(self) -> Self:
        other = type(self)(0)
        other.organizations = [organization.copy() for organization in self.organizations]
        other.tiers, other.prices, other.requests = dict(self.tiers), dict(self.prices), dict(self.requests)
        other.frozen = self.frozen
        return other

    def limit(self, organization: Organization, key: BudgetKey) -> int | None:
        """The own limit, else the standing one, the override, the tier's; None: no limit."""
        tier = self.tiers[organization.tier]
        in_order: list[int | None] = [organization.limits.get(key)]
        in_order.append(organization.limits.get(key.standing))
        match key.scope, key.period:
            case "ORGANIZATION", "MONTH":
                in_order += [organization.monthly_quota, tier.monthly_quota]
            case "WORKFLOW", "LIFETIME":
                in_order += [organization.workflow_limit, tier.workflow_limit]
        return next((limit for limit in in_order if limit is not None), None)

    def status(self, organization: Organization, key: BudgetKey) -> Status:
        account = organization.accounts.get(key, Account())
        return Status(key, self.limit(organization, key), account.spent, account.held, account.unguarded)

    def statuses(self, organization: Organization, keys: Iterable[BudgetKey]) -> tuple[Status, ...]:
        return tuple(self.status(organization, key) for key in sorted(keys, key=str))

    def budgets_that_apply(
        self, organization: Organization, workflow: int, labels: Labels, time: datetime
    ) -> tuple[BudgetKey, ...]:
        """The budgets that always exist for a call, and those with a limit."""
        return tuple(
            key
            for key, by_nature in those_of_a_call(workflow, labels, time)
            if by_nature or key in organization.limits or key.standing in organization.limits
        )

    def move(
        self,
        organization: Organization,
        keys: Iterable[BudgetKey],
        *,
        spent: int = 0,
        held: int = 0,
        unguarded: int = 0,
    ) -> None:
        for key in keys:
            was = organization.accounts.get(key, Account())
            organization.accounts[key] = Account(
                was.spent + spent, was.held + held, was.unguarded + unguarded
            )

    def price_at(self, model: str, time: datetime) -> Price | None:
        begun = [price for price in self.prices.get(model, ()) if price.effective_time <= time]
        return max(begun, key=lambda price: price.effective_time, default=None)

    def known(self, operation: Operation, owner: int | None, request: int | None) -> Answer | int | None:
        """The earlier answer to this request_id, or REQUEST_ID_REUSED; None if the id is new."""
        if request is None:
            return None
        known = self.requests.get((type(operation).__name__, owner, request))
        if known is None:
            return None
        return known[1] if meaning(known[0]) == meaning(operation) else Refused("REQUEST_ID_REUSED")

    def did(self, operation: Operation, owner: int | None, request: int | None, answer: Answer | int) -> None:
        if request is not None:
            self.requests[type(operation).__name__, owner, request] = (operation, answer)

    def create_price(self, create: CreatePrice, now: datetime) -> Answer:
        known = self.known(create, None, create.request)
        if known is not None:
            assert not isinstance(known, int)
            return known
        model, begins = canonical(create.model), create.effective_time or now
        versions = self.prices.get(model, ())
        is_taken = any(version.effective_time == begins for version in versions)
        if is_taken or (begins < now and self.price_at(model, begins)):
            return Refused("INVALID_FIELD", frozenset({("field", "effective_time")}))
        price = Price(model, create.rates, begins)
        self.prices[model] = (*versions, price)
        self.did(create, None, create.request, price)
        return price

    def set(self, operation: SetBudget | SetTier | SetOrganization | SetFreeze, now: datetime) -> Answer:
        """Answers with the operation itself, or with the budget's status."""
        owner = None if isinstance(operation, SetTier) else operation.organization
        if isinstance(operation, SetOrganization) and (operation.tier or "default") not in self.tiers:
            return Refused("TIER_NOT_FOUND")
        known = self.known(operation, owner, operation.request)
        if isinstance(known, Refused):
            return known
        if known is None:
            match operation:
                case SetTier():
                    self.tiers[operation.tier] = operation
                case SetBudget():
                    self.organizations[operation.organization].limits[operation.key] = operation.limit
                case SetOrganization():
                    organization = self.organizations[operation.organization]
                    organization.tier = operation.tier or "default"
                    organization.workflow_limit = operation.workflow_limit
                    organization.monthly_quota = operation.monthly_quota
                case SetFreeze():
                    target = frozenset({(operation.organization, operation.model)})
                    self.frozen = self.frozen | target if operation.frozen else self.frozen - target
            self.did(operation, owner, operation.request, operation.request or 0)
        if isinstance(operation, SetBudget):
            return self.status(self.organizations[operation.organization], operation.key.at(now))
        if isinstance(operation, SetOrganization):
            return replace(operation, request=None, tier=operation.tier or "default")
        return replace(operation, request=None)
