"""The rules that make the possible names of a model id, read from the SQL function that returns them.

`migrations/governor/functions/22_model_name_rules.sql` is their only copy, and explains how they work.
"""

import re
from collections.abc import Iterator
from importlib.resources import files
from itertools import groupby
from typing import NamedTuple

NAME = "name"
NONE = "none"
"""The stages at which a text is a name, and at which it is dropped."""


class Row(NamedTuple):
    """A row as the SQL function returns it."""

    stage: str
    pattern: str
    replacement: str
    next: str
    step: str


class Rule(NamedTuple):
    """The rows that apply together."""

    pattern: re.Pattern[str]
    rows: tuple[Row, ...]


def _read() -> Iterator[Row]:
    file = files("migrations.governor").joinpath("functions/22_model_name_rules.sql")
    body = file.read_text(encoding="utf-8").partition("VALUES\n")[2]
    without_comments = re.sub(r"--.*", "", body)
    # In SQL, too, a literal that goes on in the next line is one.
    literals = iter(re.findall(r"'(.*?)'", re.sub(r"'\s*\n\s*'", "", without_comments)))
    return map(Row, literals, literals, literals, literals, literals)


ROWS = tuple(_read())


def _rules_from() -> dict[str, tuple[Rule, ...]]:
    rules = [
        (stage, Rule(re.compile(pattern), tuple(rows)))
        for (stage, pattern), rows in groupby(ROWS, key=lambda row: (row.stage, row.pattern))
    ]
    stages = [stage for stage, _ in rules]
    return {stage: tuple(rule for _, rule in rules[stages.index(stage) :]) for stage in stages}


RULES_FROM = _rules_from()
"""By stage: its rules and those of the stages that follow, in the order in which they are tried."""

FIRST_STAGE = ROWS[0].stage
