"""A hold is a bound: no usage within the bounds of a call is rated above it, and some usage is rated at
it."""

import dataclasses
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from governor_service.domain.hold_bounds import (
    CallBounds,
    fill,
    hold_nano_usd,
    output_tokens_that_fit,
    reachable,
)
from governor_service.domain.pricing import Rate, Rates
from governor_service.domain.rating import rated_cost_nano_usd
from governor_service.domain.usage import Usage
from governor_service.domain.usage_units import COUNTED_UNITS, REQUESTS, UNITS, wholes_of
from tests.pricing import rate_strategies
from tests.pricing.rate_strategies import usage_of

# 3 and 15 USD a million, above 200,000 input tokens 6 and 22.50; writes for an hour cost 6 and 12; searches
# 10 a thousand.
SONNET = Rates(
    input_nano_usd_per_mtok=3_000_000_000,
    cached_input_nano_usd_per_mtok=300_000_000,
    cache_write_nano_usd_per_mtok=3_750_000_000,
    output_nano_usd_per_mtok=15_000_000_000,
    rates=(
        Rate(unit="cache_write_1h_tokens", per=10**6, nano_usd=6_000_000_000),
        Rate(unit="web_searches", per=1000, nano_usd=10_000_000_000),
        Rate(unit="input_tokens", per=10**6, nano_usd=6_000_000_000, input_tokens_above=200_000),
        Rate(unit="cache_read_tokens", per=10**6, nano_usd=600_000_000, input_tokens_above=200_000),
        Rate(unit="cache_write_tokens", per=10**6, nano_usd=7_500_000_000, input_tokens_above=200_000),
        Rate(unit="cache_write_1h_tokens", per=10**6, nano_usd=12_000_000_000, input_tokens_above=200_000),
        Rate(unit="output_tokens", per=10**6, nano_usd=22_500_000_000, input_tokens_above=200_000),
    ),
)
# Audio costs ten times as much as text, cached or not a fifth of that.
AUDIO = Rates(
    input_nano_usd_per_mtok=1_000_000,
    cached_input_nano_usd_per_mtok=500_000,
    output_nano_usd_per_mtok=4_000_000,
    rates=(
        Rate(unit="input_audio_tokens", per=10**6, nano_usd=10_000_000),
        Rate(unit="cache_audio_read_tokens", per=10**6, nano_usd=2_000_000),
    ),
)
# Audio and cache writes cost 9, audio that is written 10, all else 1.
CROSSING = Rates(
    input_nano_usd_per_mtok=1_000_000,
    cache_write_nano_usd_per_mtok=9_000_000,
    output_nano_usd_per_mtok=1_000_000,
    rates=(
        Rate(unit="input_audio_tokens", per=10**6, nano_usd=9_000_000),
        Rate(unit="cache_audio_write_tokens", per=10**6, nano_usd=10_000_000),
    ),
)
# Long calls are cheaper.
CHEAPER_ABOVE = Rates(
    input_nano_usd_per_mtok=10_000_000,
    output_nano_usd_per_mtok=10_000_000,
    rates=(Rate(unit="input_tokens", per=10**6, nano_usd=1_000_000, input_tokens_above=1000),),
)

HOLDS = [
    # Every input token is possibly written for an hour: 200,000 × 6,000 + 1,000 × 15,000.
    (SONNET, CallBounds(input_tokens_max=200_000, output_tokens_max=1000, requests_max=1), 1_215_000_000),
    # One token more reaches the tier: 200,001 × 12,000 + 1,000 × 22,500.
    (SONNET, CallBounds(input_tokens_max=200_001, output_tokens_max=1000, requests_max=1), 2_422_512_000),
    # At most 100 are written for an hour, 500 at all: 100 × 6,000 + 400 × 3,750 + 500 × 3,000.
    (
        SONNET,
        CallBounds(
            input_tokens_max=1000,
            output_tokens_max=0,
            requests_max=1,
            cache_write_tokens_max=500,
            cache_write_1h_tokens_max=100,
        ),
        3_600_000,
    ),
    # No writes, two searches: 1,000 × 3,000 + 2 × 10,000,000.
    (
        SONNET,
        CallBounds(
            input_tokens_max=1000,
            output_tokens_max=0,
            requests_max=1,
            cache_write_tokens_max=0,
            other_units_max={"web_searches": 2},
        ),
        23_000_000,
    ),
    # Audio without a bound is not used; with one, 10 of 100 tokens cost 10, the rest 1.
    (AUDIO, CallBounds(input_tokens_max=100, output_tokens_max=0, requests_max=1), 100),
    (
        AUDIO,
        CallBounds(
            input_tokens_max=100,
            output_tokens_max=0,
            requests_max=1,
            other_units_max={"input_audio_tokens": 10},
        ),
        190,
    ),
    # Audio from the cache is audio, which is not used.
    (
        AUDIO,
        CallBounds(
            input_tokens_max=100,
            output_tokens_max=0,
            requests_max=1,
            other_units_max={"cache_audio_read_tokens": 10},
        ),
        100,
    ),
    # One token of audio and another one that is written are 18, one that is both and one that is neither 11.
    # The hold is the bound 19.
    (
        CROSSING,
        CallBounds(
            input_tokens_max=2,
            output_tokens_max=0,
            requests_max=1,
            cache_write_tokens_max=1,
            other_units_max={"input_audio_tokens": 1, "cache_audio_write_tokens": 1},
        ),
        19,
    ),
    # The dearest call is not the largest: 1,000 × 10, not 1,001 × 1.
    (CHEAPER_ABOVE, CallBounds(input_tokens_max=1001, output_tokens_max=0, requests_max=1), 10_000),
]


@pytest.mark.parametrize(("rates", "bounds", "hold"), HOLDS)
def test_hold(rates: Rates, bounds: CallBounds, hold: int) -> None:
    """Every unit at the dearest rate that it may meet, over the tiers that the input can reach."""
    assert hold_nano_usd(rates, bounds) == hold


def test_output_tokens_that_fit_in_a_tier() -> None:
    """The input takes its part of the amount at the rates of its tier, and the output tokens the rest."""
    bounds = CallBounds(input_tokens_max=200_001, output_tokens_max=1000, requests_max=1)
    assert output_tokens_that_fit(SONNET, 2_422_512_000, bounds) == 1000
    assert output_tokens_that_fit(SONNET, 2_422_511_999, bounds) == 999
    assert output_tokens_that_fit(SONNET, 2_400_012_000, bounds) == 0
    assert output_tokens_that_fit(SONNET, 2_400_011_999, bounds) is None


def _priced(rates: Rates) -> set[str]:
    return {rate.unit for level in rates.levels() for rate in level.weighted}


def _crossing(rates: Rates, bounds: CallBounds) -> bool:
    """Whether the price names what two bounded units share, neither of which is a part of the other."""
    bounded = {*bounds.other_units_max}.union(*map(wholes_of, bounds.other_units_max)) - COUNTED_UNITS
    if bounds.cache_write_tokens_max is not None:
        bounded.add("cache_write_tokens")
    if bounds.cache_write_1h_tokens_max is not None:
        bounded.add("cache_write_1h_tokens")
    for unit in _priced(rates) - COUNTED_UNITS:
        wholes = [UNITS[whole] for whole in wholes_of(unit) if whole in bounded]
        if any("modality" not in dict(whole.dimensions) for whole in wholes) and (
            "modality" in dict(UNITS[unit].dimensions)
        ):
            return True
    return False


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_no_usage_within_the_bounds_is_rated_above_the_hold(data: st.DataObject) -> None:
    """Whatever a call uses, if it is within the bounds, its hold was enough."""
    rates = data.draw(rate_strategies.rates())
    usage = data.draw(rate_strategies.usages(_priced(rates)))
    bounds = data.draw(rate_strategies.bounds_around(usage))
    assert rated_cost_nano_usd(rates, usage) <= hold_nano_usd(rates, bounds)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_some_usage_within_the_bounds_is_rated_at_the_hold(data: st.DataObject) -> None:
    """The dearest call within the bounds costs what is held, at each level that the hold is over."""
    rates = data.draw(rate_strategies.rates())
    bounds = data.draw(rate_strategies.bounds(_priced(rates)))
    assume(not _crossing(rates, bounds))
    costs = []
    for level, caps in reachable(rates, bounds):
        usage = usage_of(fill(level, caps), requests=max(bounds.requests_max, 1))
        assert _is_within(usage, bounds)
        assert rates.level_of(usage.input_tokens) == level
        costs.append(rated_cost_nano_usd(rates, usage))
    assert max(costs) == hold_nano_usd(rates, bounds)


def _is_within(usage: Usage, bounds: CallBounds) -> bool:
    """Whether no count exceeds its bound. A unit without one is only used as far as its bounded parts are."""
    parts_max = {
        unit: sum(bound for part, bound in bounds.other_units_max.items() if unit in wholes_of(part))
        for unit in usage.other_units
    }
    return (
        usage.input_tokens <= bounds.input_tokens_max
        and usage.output_tokens <= bounds.output_tokens_max
        and usage.requests <= max(bounds.requests_max, 1)
        and (
            bounds.cache_write_tokens_max is None or usage.cache_write_tokens <= bounds.cache_write_tokens_max
        )
        and (
            bounds.cache_write_1h_tokens_max is None
            or usage.cache_write_1h_tokens <= bounds.cache_write_1h_tokens_max
        )
        and all(
            count <= bounds.other_units_max.get(unit, parts_max[unit])
            for unit, count in usage.other_units.items()
        )
    )


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_the_most_output_tokens_that_fit(data: st.DataObject) -> None:
    """The hold of the tokens that fit is within the available amount; with one token more it is not."""
    rates = data.draw(rate_strategies.rates())
    bounds = data.draw(rate_strategies.bounds(_priced(rates)))

    def hold(output_tokens: int) -> int:
        return hold_nano_usd(rates, dataclasses.replace(bounds, output_tokens_max=output_tokens))

    available = data.draw(
        st.integers(-1, 10**15)
        | st.integers(-2, 2).map(lambda offset: hold(bounds.output_tokens_max // 2) + offset)
    )
    fits = output_tokens_that_fit(rates, available, bounds)
    if fits is None:
        assert hold(0) > available
    else:
        assert hold(fits) <= available
        assert fits == bounds.output_tokens_max or hold(fits + 1) > available


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_tokens_max": -1},
        {"cache_write_1h_tokens_max": -1},
        {"other_units_max": {"web_searches": -1}},
        {"other_units_max": {"searches_of_the_web": 1}},
        {"other_units_max": {REQUESTS: 1}},
    ],
)
def test_impossible_bounds(wrong: dict[str, Any]) -> None:
    """Bounds below zero, of unknown units and of units that have a bound of their own are refused."""
    with pytest.raises(ValueError, match=r"must be|none of the other units"):
        CallBounds(**{"input_tokens_max": 1, "output_tokens_max": 1, "requests_max": 1, **wrong})
