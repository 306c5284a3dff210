"""Prices: what each unit of a model costs, by the size of the call.

Most prices are plain: they price input, cached input, cache writes, output, reasoning and requests, alike for
calls of every size. All others have `rates` beside these six: of other units, and of tiers.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from functools import cached_property, lru_cache
from itertools import combinations
from typing import NamedTuple
from uuid import UUID

from governor_service.domain.usage import TOKENS_MAX
from governor_service.domain.usage_units import (
    BASE_UNITS,
    CACHE_READ_TOKENS,
    CACHE_WRITE_TOKENS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    REASONING_TOKENS,
    REQUESTS,
    UNITS,
    overlap_of,
    wholes_of,
)

PRICE_NANO_USD_PER_MTOK_MAX = 10**13
"""10,000 USD for a million tokens."""
REQUEST_NANO_USD_MAX = 10**12
"""1,000 USD for a request."""
RATE_NANO_USD_MAX = 10**13
"""The same as for a million tokens, for whatever number of units a rate is."""
OTHER_UNITS_MAX = 64
"""The most kinds of other units that a usage counts, or that a hold bounds."""
RATES_MAX = 100
"""The most rates of other units and of tiers that a price has."""

EXACT_PER = 9 * 10**9
"""A multiple of every `per`: 10⁶ tokens, 1,000 searches, 3,600 seconds, 10⁹ pixels. So a rate for EXACT_PER
units is an integer, and a sum of counts × rates is exact."""

_MTOK = 10**6

UNIT_OF_COMPONENT = {
    "input_nano_usd_per_mtok": INPUT_TOKENS,
    "cached_input_nano_usd_per_mtok": CACHE_READ_TOKENS,
    "cache_write_nano_usd_per_mtok": CACHE_WRITE_TOKENS,
    "output_nano_usd_per_mtok": OUTPUT_TOKENS,
    "reasoning_nano_usd_per_mtok": REASONING_TOKENS,
    "request_nano_usd": REQUESTS,
}
"""The base units by the names of their fields in a price."""


class WeightedRate(NamedTuple):
    """What a unit costs, and what one more of it adds to a cost if its wholes count it too.

    `weight` is for EXACT_PER units: the unit's own rate less the weights of the priced units that it is part
    of. So the exact cost of a call is the sum of counts × weights, with the counts as they are reported.
    """

    unit: str
    per: int
    nano_usd: int
    weight: int

    @property
    def exact_nano_usd(self) -> int:
        """The rate for EXACT_PER units."""
        return self.nano_usd * (EXACT_PER // self.per)


class Level(NamedTuple):
    """All rates for calls with more than `input_tokens_above` input tokens, up to the next level's. Wholes
    come before their parts."""

    input_tokens_above: int
    weighted: tuple[WeightedRate, ...]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What `per` units cost in calls with more than `input_tokens_above` input tokens; 0: in every call that
    no tier applies to.

    Raises ValueError for an unknown unit or a figure out of bounds, and for a base unit without a tier.
    """

    unit: str
    per: int
    nano_usd: int
    input_tokens_above: int = 0

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"{self.unit} is not a unit")
        if not (0 < self.per <= EXACT_PER and EXACT_PER % self.per == 0):
            raise ValueError(f"per must divide {EXACT_PER}")
        if not 0 <= self.nano_usd <= RATE_NANO_USD_MAX:
            raise ValueError(f"nano_usd must be between 0 and {RATE_NANO_USD_MAX}")
        if not 0 <= self.input_tokens_above <= TOKENS_MAX:
            raise ValueError(f"input_tokens_above must be between 0 and {TOKENS_MAX}")
        if self.unit in BASE_UNITS and not self.input_tokens_above:
            raise ValueError(f"outside tiers, {self.unit} has a field of its own")


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What the units of a model cost. A component that is None costs what its parent costs: input for cached
    input and cache writes, output for reasoning. Any other unit without a rate costs what the unit costs that
    it is part of.

    A tier of `rates` names only what differs from the tier below.

    Raises ValueError if a component is negative or above its bound, if everything is free, if a unit has two
    rates in one tier, or if two priced units overlap and what they share has no rate.
    """

    input_nano_usd_per_mtok: int
    output_nano_usd_per_mtok: int
    cached_input_nano_usd_per_mtok: int | None = None
    cache_write_nano_usd_per_mtok: int | None = None
    reasoning_nano_usd_per_mtok: int | None = None
    request_nano_usd: int = 0
    rates: tuple[Rate, ...] = ()

    def __post_init__(self) -> None:
        for name, value in self.components():
            maximum = REQUEST_NANO_USD_MAX if name == "request_nano_usd" else PRICE_NANO_USD_PER_MTOK_MAX
            if value is not None and not 0 <= value <= maximum:
                raise ValueError(f"{name} must be between 0 and {maximum}")
        if not (any(rate.nano_usd for rate in self._base()) or any(rate.nano_usd for rate in self.rates)):
            raise ValueError("a price in which everything is free is no price")
        if len(self.rates) > RATES_MAX:
            raise ValueError(f"a price has at most {RATES_MAX} rates")
        if len({(rate.unit, rate.input_tokens_above) for rate in self.rates}) < len(self.rates):
            raise ValueError("a unit has two rates in one tier")
        if not self.is_plain:
            for level in self.levels():
                _check_overlaps(frozenset(rate.unit for rate in level.weighted))

    @property
    def is_plain(self) -> bool:
        """Whether the six components say it all."""
        return not self.rates

    def components(self) -> Iterator[tuple[str, int | None]]:
        """Each of the six components with its name."""
        return ((name, getattr(self, name)) for name in UNIT_OF_COMPONENT)

    def levels(self) -> tuple[Level, ...]:
        """All rates by size of the call, the smallest calls first: at least one level, beginning at 0."""
        return self._levels

    def level_of(self, input_tokens: int) -> Level:
        """The level of a call with so many input tokens."""
        return next(
            level
            for level in reversed(self._levels)
            if input_tokens > level.input_tokens_above or not level.input_tokens_above
        )

    def costs_the_same_as(self, other: "Rates") -> bool:
        """Whether every usage costs the same, however the rates are stated."""
        return self._weights() == other._weights()

    @cached_property
    def _levels(self) -> tuple[Level, ...]:
        in_force = {rate.unit: rate for rate in self._base()}
        found = []
        for above in sorted({0, *(rate.input_tokens_above for rate in self.rates)}):
            for rate in self.rates:
                if rate.input_tokens_above == above:
                    in_force[rate.unit] = WeightedRate(rate.unit, rate.per, rate.nano_usd, 0)
            found.append(Level(above, _weighted(in_force.values())))
        return tuple(found)

    def _base(self) -> Iterator[WeightedRate]:
        """The rates that the six components state, not weighted yet."""
        for name, value in self.components():
            if value is not None:
                unit = UNIT_OF_COMPONENT[name]
                yield WeightedRate(unit, 1 if unit == REQUESTS else _MTOK, value, 0)

    def _weights(self) -> list[tuple[int, dict[str, int]]]:
        """What costs depend on: a cost is linear in the counts, so that its weights are its only form."""
        found: list[tuple[int, dict[str, int]]] = []
        for level in self._levels:
            weights = {rate.unit: rate.weight for rate in level.weighted if rate.weight}
            if not found or found[-1][1] != weights:
                found.append((level.input_tokens_above, weights))
        return found


@dataclass(frozen=True, kw_only=True)
class Price(Rates):
    """One version of a model's price, as the price book keeps it. It is never changed.

    `provider` sells the model; it is empty for a price that was set by hand. `price_context` is the variant
    of the call that this is the price of; empty for an ordinary call. With `daily_start` and `daily_end` it
    applies only at these times of the day, in UTC; the end may be the earlier of the two, for a time that
    includes midnight.
    """

    price_id: UUID
    model: str
    provider: str = ""
    price_context: Mapping[str, str] = field(default_factory=dict, hash=False)
    daily_start: time | None = None
    daily_end: time | None = None
    effective_time: datetime
    source: str
    author: str


def _weighted(rates: Iterable[WeightedRate]) -> tuple[WeightedRate, ...]:
    weights: dict[str, int] = {}
    found = []
    for rate in sorted(rates, key=lambda rate: (len(UNITS[rate.unit].dimensions), rate.unit)):
        of_wholes = sum(weights.get(whole, 0) for whole in wholes_of(rate.unit))
        weights[rate.unit] = rate.exact_nano_usd - of_wholes
        found.append(rate._replace(weight=weights[rate.unit]))
    return tuple(found)


@lru_cache(maxsize=1024)
def _check_overlaps(priced: frozenset[str]) -> None:
    """What two priced units share must have a rate too. Otherwise it would be charged twice, or at either
    rate."""
    for one, other in combinations(sorted(priced), 2):
        if UNITS[one].overlaps(UNITS[other]):
            shared = overlap_of(UNITS[one], UNITS[other])
            if shared is None or shared.name not in priced:
                missing = shared.name if shared else "no unit counts it"
                raise ValueError(f"{one} and {other} overlap, and what they share has no rate: {missing}")
