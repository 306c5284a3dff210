"""The ids of one program, and the things that they name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4, uuid5

from tests.property.budget_keys import BudgetKey, of_database
from tests.property.operations import (
    Adjust,
    EntryName,
    Extend,
    HoldName,
    Operation,
    Settle,
    Void,
)

NOBODY = -1


class Names:
    """The ids of one program, in both directions.

    `learn` adds the ids that the governor creates; an unknown id names nothing.
    """

    def __init__(self, organizations: int) -> None:
        self._namespace = uuid4()
        self.organizations = [uuid4() for _ in range(organizations)]
        self._known: dict[tuple[str, object], str] = {}
        # By organization, since two may use the same id; things without an organization have -1.
        self._names: dict[tuple[str, int, str], Any] = {}
        self.prefix = f"t{self._namespace.hex[:12]}/"

    def learn(self, kind: str, name: Any, value: str) -> None:
        """Records the permanent meaning of an id."""
        owner = name.organization if isinstance(name, HoldName | EntryName) else NOBODY
        names = self._names.setdefault((kind, owner, value), name)
        assert (self._known.setdefault((kind, name), value), names) == (value, name), (
            kind,
            value,
            names,
            name,
        )

    def named(self, kind: str, value: str, owner: int = NOBODY) -> Any:
        return self._names[kind, owner, value]

    def resolved(self, operation: Operation) -> Operation:
        """The operation with its ids as the calling organization sees them."""
        match operation:
            case Settle() | Extend() | Void(by_request=False):
                # The id depends on the request_id only: for any organization it names its own hold with that
                # request, even one that is not placed yet.
                is_known = ("hold", operation.hold) in self._known
                owner = operation.organization if is_known else NOBODY
                return replace(operation, hold=operation.hold._replace(organization=owner))
            case Adjust():
                value = self._known.get(("entry", operation.entry))
                if value is None:
                    return replace(operation, entry=operation.entry._replace(organization=NOBODY))
                own = self._names.get(("entry", operation.organization, value), operation.entry)
                return replace(operation, entry=own)
        return operation

    def request_id(self, request: int | None) -> str:
        """Ids sort as their numbers do: a sweep ends holds of one instant in the order of their requests."""
        if request is None:
            return ""
        value = str(UUID(int=self._namespace.int >> 32 << 32 | request))
        self.learn("request", request, value)
        return value

    def request(self, request_id: str) -> int:
        number: int = self.named("request", request_id)
        return number

    def organization_id(self, number: int) -> str:
        return str(self.organizations[number])

    def workflow_id(self, number: int) -> str:
        value = str(uuid5(self._namespace, f"workflow/{number}"))
        self.learn("workflow", number, value)
        return value

    def hold_id(self, name: HoldName) -> str:
        return self._known.get(("hold", name)) or str(uuid5(self._namespace, f"no hold {name}"))

    def entry_id(self, name: EntryName) -> str:
        return self._known.get(("entry", name)) or str(uuid5(self._namespace, f"no entry {name}"))

    def model_id(self, model: str) -> str:
        """Each program has its own models and tiers. Case is kept as part of the spelling."""
        return f"{self.prefix.upper() if model.isupper() else self.prefix}{model}" if model else ""

    def own(self, name: str) -> str:
        return name.removeprefix(self.prefix)

    def tier_id(self, tier: str) -> str:
        return tier if tier in ("", "default") else f"{self.prefix}{tier}"

    def budget(self, key: str) -> BudgetKey:
        """A budget from the database's key."""
        budget = of_database(key)
        if budget.scope == "WORKFLOW":
            return budget._replace(subject=str(self.named("workflow", budget.subject)))
        return budget
