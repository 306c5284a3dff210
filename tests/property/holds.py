"""The model's holds: grant, release, extension."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from governor_service.domain.hold_bounds import hold_nano_usd
from tests.property.accounts import Accounts
from tests.property.books import (
    ENTRY_COST_MAX,
    LONGEST_HOLD,
    TOTAL_MAX,
    Decision,
    Hold,
    Organization,
    bounds_of,
    month_of,
)
from tests.property.operations import (
    Answer,
    Authorize,
    Call,
    Checked,
    Extend,
    Held,
    HoldName,
    HoldSeen,
    Price,
    Refused,
    Void,
)
from tests.property.sameness import meaning


class Holds(Accounts):
    """Decides which model is granted, and how much is held for it."""

    def decide(self, call: Call, now: datetime) -> Decision:
        organization = self.organizations[call.organization]
        tier = self.tiers[organization.tier]
        keys = self.budgets_that_apply(organization, call.workflow, call.labels, now)
        budgets = self.statuses(organization, keys)
        if self.frozen & {(call.organization, None), (None, None)}:
            return Decision(budgets, "FROZEN")

        def hold_of(price: Price, output_tokens: int) -> int:
            return hold_nano_usd(price.rates, bounds_of(call, output_tokens))

        def fits(hold: int) -> bool:
            return (
                hold <= ENTRY_COST_MAX
                and fits_limits(hold)
                and all(b.spent + b.held + hold <= TOTAL_MAX for b in budgets)
            )

        def fits_limits(hold: int) -> bool:
            return all(b.limit is None or b.spent + b.held + hold <= b.limit for b in budgets)

        asked = list(dict.fromkeys(self.resolve(model, now) for model in call.models))
        eligible: list[Price] = []
        for model in asked:
            price = self.price_at(model, call.context, now)
            if (
                price
                and (not tier.allowed_models or model in tier.allowed_models)
                and (None, model) not in self.frozen
            ):
                eligible.append(price)
        if not eligible:
            first = asked[0]
            if (None, first) in self.frozen:
                return Decision(budgets, "FROZEN", first)
            is_allowed = not tier.allowed_models or first in tier.allowed_models
            return Decision(budgets, "MODEL_NOT_PRICED" if is_allowed else "MODEL_NOT_ALLOWED", first)

        month = next(b for b in budgets if b.key.scope == "ORGANIZATION" and b.key.period == "MONTH")
        in_order = eligible
        if (
            tier.threshold_percent is not None
            and month.limit is not None
            and (month.spent + month.held) * 100 > month.limit * tier.threshold_percent
        ):
            in_order = sorted(eligible, key=lambda price: hold_of(price, call.output_tokens))

        def granted(price: Price, output_tokens: int) -> Decision:
            return Decision(
                budgets,
                None,
                price.model,
                price,
                output_tokens,
                hold_of(price, output_tokens),
                downgraded=price is not eligible[0],
            )

        for price in in_order:
            if fits(hold_of(price, call.output_tokens)):
                return granted(price, call.output_tokens)
        if call.output_tokens_min is not None:
            for price in in_order:
                if fits(hold_of(price, call.output_tokens_min)):
                    # Binary search for the most that fits.
                    most, too_many = call.output_tokens_min, call.output_tokens
                    while too_many - most > 1:
                        middle = (most + too_many) // 2
                        if fits(hold_of(price, middle)):
                            most = middle
                        else:
                            too_many = middle
                    return granted(price, most)
        cheapest = min(in_order, key=lambda price: hold_of(price, call.output_tokens))
        return Decision(
            budgets,
            "VALUE_TOO_LARGE" if fits_limits(hold_of(cheapest, call.output_tokens)) else "BUDGET_EXCEEDED",
            cheapest.model,
            cheapest,
            call.output_tokens,
            hold_of(cheapest, call.output_tokens),
        )

    def check(self, decision: Decision) -> Answer:
        return Checked(
            decision.denial, decision.model, decision.output_tokens, decision.hold, decision.budgets
        )

    def authorize(self, asked: Authorize, now: datetime) -> Answer:
        call = asked.call
        organization = self.organizations[call.organization]
        known = organization.holds.get(asked.request)
        if known:
            if known.asked is not None and (
                meaning(known.asked) != meaning(asked)
                or known.requested != self.resolve(call.models[0], known.create_time)
            ):
                return Refused("REQUEST_ID_REUSED")
            if known.state_at(now) != "PENDING":
                return self.not_pending(known, asked.request, now)
            return self.held(call.organization, asked.request, now, replayed=True)
        decision = self.decide(call, now)
        if decision.denial:
            return self._denied(decision)
        keys = tuple(budget.key for budget in decision.budgets)
        self.move(organization, keys, held=decision.hold)
        organization.holds[asked.request] = Hold(
            asked,
            "PENDING",
            create_time=now,
            expire_time=now + (asked.duration or timedelta(minutes=10)),
            requested=self.resolve(call.models[0], now),
            model=decision.model,
            output_tokens=decision.output_tokens,
            held=decision.hold,
            price=decision.price,
            downgraded=decision.downgraded,
            month=month_of(now),
            budgets=keys,
        )
        return self.held(call.organization, asked.request, now)

    def _denied(self, decision: Decision) -> Refused:
        details: dict[str, str | int] = {}
        if decision.denial == "BUDGET_EXCEEDED":
            details["requested_nano_usd"] = decision.hold
            denying = [
                b
                for b in decision.budgets
                if b.limit is not None and b.spent + b.held + decision.hold > b.limit
            ]
            limited = [b for b in decision.budgets if b.limit is not None]
            for budget in denying:
                details[f"quota {budget.key.scope}:{budget.key.subject}"] = sum(
                    b.key[:2] == budget.key[:2] for b in denying
                )
            details["tightest_nano_usd"] = min(
                (max(0, (b.limit or 0) - b.spent - b.held) for b in denying or limited), default=-1
            )
        elif decision.denial == "VALUE_TOO_LARGE":
            details["field"] = "input_tokens_max"
        elif decision.model:
            details["model"] = decision.model
        assert decision.denial is not None
        return Refused(decision.denial, frozenset(details.items()))

    def not_pending(self, hold: Hold, request: int, now: datetime) -> Refused:
        details: set[tuple[str, str | int]] = {("state", hold.state_at(now)), ("hold", request)}
        if hold.entry is not None:
            details.add(("entry", hold.entry))
        return Refused("AUTHORIZATION_NOT_PENDING", frozenset(details))

    def seen(self, name: HoldName, now: datetime) -> HoldSeen:
        hold = self.organizations[name.organization].holds[name.request]
        call = hold.asked.call if hold.asked else None
        return HoldSeen(
            name.organization,
            name.request,
            call.workflow if call else None,
            hold.state_at(now),
            hold.model,
            call.input_tokens if call else 0,
            hold.output_tokens,
            (call.requests or 1) if call else 0,
            hold.held,
            hold.price,
            hold.downgraded,
            (hold.asked.on_expiry or "RELEASE") if hold.asked else None,
            call.labels if call else (),
            hold.month,
            hold.create_time,
            hold.expire_time,
            hold.entry,
            call.cache_write_max if call else None,
            call.cache_write_1h_max if call else None,
            call.others_max if call else (),
            call.context if call else (),
        )

    def held(self, owner: int, request: int, now: datetime, *, replayed: bool = False) -> Held:
        organization = self.organizations[owner]
        budgets = self.statuses(organization, organization.holds[request].budgets)
        return Held(self.seen(HoldName(owner, request), now), budgets, replayed)

    def own(self, organization: int, name: HoldName) -> Hold | None:
        """The hold, or None if it belongs to another organization."""
        if name.organization != organization:
            return None
        return self.organizations[organization].holds.get(name.request)

    def release(self, organization: Organization, request: int, state: str) -> None:
        hold = organization.holds[request]
        self.move(organization, hold.budgets, held=-hold.held)
        organization.holds[request] = replace(hold, state=state)

    def void(self, void: Void, now: datetime) -> Answer:
        organization = self.organizations[void.organization]
        hold = self.own(void.organization, void.hold)
        if void.by_request:
            hold = organization.holds.get(void.hold.request)
        if hold is None and not void.by_request:
            return Refused("AUTHORIZATION_NOT_FOUND")
        if hold is None:
            organization.holds[void.hold.request] = Hold(None, "VOIDED", create_time=now, expire_time=now)
        elif hold.state == "SETTLED":
            return self.not_pending(hold, void.hold.request, now)
        elif hold.state == "PENDING":
            self.release(organization, void.hold.request, "VOIDED")
        return self.held(void.organization, void.hold.request, now)

    def extend(self, extend: Extend, now: datetime) -> Answer:
        hold = self.own(extend.organization, extend.hold)
        if hold is None:
            return Refused("AUTHORIZATION_NOT_FOUND")
        if hold.state != "PENDING":
            return self.not_pending(hold, extend.hold.request, now)
        if extend.expire_time < hold.expire_time or extend.expire_time <= now:
            return Refused("INVALID_FIELD", frozenset({("field", "expire_time")}))
        if extend.expire_time > now + LONGEST_HOLD:
            return Refused("VALUE_TOO_LARGE", frozenset({("field", "expire_time")}))
        holds = self.organizations[extend.organization].holds
        holds[extend.hold.request] = replace(hold, expire_time=extend.expire_time)
        return self.held(extend.organization, extend.hold.request, now)
