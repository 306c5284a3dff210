"""A model of the governor: small, pure, and derived from its contract, not from its SQL.

It predicts the answer to every operation and the state afterwards, one operation after the other. The
real governor's answers to concurrent operations must equal the model's in some order.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from governor_service.domain.rating import rated_cost_nano_usd
from governor_service.domain.usage import Usage
from tests.property.books import (
    ENTRY_COST_MAX,
    NOTHING_USED,
    RETENTION,
    Charge,
    Hold,
    Organization,
    canonical,
    month_of,
)
from tests.property.budget_keys import BudgetKey
from tests.property.holds import Holds
from tests.property.operations import (
    Adjust,
    Answer,
    Authorize,
    CheckBudget,
    CreatePrice,
    DeleteModelAlias,
    Entry,
    Extend,
    HoldName,
    Operation,
    Price,
    RecordUsage,
    Refused,
    SetModelAlias,
    Settle,
    Settled,
    Sweep,
    Swept,
    Void,
)
from tests.property.sameness import meaning


class Model(Holds):
    """The governor as its contract describes it: accounts, holds and, here, the ledger."""

    def apply(self, operation: Operation, now: datetime) -> Answer:
        """Applies the operation and returns its answer. A refusal changes nothing."""
        match operation:
            case Authorize():
                return self.authorize(operation, now)
            case CheckBudget(call):
                return self.check(self.decide(call, now))
            case Settle():
                return self._settle(operation, now)
            case Void():
                return self.void(operation, now)
            case Extend():
                return self.extend(operation, now)
            case Sweep():
                return self._sweep(operation, now)
            case RecordUsage():
                return self._record(operation, now)
            case Adjust():
                return self._adjust(operation, now)
            case CreatePrice():
                return self.create_price(operation, now)
            case SetModelAlias() | DeleteModelAlias():
                return self.set_alias(operation, now)
            case _:
                return self.set(operation, now)

    def _sweep(self, sweep: Sweep, now: datetime) -> Answer:
        """Holds that expired longest ago are swept first."""
        organization = self.organizations[sweep.organization]
        due = sorted(
            (hold.expire_time, request)
            for request, hold in organization.holds.items()
            if hold.state == "PENDING" and hold.expire_time <= now - RETENTION
        )
        charged = [request for _, request in due if self._charges(organization.holds[request])]
        for _, request in due:
            if request not in charged:
                self.release(organization, request, "EXPIRED")
        for request in charged:
            self._end(sweep, HoldName(sweep.organization, request), now)
        return Swept(len(due) - len(charged), len(charged))

    def _charges(self, hold: Hold) -> bool:
        return hold.asked is not None and hold.asked.on_expiry == "CHARGE"

    def _charge(
        self,
        price: Price | None,
        usage: Usage | None,
        provider_cost: int | None,
        held: int,
        *,
        basis: str,
        drifted: bool,
    ) -> Charge:
        """As the cost basis says where the usage can be rated. Otherwise the bill, or else the hold.

        A bill of 0 for a model without a price is believed only with the basis PROVIDER.
        """
        rated = rated_cost_nano_usd(price.rates, usage) if price and usage else None
        flags = set()
        variance = 0 if rated is None or provider_cost is None else abs(provider_cost - rated)
        # Tolerated: one percent, and a thousand nano-USD.
        if variance > 1000 and variance * 100 > (rated or 0):
            flags.add("PROVIDER_VARIANCE")
        if price is None:
            flags.add("UNPRICED_MODEL")
        if usage is None:
            flags.add("UNKNOWN_OUTCOME" if provider_cost is None else "USAGE_UNKNOWN")
        if drifted:
            flags.add("MODEL_DRIFT")
        if rated is not None:
            by_basis = {
                "GREATER": max(rated, provider_cost or 0),
                "PROVIDER": rated if provider_cost is None else provider_cost,
                "RATED": rated,
            }
            cost = by_basis[basis]
        elif provider_cost or (provider_cost == 0 and (usage is None or basis == "PROVIDER")):
            cost = provider_cost
        else:
            cost = held
        return Charge(cost, rated or 0, price, frozenset(flags))

    def _post(self, entry: Entry, keys: tuple[BudgetKey, ...]) -> Entry:
        organization = self.organizations[entry.organization]
        organization.entries.append(entry)
        organization.posted_to[entry.sequence] = keys
        self.move(organization, keys, spent=entry.cost, held=-entry.held, unguarded=entry.overage)
        return entry

    def _settled(self, owner: int, sequence: int, *, replayed: bool) -> Settled:
        organization = self.organizations[owner]
        entry = organization.entries[sequence - 1]
        released = max(0, entry.held + entry.overage - entry.cost)
        budgets = self.statuses(organization, organization.posted_to[sequence])
        return Settled(entry, released, budgets, replayed)

    def _settle(self, settle: Settle, now: datetime) -> Answer:
        hold = self.own(settle.organization, settle.hold)
        if hold is None:
            return Refused("AUTHORIZATION_NOT_FOUND")
        if hold.state == "SETTLED":
            assert hold.entry is not None
            if settle.usage is None:
                return self._settled(settle.organization, hold.entry, replayed=True)
            if self._is_same_settlement(settle, hold):
                return self._settled(settle.organization, hold.true_up or hold.entry, replayed=True)
            if not hold.is_unknown:
                return self.not_pending(hold, settle.hold.request, now)
        elif hold.state != "PENDING" and (settle.usage is None or hold.asked is None):
            return self.not_pending(hold, settle.hold.request, now)
        return self._end(settle, settle.hold, now)

    def _served(self, settle: Settle, hold: Hold) -> str:
        """The model that served: as a name of its own, or as what that meant when the hold was placed."""
        if not settle.served or settle.served.lower() == hold.model:
            return hold.model
        return self.resolve(settle.served, hold.create_time)

    def _is_same_settlement(self, settle: Settle, hold: Hold) -> bool:
        by = hold.settled_with
        if not isinstance(by, Settle):
            return False
        one, other = (
            meaning(replace(each, served="", context=each.context or hold.context)) for each in (settle, by)
        )
        return one == other and self._served(settle, hold) == self._served(by, hold)

    def _end(self, by: Settle | Sweep, name: HoldName, now: datetime) -> Answer:
        """The entry that ends a hold, or corrects an unknown outcome to its actual cost."""
        organization = self.organizations[name.organization]
        hold = organization.holds[name.request]
        assert hold.asked is not None
        settle = by if isinstance(by, Settle) else Settle(name.organization, name, None)
        served, context = self._served(settle, hold), settle.context or hold.context
        is_drift, basis = served != hold.model, self.cost_basis(organization)
        price = hold.price
        if is_drift or context != hold.context:
            price = self.price_at(served, context, hold.create_time)
        charge = self._charge(
            price, settle.usage, settle.provider_cost, hold.held, basis=basis, drifted=is_drift
        )
        if charge.cost > ENTRY_COST_MAX:
            return Refused("VALUE_TOO_LARGE", frozenset({("field", "usage")}))

        cost, flags = charge.cost, charge.flags
        live = hold.held if hold.state == "PENDING" else 0
        overage = max(0, cost - live)
        if hold.is_unknown:
            assert hold.entry is not None
            cost, overage = self._to_target(organization, hold.entry, cost)
        elif hold.state_at(now) != "PENDING":
            flags |= {"LATE"}
        if overage > 0:
            flags |= {"OVERAGE"}
        is_known = settle.usage is not None or settle.provider_cost is not None
        kind = "ADJUSTMENT" if hold.is_unknown else "USAGE" if is_known else "UNKNOWN"
        entry = self._post(
            Entry(
                name.organization,
                len(organization.entries) + 1,
                kind,
                hold.asked.call.workflow,
                name.request,
                hold.requested,
                hold.model,
                served,
                settle.usage or NOTHING_USED,
                cost,
                charge.rated,
                settle.provider_cost,
                live,
                overage,
                charge.price,
                flags,
                hold.asked.call.labels,
                hold.month or "",
                hold.entry if hold.is_unknown else None,
                now,
                context,
                basis,
            ),
            hold.budgets,
        )
        organization.holds[name.request] = replace(
            hold,
            state="SETTLED",
            entry=hold.entry or entry.sequence,
            true_up=entry.sequence if hold.is_unknown else None,
            settled_with=by,
        )
        return self._settled(name.organization, entry.sequence, replayed=False)

    def _to_target(self, organization: Organization, sequence: int, target: int) -> tuple[int, int]:
        """Cost and overage of the adjustment that brings an entry to a target.

        A reduction first takes back the part that no hold covered; no hold covers an increase.
        """
        chain = [e for e in organization.entries if sequence in (e.sequence, e.adjusts)]
        cost = target - sum(e.cost for e in chain)
        return cost, max(cost, -sum(e.overage for e in chain))

    def _record(self, record: RecordUsage, now: datetime) -> Answer:
        organization = self.organizations[record.organization]
        known = self.known(record, record.organization, record.request)
        if isinstance(known, int):
            entry = organization.entries[known - 1]
            occurred = record.occurred_time or entry.create_time
            is_same = entry.served_model == self.resolve(record.served, occurred)
            return entry if is_same else Refused("REQUEST_ID_REUSED")
        if known is not None:
            return known
        occurred = record.occurred_time or now
        if not now - timedelta(days=400) <= occurred <= now:
            return Refused("INVALID_FIELD", frozenset({("field", "occurred_time")}))
        served, basis = self.resolve(record.served, occurred), self.cost_basis(organization)
        price = self.price_at(served, record.context, occurred)
        charge = self._charge(price, record.usage, record.provider_cost, 0, basis=basis, drifted=False)
        if price is None and charge.cost == 0:
            return Refused("MODEL_NOT_PRICED", frozenset({("model", canonical(record.served))}))
        if charge.cost > ENTRY_COST_MAX:
            return Refused("VALUE_TOO_LARGE", frozenset({("field", "usage")}))
        month = month_of(occurred)
        entry = self._post(
            Entry(
                record.organization,
                len(organization.entries) + 1,
                "USAGE",
                record.workflow,
                None,
                "",
                "",
                served,
                record.usage,
                charge.cost,
                charge.rated,
                record.provider_cost,
                0,
                charge.cost,
                price,
                charge.flags | {"UNGUARDED"},
                record.labels,
                month,
                None,
                now,
                record.context,
                basis,
            ),
            self.budgets_that_apply(organization, record.workflow, record.labels, occurred),
        )
        self.did(record, record.organization, record.request, entry.sequence)
        return entry

    def _adjust(self, adjust: Adjust, now: datetime) -> Answer:
        organization = self.organizations[adjust.organization]
        known = self.known(adjust, adjust.organization, adjust.request)
        if known is not None:
            return organization.entries[known - 1] if isinstance(known, int) else known
        owner, sequence = adjust.entry
        if owner != adjust.organization or sequence > len(organization.entries):
            return Refused("ENTRY_NOT_FOUND")
        original = organization.entries[sequence - 1]
        if original.kind == "ADJUSTMENT":
            return Refused("INVALID_FIELD", frozenset({("field", "entry_id")}))
        cost, overage = self._to_target(organization, sequence, adjust.corrected_cost)
        if cost == 0:
            made_it_so = [e for e in organization.entries if sequence in (e.sequence, e.adjusts)][-1]
            self.did(adjust, adjust.organization, adjust.request, made_it_so.sequence)
            return made_it_so
        entry = self._post(
            replace(
                original,
                sequence=len(organization.entries) + 1,
                kind="ADJUSTMENT",
                usage=NOTHING_USED,
                cost=cost,
                rated_cost=0,
                provider_cost=None,
                held=0,
                overage=overage,
                price=None,
                flags=frozenset({"UNGUARDED"} if overage > 0 else ()),
                adjusts=sequence,
                create_time=now,
                context=(),
                cost_basis=None,
            ),
            organization.posted_to[sequence],
        )
        self.did(adjust, adjust.organization, adjust.request, entry.sequence)
        return entry
