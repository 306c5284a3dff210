"""Random operations that are likely to affect each other and to come near the bounds."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from tests.property.books import ENTRY_COST_MAX
from tests.property.budget_keys import KINDS, budget_key
from tests.property.model import Model
from tests.property.operations import (
    Adjust,
    Authorize,
    Call,
    CheckBudget,
    CreatePrice,
    EntryName,
    Extend,
    HoldName,
    Operation,
    Rates,
    RecordUsage,
    SetBudget,
    SetFreeze,
    SetOrganization,
    SetTier,
    Settle,
    Sweep,
    Usage,
    Void,
)
from tests.property.world import WORKFLOWS

T = TypeVar("T")

_MILLION = 10**6
_TOKENS = (1, 7, 1000, 1000, 1000, 20_000, 20_000, 50_000, 50_000, 400_000)
_TOO_MANY_TOKENS = 10**9
_LABELS = ((), (("team", "growth"),), (("feature", "x"), ("team", "growth")), (("team", "sales"),))
_SPELLINGS = ("a", "b", "c", "d", "a", "b", "c", "A", "b:free", "c@azure", "a-2024-07-18")
_USD = 10**9
LIMIT_MAX = 10**17
_LIMITS = [None, 0, 5 * _MILLION, _USD // 10, _USD // 2, *[_USD, 3 * _USD, 25 * _USD] * 2, LIMIT_MAX]
_RATES = (1, 333_333_333, 150 * _MILLION, 600 * _MILLION, 10**9, 2 * 10**9)
# How often each kind is drawn. `Again` repeats an operation exactly, `Reuse` gives its request_id to another
# one.
ALONE = {
    "Authorize": 22,
    "Settle": 22,
    "Void": 6,
    "Extend": 4,
    "Sweep": 4,
    "RecordUsage": 6,
    "Adjust": 5,
    "CheckBudget": 4,
    "SetBudget": 6,
    "Again": 10,
    "Reuse": 4,
    "CreatePrice": 6,
    "SetTier": 3,
    "SetOrganization": 3,
    "SetFreeze": 2,
}
# Prices and tiers are not read under an organization's lock: a running decision may see one change of
# them and not another. So concurrent operations do not change them.
AT_ONCE = {kind: weight for kind, weight in ALONE.items() if kind not in ("CreatePrice", "SetTier")}

_WITH_REQUEST = ["Authorize", "RecordUsage", "Adjust", "SetBudget", "SetOrganization", "SetFreeze"]


@dataclass
class Program:
    """The part of a program's history that the next operation depends on."""

    model: Model
    now: datetime
    done: list[Operation] = field(default_factory=list)
    requests: int = 0
    expire_times: set[datetime] = field(default_factory=set)


class Choices:
    """Chooses one operation for a program from a seed."""

    def __init__(self, program: Program, seed: int) -> None:
        self.program = program
        self.random = random.Random(seed)

    def one_of(self, *choices: T) -> T:
        return self.random.choice(choices)

    def rarely(self) -> bool:
        return self.random.randrange(16) == 0

    def tokens(self) -> int:
        return self.one_of(*_TOKENS) if not self.rarely() else _TOO_MANY_TOKENS

    def request(self) -> int:
        """Mostly a new one."""
        program = self.program
        if program.requests and self.rarely():
            return self.random.randrange(program.requests)
        program.requests += 1
        return program.requests - 1

    def maybe_request(self) -> int | None:
        return self.request() if self.one_of(True, False) else None

    def organization(self) -> int:
        return self.one_of(0, 0, 0, 1)

    def workflow(self) -> int:
        return self.random.randrange(WORKFLOWS)

    def hold(self, organization: int) -> HoldName:
        """An existing hold, mostly of this organization and mostly a recent one."""
        owner = 1 - organization if self.rarely() else organization
        holds = self.program.model.organizations[owner].holds
        known: list[int] = list(holds)
        live = [request for request in known if holds[request].state == "PENDING"]
        if bool(live) and self.one_of(True, True, False):
            return HoldName(owner, self.one_of(*live))
        if not known or self.rarely():
            return HoldName(owner, self.request())
        return HoldName(owner, known[-1 - int(len(known) * self.random.random() ** 2)])

    def rates(self) -> Rates:
        figures = (*_RATES, 10**13) if self.rarely() else _RATES
        parts = (None, *figures)
        return Rates(
            self.one_of(*figures),
            self.one_of(*parts),
            self.one_of(*parts),
            self.one_of(*figures),
            self.one_of(*parts),
            self.one_of(0, 0, 5 * _MILLION, 12 * _MILLION),
        )

    def any_usage(self) -> Usage:
        input_tokens, output_tokens = (self.tokens() * self.one_of(0, 1, 1, 1, 1) for _ in range(2))
        cached = self.one_of(0, input_tokens // 3, input_tokens)
        return Usage(
            input_tokens,
            cached,
            self.one_of(0, input_tokens - cached),
            output_tokens,
            self.one_of(0, output_tokens // 2, output_tokens),
            self.one_of(0, 1, 1, 3),
        )

    def usage(self, name: HoldName) -> Usage:
        """Usage that the hold allows, in full or in part, or any usage."""
        hold = self.program.model.organizations[name.organization].holds.get(name.request)
        if hold is None or hold.asked is None or self.one_of(True, False, False):
            return self.any_usage()
        call = hold.asked.call
        return self.one_of(
            Usage(call.input_tokens, 0, 0, hold.output_tokens, hold.output_tokens, call.requests or 1),
            Usage(call.input_tokens // 3, 0, 0, hold.output_tokens // 3, 0, 1),
            Usage(call.input_tokens // 2, call.input_tokens // 4, 0, hold.output_tokens // 2, 0, 1),
        )

    def provider_cost(self) -> int | None:
        return self.one_of(None, None, None, 0, 999, 12_345_678, 10**9, ENTRY_COST_MAX)

    def free(self, time: datetime) -> datetime:
        """A time at which no other hold expires: a sweeper may take holds of one instant in any order."""
        while time in self.program.expire_times:
            time += timedelta(microseconds=1)
        self.program.expire_times.add(time)
        return time

    def call(self) -> Call:
        output_tokens = self.tokens()
        return Call(
            self.organization(),
            self.workflow(),
            tuple(self.one_of(*_SPELLINGS) for _ in range(self.one_of(1, 1, 2, 3, 4))),
            self.tokens(),
            output_tokens,
            self.one_of(None, None, 1, max(1, output_tokens // 2), output_tokens),
            self.one_of(None, None, 1, 5),
            self.one_of(*_LABELS),
        )

    def authorize(self, call: Call | None = None) -> Authorize:
        now = self.program.now
        minutes = self.one_of(10, 10, 1, 60, 24 * 60 - 1)
        duration = self.free(now + timedelta(minutes=minutes)) - now
        is_default = duration == timedelta(minutes=10)
        return Authorize(
            self.request(),
            call or self.call(),
            None if is_default else duration,
            self.one_of(None, "RELEASE", "CHARGE", "CHARGE"),
        )

    def settle(self) -> Settle:
        organization = self.organization()
        hold = self.hold(organization)
        usage = None if self.one_of(True, False, False, False) else self.usage(hold)
        served = self.one_of("", "", "", *_SPELLINGS[:6])
        return Settle(organization, hold, usage, served, self.provider_cost())

    def extend(self) -> Extend:
        organization, now = self.organization(), self.program.now
        hold = self.hold(organization)
        known = self.program.model.organizations[hold.organization].holds.get(hold.request)
        if known is not None and self.rarely():
            # The present time again: repeating an Extend has no further effect.
            return Extend(organization, hold, known.expire_time)
        longest = timedelta(hours=24)
        ahead = self.one_of(
            timedelta(0),
            timedelta(minutes=5),
            timedelta(hours=1),
            longest,
            longest + timedelta(microseconds=1),
        )
        return Extend(organization, hold, now + ahead if not ahead else self.free(now + ahead))

    def record(self) -> RecordUsage:
        now = self.program.now
        occurred = self.one_of(
            None,
            None,
            now,
            now - timedelta(hours=1),
            now - timedelta(days=31),
            now + timedelta(microseconds=1),
            now - timedelta(days=400),
            now - timedelta(days=400, microseconds=1),
        )
        return RecordUsage(
            self.organization(),
            self.workflow(),
            self.request(),
            self.one_of(*_SPELLINGS),
            self.any_usage(),
            self.provider_cost(),
            self.one_of(*_LABELS),
            occurred,
        )

    def adjust(self, *, may_be_foreign: bool) -> Adjust:
        organization = self.organization()
        owner = 1 - organization if may_be_foreign and self.rarely() else organization
        entries = len(self.program.model.organizations[owner].entries)
        sequence = self.random.randint(1, max(1, entries))
        return Adjust(
            organization, self.request(), EntryName(owner, sequence), self.one_of(0, 1, 1000, 10**8, 10**9)
        )

    def create_price(self) -> CreatePrice:
        hours = timedelta(hours=1)
        ahead = self.one_of(None, None, None, 0 * hours, 2 * hours, -hours, -1000 * hours)
        effective_time = None if ahead is None else self.program.now + ahead
        held = [
            hold.model
            for organization in self.program.model.organizations
            for hold in organization.holds.values()
            if hold.state == "PENDING"
        ]
        model = self.one_of(*_SPELLINGS, *held)
        return CreatePrice(self.maybe_request(), model, self.rates(), effective_time)

    def set_budget(self) -> SetBudget:
        scope, period = self.one_of(*KINDS)
        subject = {
            "ORGANIZATION": "",
            "WORKFLOW": str(self.workflow()),
            "LABEL": self.one_of("team=growth", "feature=x"),
        }[scope]
        time = self.one_of(self.program.now, datetime(2031, 2, 1, tzinfo=UTC))
        key = budget_key(scope, subject, period, time)
        organization = self.organization()
        return SetBudget(
            self.maybe_request(), organization, self.one_of(key, key.standing), self.one_of(*_LIMITS)
        )

    def set_tier(self) -> SetTier:
        return SetTier(
            self.maybe_request(),
            self.one_of("gold", "gold", "silver", "default"),
            self.one_of(*_LIMITS),
            self.one_of(*_LIMITS),
            self.one_of((), (), ("a", "b"), ("c",)),
            self.one_of(None, 1, 50, 50, 80, 80, 100),
        )

    def set_organization(self) -> SetOrganization:
        return SetOrganization(
            self.maybe_request(),
            self.organization(),
            self.one_of(None, *self.program.model.tiers, "gold"),
            self.one_of(None, None, *_LIMITS),
            self.one_of(None, None, *_LIMITS),
        )

    def set_freeze(self) -> SetFreeze:
        """Lifted more often than set, so that most of a program can continue."""
        organization, model = self.one_of((0, None), (1, None), (None, "a"), (None, "c"), (None, None))
        return SetFreeze(self.maybe_request(), organization, model, self.one_of(True, False, False))

    def void(self) -> Void:
        organization = self.organization()
        return Void(organization, self.hold(organization), by_request=self.one_of(True, False))

    def operation(self, kinds: dict[str, int]) -> Operation:
        simple: dict[str, Callable[[], Operation]] = {
            "Authorize": self.authorize,
            "Settle": self.settle,
            "Void": self.void,
            "Extend": self.extend,
            "Sweep": lambda: Sweep(self.organization()),
            "RecordUsage": self.record,
            "CheckBudget": lambda: CheckBudget(self.call()),
            "SetBudget": self.set_budget,
            "CreatePrice": self.create_price,
            "SetTier": self.set_tier,
            "SetOrganization": self.set_organization,
            "SetFreeze": self.set_freeze,
            "Reuse": lambda: self.with_used_request(self.operation(dict.fromkeys(_WITH_REQUEST, 1))),
            # The id of a foreign entry may at the same time be given to an entry of the own organization.
            "Adjust": lambda: self.adjust(may_be_foreign=kinds is ALONE),
        }
        kind = self.one_of(*(kind for kind, weight in kinds.items() for _ in range(weight)))
        done = [operation for operation in self.program.done if type(operation).__name__ in kinds]
        if kind == "Again":
            return self.one_of(*done[-20:]) if done else self.authorize()
        has_begun = len(self.program.done) > 10 or kind not in (
            "Settle",
            "Void",
            "Extend",
            "Adjust",
            "Again",
        )
        return simple[kind]() if has_begun and kind in simple else self.authorize()

    def with_used_request(self, other: Operation) -> Operation:
        """The operation with a request_id that another of its kind has used."""
        assert not isinstance(other, CheckBudget | Settle | Void | Extend | Sweep)
        used = [
            done.request
            for done in self.program.done
            if isinstance(done, type(other)) and done.request is not None
        ]
        return replace(other, request=self.one_of(*used)) if used else other
