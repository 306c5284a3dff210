"""The next step of a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tests.property.books import RETENTION, Account
from tests.property.budget_keys import budget_key
from tests.property.choices import ALONE, AT_ONCE, LIMIT_MAX, Choices
from tests.property.operations import (
    CheckBudget,
    Operation,
    SetBudget,
    SetOrganization,
    SetTier,
    Sweep,
    Void,
)

NEW_PRICE = timedelta(microseconds=1)
_STEPS = [timedelta(minutes=minutes) for minutes in (1, 9, 60, 23 * 60, 25 * 60)]


class Chooser(Choices):
    """The next step, chosen from a seed.

    The state of a program depends on the order of concurrent operations. So hypothesis draws only the seed
    of each step, which is the same when it runs a program again.
    """

    def at_the_edge(self) -> Sequence[Operation]:
        """A hold that just fits or just does not, or a month exactly at its threshold."""
        model, now, call = self.program.model, self.program.now, self.call()
        month = budget_key("ORGANIZATION", "", "MONTH", now)
        account = model.organizations[call.organization].accounts.get(month, Account())
        used = account.spent + account.held
        if self.one_of(True, False):
            limit = used + model.decide(call, now).hold - self.one_of(0, 1)
            return [
                SetBudget(None, call.organization, month, max(0, min(limit, LIMIT_MAX))),
                self.authorize(call),
            ]
        percent = self.one_of(50, 80, 100)
        return [
            SetTier(None, "gold", None, None, (), percent),
            SetOrganization(None, call.organization, "gold", None, None),
            SetBudget(None, call.organization, month, min(used * 100 // percent, LIMIT_MAX)),
            CheckBudget(call),
            self.authorize(call),
        ]

    def alone(self) -> Operation:
        return self.operation(ALONE)

    def at_once(self) -> Sequence[Operation]:
        """Two to six operations: of any kind, all on one hold, or all on the same budgets."""
        number = self.random.randint(2, 6)
        subject = self.one_of("anything", "anything", "one hold", "one budget")
        if subject == "one budget":
            first = self.authorize()
            return [first, *(replace(self.authorize(), call=first.call) for _ in range(number - 1))]
        if subject == "anything":
            return [self.operation(AT_ONCE) for _ in range(number)]
        organization = self.organization()
        hold = self.hold(organization)
        one, other = (replace(self.settle(), organization=organization, hold=hold) for _ in range(2))
        by_request = hold.organization == organization
        choices = (
            one,
            one,
            other,
            Void(organization, hold, by_request=False),
            Void(organization, hold, by_request=by_request),
            Sweep(organization),
            self.operation(AT_ONCE),
        )
        return [self.one_of(*choices) for _ in range(number)]

    def later(self) -> datetime:
        """The next time of the clock: a little or much later, or the instant at which something ends."""
        now, model = self.program.now, self.program.model
        if self.one_of(True, False):
            return now + self.one_of(*_STEPS)
        month_turns = (now.replace(day=1) + timedelta(days=32)).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        ends = [month_turns]
        for organization in model.organizations:
            for hold in organization.holds.values():
                if hold.state == "PENDING":
                    ends += [hold.expire_time, hold.expire_time + RETENTION]
        ends += [price.effective_time for versions in model.prices.values() for price in versions]
        instants = sorted({end - before for end in ends for before in (timedelta(0), NEW_PRICE)})
        ahead = [instant for instant in instants if instant > now]
        return self.one_of(*ahead[:6], month_turns)
