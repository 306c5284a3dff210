"""The units that providers count and bill, under genai-prices' usage keys: tokens by kind, searches, seconds.

The names, and how many units a listed price is for, are read from the installed package. A list of our own
would have to follow it: a price could name a unit that only one of the two knows. The module read here is a
table of constants. It does no I/O, so the domain stays pure.

A unit counts a part of another one if it has all of the other's dimensions and more: `cache_write_1h_tokens`
are part of `cache_write_tokens`, and these of `input_tokens`. The two may also overlap: `input_audio_tokens`
and `cache_read_tokens` have `cache_audio_read_tokens` in common.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from genai_prices.data_units import unit_data

INPUT_TOKENS = "input_tokens"
CACHE_READ_TOKENS = "cache_read_tokens"
CACHE_WRITE_TOKENS = "cache_write_tokens"
CACHE_WRITE_1H_TOKENS = "cache_write_1h_tokens"
OUTPUT_TOKENS = "output_tokens"
REASONING_TOKENS = "output_reasoning_tokens"
REQUESTS = "requests"

BASE_UNITS = frozenset(
    {INPUT_TOKENS, CACHE_READ_TOKENS, CACHE_WRITE_TOKENS, OUTPUT_TOKENS, REASONING_TOKENS, REQUESTS}
)
"""The units that have fields of their own in a price."""

COUNTED_UNITS = BASE_UNITS | {CACHE_WRITE_1H_TOKENS}
"""The units that have fields of their own in a usage. All others are counted in `other_units`."""


@dataclass(frozen=True)
class UsageUnit:
    """A unit, how many of it a listed price is for, and what tells it from others."""

    name: str
    per: int
    dimensions: frozenset[tuple[str, str]]

    def is_part_of(self, other: "UsageUnit") -> bool:
        """Whether all that this unit counts is counted by the other one too. No unit is part of itself."""
        return self.dimensions > other.dimensions

    def overlaps(self, other: "UsageUnit") -> bool:
        """Whether something may be counted by both: no dimension tells them apart."""
        ours, theirs = dict(self.dimensions), dict(other.dimensions)
        return all(theirs.get(dimension, value) == value for dimension, value in ours.items())


UNITS: Mapping[str, UsageUnit] = MappingProxyType(
    {
        name: UsageUnit(name, unit["per"], frozenset(unit["dimensions"].items()))
        for name, unit in unit_data.items()
    }
)

_UNIT_WITH = {unit.dimensions: unit for unit in UNITS.values()}


@cache
def wholes_of(name: str) -> tuple[str, ...]:
    """The units that this one is part of."""
    return tuple(other.name for other in UNITS.values() if UNITS[name].is_part_of(other))


def overlap_of(one: UsageUnit, other: UsageUnit) -> UsageUnit | None:
    """The unit that counts what both count. None if there is no such unit."""
    return _UNIT_WITH.get(one.dimensions | other.dimensions)
