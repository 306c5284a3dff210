"""Random operations that are likely to affect each other and to come near the bounds."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from governor_service.domain.usage import Usage
from tests.property.books import ENTRY_COST_MAX
from tests.property.budget_keys import KINDS, budget_key
from tests.property.figures import BASES, CONTEXTS, PRICED_CONTEXTS, Figures
from tests.property.model import Model
from tests.property.operations import (
    Adjust,
    Authorize,
    Call,
    CheckBudget,
    CreatePrice,
    DeleteModelAlias,
    EntryName,
    Extend,
    HoldName,
    Operation,
    RecordUsage,
    SetBudget,
    SetFreeze,
    SetModelAlias,
    SetOrganization,
    SetTier,
    Settle,
    Sweep,
    Void,
)
from tests.property.world import WORKFLOWS

_MILLION = 10**6
_LABELS = ((), (("team", "growth"),), (("feature", "x"), ("team", "growth")), (("team", "sales"),))
_SPELLINGS = ("a", "b", "c", "d", "a", "b", "c", "A", "b:free", "c@azure", "a-2024-07-18", "mine", "mine")
# An alias may be a name that nobody has a price for, a special form of one that has, or such a name itself.
_ALIASES = ("mine", "mine", "MINE", "b:free", "d", "c")
_USD = 10**9
LIMIT_MAX = 10**17
_LIMITS = [None, 0, 5 * _MILLION, _USD // 10, _USD // 2, *[_USD, 3 * _USD, 25 * _USD] * 2, LIMIT_MAX]
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
    "SetModelAlias": 3,
    "DeleteModelAlias": 2,
    "SetTier": 3,
    "SetOrganization": 3,
    "SetFreeze": 2,
}
# Prices, names and tiers are not read under an organization's lock: a running decision may see one change of
# them and not another. So concurrent operations do not change them.
AT_ONCE = {
    kind: weight
    for kind, weight in ALONE.items()
    if kind not in ("CreatePrice", "SetModelAlias", "DeleteModelAlias", "SetTier")
}

_WITH_REQUEST = ["Authorize", "RecordUsage", "Adjust", "SetBudget", "SetOrganization", "SetFreeze"]


@dataclass
class Program:
    """The part of a program's history that the next operation depends on."""

    model: Model
    now: datetime
    done: list[Operation] = field(default_factory=list)
    requests: int = 0
    prices: int = 0
    expire_times: set[datetime] = field(default_factory=set)


class Choices(Figures):
    """Chooses one operation for a program from a seed."""

    def __init__(self, program: Program, seed: int) -> None:
        super().__init__(random.Random(seed))
        self.program = program

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

    def usage(self, name: HoldName) -> Usage:
        """Usage that the hold allows, in full or in part, or any usage."""
        hold = self.program.model.organizations[name.organization].holds.get(name.request)
        if hold is None or hold.asked is None or self.one_of(True, False, False):
            return self.any_usage()
        return self.usage_within(hold.asked.call, hold.output_tokens)

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
            self.one_of(None, None, None, 0, 500),
            self.one_of(None, None, None, 0, 100),
            self.one_of((), (), (("web_searches", 3),), (("input_audio_tokens", 400), ("web_searches", 1))),
            self.one_of(*CONTEXTS),
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
        served = self.one_of("", "", "", *_SPELLINGS)
        context = self.one_of((), (), (), *CONTEXTS)
        return Settle(organization, hold, usage, served, self.provider_cost(), context)

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
            self.one_of(*CONTEXTS),
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
        context = self.one_of((), (), *PRICED_CONTEXTS)
        # Sometimes in place of a version that there is.
        begun = [
            (price.model, price.effective_time, price.context)
            for versions in self.program.model.prices.values()
            for price in versions
        ]
        model = self.one_of(*_SPELLINGS, *held)
        if len(begun) > 0 and self.one_of(True, False, False):
            model, effective_time, context = self.one_of(*begun[-6:])
        return CreatePrice(
            self.maybe_request(),
            model,
            self.rates(),
            effective_time,
            context,
            self.new_source(),
            self.one_of(True, True, True, False),
        )

    def set_alias(self) -> SetModelAlias:
        return SetModelAlias(self.maybe_request(), self.one_of(*_ALIASES), self.one_of(*_SPELLINGS))

    def delete_alias(self) -> DeleteModelAlias:
        return DeleteModelAlias(self.maybe_request(), self.one_of(*_ALIASES, "c", "c"))

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
            self.one_of((), (), ("a", "b:free"), ("C", "mine")),
            self.one_of(None, 1, 50, 50, 80, 80, 100),
            self.one_of(None, *BASES),
        )

    def set_organization(self) -> SetOrganization:
        return SetOrganization(
            self.maybe_request(),
            self.organization(),
            self.one_of(None, *self.program.model.tiers, "gold"),
            self.one_of(None, None, *_LIMITS),
            self.one_of(None, None, *_LIMITS),
            self.one_of(None, None, *BASES),
        )

    def set_freeze(self) -> SetFreeze:
        """Lifted more often than set, so that most of a program can continue."""
        organization, model = self.one_of(
            (0, None), (1, None), (None, "A"), (None, "c"), (None, "mine"), (None, "d"), (None, None)
        )
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
            "SetModelAlias": self.set_alias,
            "DeleteModelAlias": self.delete_alias,
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
            return self.again(self.one_of(*done[-20:])) if done else self.authorize()
        has_begun = len(self.program.done) > 10 or kind not in (
            "Settle",
            "Void",
            "Extend",
            "Adjust",
            "Again",
        )
        return simple[kind]() if has_begun and kind in simple else self.authorize()

    def again(self, operation: Operation) -> Operation:
        """The same operation. A price without a request_id is another version, whose source says so."""
        if isinstance(operation, CreatePrice) and operation.request is None:
            return replace(operation, source=self.new_source())
        return operation

    def new_source(self) -> str:
        self.program.prices += 1
        return f"source {self.program.prices}"

    def with_used_request(self, other: Operation) -> Operation:
        """The operation with a request_id that another of its kind has used."""
        assert not isinstance(other, CheckBudget | Settle | Void | Extend | Sweep)
        used = [
            done.request
            for done in self.program.done
            if isinstance(done, type(other)) and done.request is not None
        ]
        return replace(other, request=self.one_of(*used)) if used else other
