"""Random prices with tiers and other units, and random bounds and usages, for property tests."""

from collections.abc import Iterable, Mapping

from hypothesis import strategies as st

from governor_service.domain.hold_bounds import CallBounds
from governor_service.domain.pricing import (
    PRICE_NANO_USD_PER_MTOK_MAX,
    REQUEST_NANO_USD_MAX,
    Rate,
    Rates,
)
from governor_service.domain.usage import TOKENS_MAX, Usage, count_max
from governor_service.domain.usage_units import (
    BASE_UNITS,
    CACHE_READ_TOKENS,
    CACHE_WRITE_1H_TOKENS,
    CACHE_WRITE_TOKENS,
    COUNTED_UNITS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    REASONING_TOKENS,
    REQUESTS,
    UNITS,
    overlap_of,
    wholes_of,
)

OTHER_UNITS = sorted(UNITS.keys() - COUNTED_UNITS)

NANO_USD_PER_MTOK = st.integers(0, 10**7) | st.integers(0, PRICE_NANO_USD_PER_MTOK_MAX)
TOKENS = st.integers(0, 1000) | st.integers(0, TOKENS_MAX)
THRESHOLDS = st.integers(1, 1000) | st.integers(1, TOKENS_MAX)


@st.composite
def rates(draw: st.DrawFn) -> Rates:
    """Any price: some are plain, some have other units, tiers, or both. Everything in it may be free but
    input."""
    units = _with_overlaps(draw(st.sets(st.sampled_from([*OTHER_UNITS, CACHE_WRITE_1H_TOKENS]), max_size=3)))
    # The same amounts occur several times, so that parts cost what their wholes cost.
    amounts = draw(st.lists(NANO_USD_PER_MTOK, min_size=1, max_size=4))
    amount = st.sampled_from(amounts)
    found = [Rate(unit=unit, per=UNITS[unit].per, nano_usd=draw(amount)) for unit in units]
    for above in draw(st.sets(THRESHOLDS, max_size=3)):
        differing = draw(st.sets(st.sampled_from(sorted(BASE_UNITS | set(units))), min_size=1))
        found += [
            Rate(unit=unit, per=UNITS[unit].per, nano_usd=draw(amount), input_tokens_above=above)
            for unit in sorted(differing)
        ]
    return Rates(
        input_nano_usd_per_mtok=draw(amount) or 1,
        cached_input_nano_usd_per_mtok=draw(st.none() | amount),
        cache_write_nano_usd_per_mtok=draw(st.none() | amount),
        output_nano_usd_per_mtok=draw(amount),
        reasoning_nano_usd_per_mtok=draw(st.none() | amount),
        request_nano_usd=draw(st.just(0) | st.integers(0, REQUEST_NANO_USD_MAX)),
        rates=tuple(found),
    )


def _with_overlaps(units: Iterable[str]) -> list[str]:
    """The units, with what they share with each other and with base units. Leaves out a unit whose share has
    no name."""
    kept: set[str] = set()
    for unit in sorted(units):
        trial, found = set(kept), {unit}
        while found:
            trial |= found
            found = set()
            for one in trial:
                for other in trial | BASE_UNITS:
                    if UNITS[one].overlaps(UNITS[other]) and one != other:
                        shared = overlap_of(UNITS[one], UNITS[other])
                        found.add(shared.name if shared else "")
            found -= trial | BASE_UNITS
            if "" in found:
                break
        else:
            kept = trial
    return sorted(kept)


def usage_of(alone: Mapping[str, int], requests: int = 1) -> Usage:
    """A usage in which so much is used of each unit beside its parts."""
    counts: dict[str, int] = {}
    for unit, count in alone.items():
        for counted in (unit, *wholes_of(unit)):
            counts[counted] = counts.get(counted, 0) + count
    return Usage(
        input_tokens=counts.pop(INPUT_TOKENS, 0),
        cached_input_tokens=counts.pop(CACHE_READ_TOKENS, 0),
        cache_write_tokens=counts.pop(CACHE_WRITE_TOKENS, 0),
        cache_write_1h_tokens=counts.pop(CACHE_WRITE_1H_TOKENS, 0),
        output_tokens=counts.pop(OUTPUT_TOKENS, 0),
        reasoning_tokens=counts.pop(REASONING_TOKENS, 0),
        requests=counts.pop(REQUESTS, requests),
        other_units={unit: count for unit, count in counts.items() if count},
    )


@st.composite
def usages(draw: st.DrawFn, priced: Iterable[str] = ()) -> Usage:
    """Any usage, often of the units that a price names."""
    others = sorted({*priced, CACHE_WRITE_1H_TOKENS} - BASE_UNITS)
    units = [*(BASE_UNITS - {REQUESTS})]
    units += draw(st.lists(st.sampled_from(others) | st.sampled_from(OTHER_UNITS), max_size=4))
    alone = {}
    for unit in sorted(set(units)):
        # As many as there may be, divided so that the wholes stay within their bounds.
        most = (TOKENS_MAX if unit in COUNTED_UNITS else count_max(unit)) // 10
        alone[unit] = draw(st.just(0) | st.integers(0, min(500, most)) | st.integers(0, most))
    return usage_of(alone, requests=draw(st.integers(0, 3)))


@st.composite
def bounds(draw: st.DrawFn, priced: Iterable[str] = ()) -> CallBounds:
    """Any bounds, often of the units that a price names."""
    others = st.sampled_from(OTHER_UNITS)
    if named := sorted(set(priced) - COUNTED_UNITS):
        others |= st.sampled_from(named)
    return CallBounds(
        input_tokens_max=draw(TOKENS),
        output_tokens_max=draw(TOKENS),
        requests_max=draw(st.integers(0, 3)),
        cache_write_tokens_max=draw(st.none() | TOKENS),
        cache_write_1h_tokens_max=draw(st.none() | TOKENS),
        other_units_max={
            unit: draw(st.integers(0, min(500, count_max(unit))) | st.integers(0, count_max(unit)))
            for unit in sorted(draw(st.sets(others, max_size=4)))
        },
    )


@st.composite
def bounds_around(draw: st.DrawFn, usage: Usage) -> CallBounds:
    """Bounds that a usage is within."""

    def at_least(count: int) -> int:
        return count + draw(st.sampled_from((0, 0, 1, 100, 10**6)))

    return CallBounds(
        input_tokens_max=at_least(usage.input_tokens),
        output_tokens_max=at_least(usage.output_tokens),
        requests_max=at_least(usage.requests),
        cache_write_tokens_max=draw(st.none() | st.just(at_least(usage.cache_write_tokens))),
        cache_write_1h_tokens_max=draw(st.none() | st.just(at_least(usage.cache_write_1h_tokens))),
        other_units_max={
            unit: min(at_least(count), count_max(unit)) for unit, count in usage.other_units.items()
        },
    )
