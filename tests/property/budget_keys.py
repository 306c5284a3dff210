"""The kinds of budgets, as the model knows them. Nothing else of the model says which there are.

A kind is a scope and a period. A period that begins anew has a start, written as in the database.
`STANDING` in its place names the limit of every such period.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

STANDING = "standing"

KINDS = (
    ("ORGANIZATION", "MONTH"),
    ("WORKFLOW", "LIFETIME"),
    ("LABEL", "LIFETIME"),
    ("LABEL", "MONTH"),
)
# These have a budget without anybody setting a limit.
_BY_NATURE = {("ORGANIZATION", "MONTH"), ("WORKFLOW", "LIFETIME")}
# A period that is not here never begins anew.
_STARTS = {"MONTH": "%Y-%m"}


class BudgetKey(NamedTuple):
    """`subject` is empty, a workflow's number, or `key=value`. `start` is None for a lifetime."""

    scope: str
    subject: str
    period: str
    start: str | None

    @property
    def standing(self) -> BudgetKey:
        """The key of the limit for every period of this kind."""
        return self._replace(start=STANDING) if self.start else self

    @property
    def begins(self) -> datetime | None:
        """None where it never begins anew, and of a standing limit."""
        if self.start in (None, STANDING):
            return None
        return datetime.strptime(self.start or "", _STARTS[self.period]).replace(tzinfo=UTC)

    def at(self, now: datetime) -> BudgetKey:
        """Of a standing limit, the budget that it governs now."""
        return budget_key(self.scope, self.subject, self.period, now) if self.start == STANDING else self


def budget_key(scope: str, subject: str, period: str, time: datetime) -> BudgetKey:
    """The budget that a time falls in."""
    return BudgetKey(scope, subject, period, time.strftime(_STARTS[period]) if period in _STARTS else None)


def those_of_a_call(
    workflow: int, labels: tuple[tuple[str, str], ...], time: datetime
) -> Iterator[tuple[BudgetKey, bool]]:
    """Each budget that a call may be on, and whether it is without a limit, too."""
    subjects = {
        "ORGANIZATION": [""],
        "WORKFLOW": [str(workflow)],
        "LABEL": [f"{key}={value}" for key, value in labels],
    }
    for scope, period in KINDS:
        for subject in subjects[scope]:
            yield budget_key(scope, subject, period, time), (scope, period) in _BY_NATURE


def of_database(key: str) -> BudgetKey:
    """A workflow's subject is its id."""
    word, _, rest = key.partition("/")
    scope = {"workflow": "WORKFLOW", "label": "LABEL"}.get(word, "ORGANIZATION")
    period = "LIFETIME"
    if scope != "WORKFLOW":
        word, _, rest = (rest if scope == "LABEL" else key).partition("/")
        period = word.upper()
    start = None
    if period in _STARTS:
        start, _, rest = rest.partition("/")
    return BudgetKey(scope, rest, period, start)


def of_answer(scope: str, subject: str, period_start: datetime | None) -> BudgetKey:
    """As an answer names it. It begins when its period does."""
    (period,) = (
        period
        for kind, period in KINDS
        if kind == scope and (period in _STARTS) == (period_start is not None)
    )
    key = budget_key(scope, subject, period, period_start or datetime.min)
    assert key.begins == period_start
    return key
