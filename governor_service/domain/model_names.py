"""What a model id may be called in the price book.

People send the same model under many ids: the vendor's own, OpenRouter's, a cloud's, a library's. From an id
follow names, most specific first; the database takes the first that is an alias or has a price. If none has
one, the last name stands for the model, and it is unpriced. The rules only take parts of an id away or write
them as the price book does. They look at no price, so that an id leads to the same names everywhere.

- The id itself, in small letters, comes first: an operator's alias or price for it always counts.
- What leads to the seller is taken off (`bedrock/converse/`, an ARN, `publishers/google/models/`), and its
  models are called `seller/model`. A vendor's own API is `vendor-direct/model` where it has another price
  than at OpenRouter, else `vendor/model`.
- A provider after `@` and a variant after `:` come off, the variant last: `gpt-4o:extended` has a price of
  its own. `:free` has the price of the model itself, since no name makes a call free.
- A full date at the end is a snapshot (`-20251222`, `-2024-07-18`), and so is `-latest` where a version is
  named. Other numbers stay (`-0324`, `-2507`, `-08-2024`): listings have separate prices for such models.
- A version is written with a dot (`4-5` is `4.5`), and Claude's tiers stand where OpenRouter puts them.
- A name without a vendor gets one if its family belongs to a single vendor. `glm-4-32b` may be several.

The rules are rows of `migrations/governor/functions/22_model_name_rules.sql`. The SQL function
candidate_names follows the same rows to the same names.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase

from governor_service.domain.model_name_rules import FIRST_STAGE, NAME, NONE, RULES_FROM

NAMES_MAX = 10

_PRICEABLE = re.compile(r"[!-@\[-~]{1,200}")
_WHITE_SPACE = "\t\n\v\f\r\x1c\x1d\x1e\x1f "
_BETWEEN = re.compile(f"[{_WHITE_SPACE}]+")
_SMALL_LETTERS = str.maketrans(ascii_uppercase, ascii_lowercase)

_Steps = tuple[str, ...]


@dataclass(frozen=True)
class Resolution:
    """Names that a model may have in the price book, most specific first, and how each was found."""

    names: tuple[str, ...]
    steps_by_name: tuple[tuple[str, ...], ...]

    def steps_of(self, index: int) -> tuple[str, ...]:
        """The steps from the id to a name, in order, for people to read."""
        return self.steps_by_name[index]


@lru_cache(maxsize=4096)
def candidate_names(model_id: str) -> Resolution:
    """The names that a model id may have in the price book.

    White space and capitals are those of ASCII. An id that the price book would not take has no other name.
    """
    joined = _BETWEEN.sub("-", model_id.strip(_WHITE_SPACE))
    name = joined.translate(_SMALL_LETTERS)
    steps = ("whitespace",) * (joined != model_id) + ("case",) * (name != joined)
    found: dict[str, _Steps] = {name: steps}
    if is_priceable(name):
        for other, more in names_from(FIRST_STAGE, name):
            found.setdefault(other, (*steps, *more))
    ranked = list(found.items())
    if len(ranked) > NAMES_MAX:
        ranked = [*ranked[: NAMES_MAX - 1], ranked[-1]]
    return Resolution(tuple(name for name, _ in ranked), tuple(steps for _, steps in ranked))


def names_from(stage: str, text: str) -> Iterator[tuple[str, _Steps]]:
    """The names to which the rules lead from a text at a stage, and the steps to each. One may come twice."""
    pending: list[tuple[str, str, _Steps]] = [(stage, text, ())]
    while pending:
        stage, text, steps = pending.pop()
        if stage == NAME:
            yield text, steps
        elif stage != NONE:
            pending.extend(reversed(_after(stage, text, steps)))


def _after(stage: str, text: str, steps: _Steps) -> list[tuple[str, str, _Steps]]:
    """What the first rule that applies makes of a text. Empty if none applies."""
    for rule in RULES_FROM[stage]:
        if found := rule.pattern.search(text):
            return [
                (
                    row.next,
                    text[: found.start()] + found.expand(row.replacement) + text[found.end() :],
                    (*steps, found.expand(row.step)) if row.step else steps,
                )
                for row in rule.rows
            ]
    return []


def resolve(names: Sequence[str], has_price: Callable[[str], bool], aliases: Mapping[str, str]) -> str:
    """What the database makes of an id: the model of the first name that is an alias or has a price, else the
    last name, which is unpriced."""
    for name in names:
        if name in aliases:
            return aliases[name]
        if has_price(name):
            return name
    return names[-1]


def is_priceable(model: str) -> bool:
    """Whether the price book takes a name: up to 200 printable ASCII characters, none in upper case."""
    return _PRICEABLE.fullmatch(model) is not None
