"""How much a call can cost at most, and how many output tokens an amount pays for.

Decisions are made by the functions of the same names in `migrations/governor/functions/20_rating.sql`. The
functions here are a model of them, and a test compares the two.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from governor_service.domain.pricing import EXACT_PER, Level, Rates
from governor_service.domain.usage import check_other_units
from governor_service.domain.usage_units import (
    CACHE_READ_TOKENS,
    CACHE_WRITE_1H_TOKENS,
    CACHE_WRITE_TOKENS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    REASONING_TOKENS,
    REQUESTS,
    UNITS,
    wholes_of,
)


@dataclass(frozen=True, kw_only=True)
class CallBounds:
    """The most that a call may use. Cache reads and reasoning are bounded only by input and output.

    So are cache writes where their bounds are None. Other units without a bound are taken as not used, and so
    are their parts.

    Raises ValueError for a negative bound, and for a unit that is unknown or has a field of its own.
    """

    input_tokens_max: int
    output_tokens_max: int
    requests_max: int
    cache_write_tokens_max: int | None = None
    cache_write_1h_tokens_max: int | None = None
    other_units_max: Mapping[str, int] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        bounds = (
            self.input_tokens_max,
            self.output_tokens_max,
            self.requests_max,
            self.cache_write_tokens_max or 0,
            self.cache_write_1h_tokens_max or 0,
        )
        if min(bounds) < 0:
            raise ValueError("a bound must be 0 or more")
        check_other_units(self.other_units_max)


def hold_nano_usd(price: Rates, bounds: CallBounds) -> int:
    """The most that a call within the bounds can cost, over all levels that its input can reach.

    Some call within the bounds costs that much, with one exception: where two overlapping units are both
    bounded, by themselves or by their parts (cache writes and audio), and what they share has a rate of its
    own, the hold may be larger.
    """
    return max(_nano_usd(level, fill(level, caps)) for level, caps in reachable(price, bounds))


def output_tokens_that_fit(price: Rates, available_nano_usd: int, bounds: CallBounds) -> int | None:
    """The greatest number of output tokens, up to `output_tokens_max`, whose hold fits the available amount.

    None if not even the input fits.
    """

    def held_nano_usd(output_tokens: int) -> int:
        return hold_nano_usd(price, replace(bounds, output_tokens_max=output_tokens))

    fitting = bisect_right(range(bounds.output_tokens_max + 1), available_nano_usd, key=held_nano_usd) - 1
    return fitting if fitting >= 0 else None


def reachable(price: Rates, bounds: CallBounds) -> Iterator[tuple[Level, dict[str, int]]]:
    """The levels that a call within the bounds can be rated at, and the most that it can use there, by
    unit."""
    levels = price.levels()
    ends: list[int | None] = [level.input_tokens_above for level in levels[1:]]
    for level, end in zip(levels, [*ends, None], strict=True):
        if bounds.input_tokens_max > level.input_tokens_above or not level.input_tokens_above:
            input_tokens = bounds.input_tokens_max if end is None else min(bounds.input_tokens_max, end)
            yield level, _caps(bounds, input_tokens)


def fill(level: Level, caps: Mapping[str, int]) -> dict[str, int]:
    """The dearest call within the caps: how much it uses of each priced unit, parts taken out of their
    wholes.

    The dearest unit takes as much as its own cap and those of its wholes leave, then the next. A part of a
    unit that is not used is not used either.
    """
    left = dict(caps)
    taken = {}
    for rate in sorted(level.weighted, key=lambda rate: (-rate.exact_nano_usd, rate.unit)):
        wholes = wholes_of(rate.unit)
        if all(unit in caps for unit in (rate.unit, *wholes)):
            shrinking = (rate.unit, *takes_from(rate.unit))
            take = min([left[unit] for unit in shrinking] + [caps[whole] for whole in wholes])
            for unit in shrinking:
                left[unit] -= take
            taken[rate.unit] = take
    return taken


def _nano_usd(level: Level, taken: Mapping[str, int]) -> int:
    exact_nano_usd = sum(taken.get(rate.unit, 0) * rate.exact_nano_usd for rate in level.weighted)
    return -(-exact_nano_usd // EXACT_PER)


def _caps(bounds: CallBounds, input_tokens: int) -> dict[str, int]:
    """The most of each unit that can be used, as far as the bounds say."""

    def or_input(bound: int | None) -> int:
        return input_tokens if bound is None else bound

    return {
        INPUT_TOKENS: input_tokens,
        CACHE_READ_TOKENS: input_tokens,
        CACHE_WRITE_TOKENS: or_input(bounds.cache_write_tokens_max),
        CACHE_WRITE_1H_TOKENS: or_input(bounds.cache_write_1h_tokens_max),
        OUTPUT_TOKENS: bounds.output_tokens_max,
        REASONING_TOKENS: bounds.output_tokens_max,
        REQUESTS: max(bounds.requests_max, 1),
        **bounds.other_units_max,
    }


@cache
def takes_from(unit: str) -> tuple[str, ...]:
    """The wholes that get smaller by what is taken of a unit: those that lie within each other.

    Only then is taking the dearest first the dearest call. `cache_audio_write_tokens` are part of audio and
    of cache writes, of which neither is part of the other: they take from audio and from all input, as if
    cache writes had room for them beside others. That never makes a hold too small.
    """
    if "modality" not in dict(UNITS[unit].dimensions):
        return wholes_of(unit)
    return tuple(
        whole
        for whole in wholes_of(unit)
        if "modality" in (dimensions := dict(UNITS[whole].dimensions)) or "token_type" not in dimensions
    )
