"""How one price differs from another of the same model: unit by unit, for calls of every size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from governor_service.domain.pricing import EXACT_PER, Level, Rates
from governor_service.domain.usage_units import REQUESTS, UNITS, wholes_of


class Direction(StrEnum):
    """What a new price does to costs."""

    NEW = "new"
    DEARER = "dearer"
    CHEAPER = "cheaper"
    MIXED = "dearer and cheaper"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateChange:
    """What `per` units cost in calls with more than `input_tokens_above` input tokens, before and after, each
    rounded down.

    A unit without a rate of its own costs what its whole costs, or nothing. `before_nano_usd` is None if the
    model had no price.
    """

    unit: str
    input_tokens_above: int
    per: int
    before_nano_usd: int | None
    after_nano_usd: int
    rises: bool


def rate_changes(before: Rates | None, after: Rates) -> list[RateChange]:
    """The units whose cost differs, by size of the call.

    What differs in the same way for larger calls is named once.
    """
    thresholds = sorted(
        {level.input_tokens_above for rates in (before, after) if rates for level in rates.levels()}
    )
    found: list[RateChange] = []
    below: dict[str, tuple[int, int]] = {}
    for above in thresholds:
        new = after.level_of(above + 1)
        old = before.level_of(above + 1) if before else None
        for unit in _units(new, old):
            exact = (_exact_rate(old, unit) if old else 0), _exact_rate(new, unit)
            # A part that is free says something. That requests have no fee does not.
            is_told = exact[0] != exact[1] or (old is None and wholes_of(unit))
            if is_told and below.get(unit) != exact:
                per = 1 if unit == REQUESTS else UNITS[unit].per
                costs = [rate * per // EXACT_PER for rate in exact]
                found.append(
                    RateChange(
                        unit=unit,
                        input_tokens_above=above,
                        per=per,
                        before_nano_usd=costs[0] if old else None,
                        after_nano_usd=costs[1],
                        rises=exact[1] > exact[0],
                    )
                )
            below[unit] = exact
    return found


def direction_of(changes: Sequence[RateChange]) -> Direction:
    """What these changes do together. There is at least one."""
    if changes[0].before_nano_usd is None:
        return Direction.NEW
    rises = {change.rises for change in changes}
    if len(rises) > 1:
        return Direction.MIXED
    return Direction.DEARER if rises.pop() else Direction.CHEAPER


def _units(*levels: Level | None) -> list[str]:
    """What either price has a rate for, wholes before their parts."""
    units = (rate.unit for level in levels if level for rate in level.weighted)
    return sorted(dict.fromkeys(units), key=lambda unit: len(UNITS[unit].dimensions))


def _exact_rate(level: Level, unit: str) -> int:
    """What EXACT_PER of a unit cost, with or without a rate of its own."""
    counted = {unit, *wholes_of(unit)}
    return sum(rate.weight for rate in level.weighted if rate.unit in counted)
