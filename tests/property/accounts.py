"""The model's budgets, prices, tiers and freezes, and the operations that set them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Self

from governor_service.domain.unusual_prices import unusual_rates
from tests.property.books import (
    DEFAULT_TIER,
    Account,
    Organization,
    canonical,
    names_of,
)
from tests.property.budget_keys import BudgetKey, those_of_a_call
from tests.property.operations import (
    Answer,
    Context,
    CreatePrice,
    DeleteModelAlias,
    Labels,
    ModelAlias,
    Operation,
    Price,
    Refused,
    SetBudget,
    SetFreeze,
    SetModelAlias,
    SetOrganization,
    SetTier,
    Status,
)
from tests.property.sameness import meaning


class Accounts:
    """Limits, totals, prices and names. A refusal changes nothing."""

    def __init__(self, organizations: int) -> None:
        self.organizations = [Organization() for _ in range(organizations)]
        self.tiers = {"default": DEFAULT_TIER}
        # In the order in which they were entered.
        self.prices: dict[str, tuple[Price, ...]] = {}
        # Each change of an alias, with its time; None: it was removed.
        self.aliases: dict[str, tuple[tuple[datetime, str | None], ...]] = {}
        self.frozen: frozenset[tuple[int | None, str | None]] = frozenset()
        # The answers by request_id to operations without a hold or entry; keyed by method and owner too.
        self.requests: dict[tuple[str, int | None, int], tuple[Operation, Answer | int]] = {}

    def copy(self) -> Self:
        other = type(self)(0)
        other.organizations = [organization.copy() for organization in self.organizations]
        other.tiers, other.prices, other.requests = dict(self.tiers), dict(self.prices), dict(self.requests)
        other.aliases, other.frozen = dict(self.aliases), self.frozen
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

    def cost_basis(self, organization: Organization) -> str:
        return organization.cost_basis or self.tiers[organization.tier].cost_basis or "GREATER"

    def resolve(self, model: str, time: datetime) -> str:
        """The first name that is an alias or has a price, else the last one."""
        for name in names_of(model):
            changes = [to for at, to in self.aliases.get(name, ()) if at <= time]
            if changes and changes[-1] is not None:
                return changes[-1]
            if any(price.effective_time <= time for price in self.prices.get(name, ())):
                return name
        return canonical(model)

    def price_at(self, model: str, context: Context, time: datetime) -> Price | None:
        """The most special variant; of its versions the latest, and of these the last one entered."""
        applying = [
            (len(price.context), price.effective_time, place, price)
            for place, price in enumerate(self.prices.get(model, ()))
            if set(price.context) <= set(context) and price.effective_time <= time
        ]
        return max(applying, default=(None,))[-1]

    def is_in_use(self, price: Price) -> bool:
        """Whether anything was held or rated with it."""
        return any(
            price in [hold.price for hold in organization.holds.values()]
            or price in [entry.price for entry in organization.entries]
            for organization in self.organizations
        )

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
        begins = create.effective_time or now
        model = self.resolve(create.model, begins)
        versions = self.prices.get(model, ())
        superseded = [
            version
            for version in versions
            if (version.context, version.effective_time) == (create.context, begins)
        ]
        had_a_price = any(
            set(version.context) <= set(create.context) and version.effective_time < begins
            for version in versions
        )
        if any(map(self.is_in_use, superseded)) or (not superseded and begins < now and had_a_price):
            return Refused("INVALID_FIELD", frozenset({("field", "effective_time")}))
        before = self.price_at(model, create.context, begins)
        if not create.allow_unusual and before is not None:
            for name in unusual_rates(create.rates, [before.rates]):
                field = "rates" if " above " in name else name.replace("cost", "input_nano_usd_per_mtok")
                return Refused("INVALID_FIELD", frozenset({("field", field)}))
        price = Price(model, create.rates, begins, create.context, create.source)
        self.prices[model] = (*versions, price)
        self.did(create, None, create.request, price)
        return price

    def set_alias(self, change: SetModelAlias | DeleteModelAlias, now: datetime) -> Answer:
        known = self.known(change, None, change.request)
        if known is not None:
            assert not isinstance(known, int)
            return known
        model = None
        if isinstance(change, SetModelAlias):
            model = self.resolve(change.model, now)
            if not any(price.effective_time <= now for price in self.prices.get(model, ())):
                return Refused("MODEL_NOT_PRICED", frozenset({("model", canonical(change.model))}))
        alias = change.alias.lower()
        earlier = self.aliases.get(alias, ())
        time = max([now, *(at + timedelta(microseconds=1) for at, _ in earlier)])
        self.aliases[alias] = (*earlier, (time, model))
        answer = ModelAlias(alias, model or "", time)
        self.did(change, None, change.request, answer)
        return answer

    def set(self, operation: SetBudget | SetTier | SetOrganization | SetFreeze, now: datetime) -> Answer:
        """Answers with what was set, or with the budget's status."""
        owner = None if isinstance(operation, SetTier) else operation.organization
        if isinstance(operation, SetOrganization) and (operation.tier or "default") not in self.tiers:
            return Refused("TIER_NOT_FOUND")
        answer = self.known(operation, owner, operation.request)
        if isinstance(answer, Refused):
            return answer
        if answer is None:
            answer = self._set(operation, now)
            if isinstance(answer, Refused):
                return answer
            self.did(operation, owner, operation.request, answer)
        if isinstance(operation, SetBudget):
            return self.status(self.organizations[operation.organization], operation.key.at(now))
        assert not isinstance(answer, int)
        return answer

    def _set(
        self, operation: SetBudget | SetTier | SetOrganization | SetFreeze, now: datetime
    ) -> Answer | int:
        """The answer that the same request gets again; 0 for a budget, whose answer is its present status."""
        match operation:
            case SetTier():
                allowed = tuple(dict.fromkeys(self.resolve(model, now) for model in operation.allowed_models))
                basis = operation.cost_basis or "GREATER"
                tier = replace(operation, request=None, allowed_models=allowed, cost_basis=basis)
                self.tiers[operation.tier] = tier
                return tier
            case SetOrganization():
                organization = self.organizations[operation.organization]
                organization.tier = operation.tier or "default"
                organization.workflow_limit = operation.workflow_limit
                organization.monthly_quota = operation.monthly_quota
                organization.cost_basis = operation.cost_basis
                return replace(operation, request=None, tier=organization.tier)
            case SetFreeze():
                freeze = replace(operation, request=None)
                if operation.model is not None:
                    freeze = replace(freeze, model=self.resolve(operation.model, now))
                    if self.price_at(freeze.model or "", (), now) is None:
                        return Refused("MODEL_NOT_PRICED", frozenset({("model", freeze.model or "")}))
                target = frozenset({(freeze.organization, freeze.model)})
                self.frozen = self.frozen | target if operation.frozen else self.frozen - target
                return freeze
            case SetBudget():
                self.organizations[operation.organization].limits[operation.key] = operation.limit
                return 0
