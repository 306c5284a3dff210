"""The kinds of budgets, as the model knows them. No other part of the model lists them.

A kind is a scope and a period. A repeating period has a start, written as in the database.
The start `STANDING` names the limit of every such period.
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
    ("ORGANIZATION", "DAY"),
    ("ORGANIZATION", "HOUR"),
    ("ORGANIZATION", "LIFETIME"),
    ("WORKFLOW", "MONTH"),
    ("WORKFLOW", "DAY"),
    ("WORKFLOW", "HOUR"),
    ("LABEL", "DAY"),
    ("LABEL", "HOUR"),
)
# These budgets exist without a limit.
_BY_NATURE = {("ORGANIZATION", "MONTH"), ("WORKFLOW", "LIFETIME")}
# Periods that are not here do not repeat.
_STARTS = {"MONTH": "%Y-%m", "DAY": "%Y-%m-%d", "HOUR": "%Y-%m-%dT%H"}


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
        """None for a period that does not repeat, and for a standing limit."""
        if self.start in (None, STANDING):
            return None
        return datetime.strptime(self.start or "", _STARTS[self.period]).replace(tzinfo=UTC)

    def at(self, now: datetime) -> BudgetKey:
        """For a standing limit, the budget that it limits now; otherwise this key."""
        return budget_key(self.scope, self.subject, self.period, now) if self.start == STANDING else self


def budget_key(scope: str, subject: str, period: str, time: datetime) -> BudgetKey:
    """The budget whose period contains the time."""
    return BudgetKey(scope, subject, period, time.strftime(_STARTS[period]) if period in _STARTS else None)


def those_of_a_call(
    workflow: int, labels: tuple[tuple[str, str], ...], time: datetime
) -> Iterator[tuple[BudgetKey, bool]]:
    """Each budget that a call may be on, and whether it exists without a limit."""
    subjects = {
        "ORGANIZATION": [""],
        "WORKFLOW": [str(workflow)],
        "LABEL": [f"{key}={value}" for key, value in labels],
    }
    for scope, period in KINDS:
        for subject in subjects[scope]:
            yield budget_key(scope, subject, period, time), (scope, period) in _BY_NATURE


def of_database(key: str) -> BudgetKey:
    """From the database's key. A workflow's subject is its id."""
    word, _, rest = key.partition("/")
    scope = {"workflow": "WORKFLOW", "label": "LABEL"}.get(word, "ORGANIZATION")
    period = "LIFETIME"
    if scope != "WORKFLOW" or "/" in rest:
        word, _, rest = (key if scope == "ORGANIZATION" else rest).partition("/")
        period = word.upper()
    start = None
    if period in _STARTS:
        start, _, rest = rest.partition("/")
    return BudgetKey(scope, rest, period, start)


def of_answer(scope: str, subject: str, period: str, period_start: datetime | None) -> BudgetKey:
    """From an answer's fields."""
    key = budget_key(scope, subject, period, period_start or datetime.min)
    assert key.begins == period_start
    return key
