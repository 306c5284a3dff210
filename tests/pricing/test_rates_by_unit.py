"""Prices with tiers and other units: costs worked by hand, and the prices and usages that are refused."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings

from governor_service.domain.pricing import EXACT_PER, Rate, Rates
from governor_service.domain.rating import rated_cost_nano_usd
from governor_service.domain.usage import Usage
from governor_service.domain.usage_units import UNITS
from tests.pricing import rate_strategies

_MTOK = 10**6

# 3.30 and 16.50 USD a million; 4.125 into the cache, 0.33 from it.
SONNET_IN_A_REGION = Rates(
    input_nano_usd_per_mtok=3_300_000_000,
    cached_input_nano_usd_per_mtok=330_000_000,
    cache_write_nano_usd_per_mtok=4_125_000_000,
    output_nano_usd_per_mtok=16_500_000_000,
)
# 5 and 25 USD a million; 6.25 into the cache for five minutes, 10 for an hour, 0.50 from it. A search is a
# cent.
OPUS = Rates(
    input_nano_usd_per_mtok=5_000_000_000,
    cached_input_nano_usd_per_mtok=500_000_000,
    cache_write_nano_usd_per_mtok=6_250_000_000,
    output_nano_usd_per_mtok=25_000_000_000,
    rates=(
        Rate(unit="cache_write_1h_tokens", per=_MTOK, nano_usd=10_000_000_000),
        Rate(unit="web_searches", per=1000, nano_usd=10_000_000_000),
    ),
)
# 1.25 and 10 USD a million, above 200,000 input tokens 2.50 and 15.
GEMINI = Rates(
    input_nano_usd_per_mtok=1_250_000_000,
    output_nano_usd_per_mtok=10_000_000_000,
    rates=(
        Rate(unit="input_tokens", per=_MTOK, nano_usd=2_500_000_000, input_tokens_above=200_000),
        Rate(unit="output_tokens", per=_MTOK, nano_usd=15_000_000_000, input_tokens_above=200_000),
    ),
)
# 1 nano-USD a token of input, 2 above 100, and then 3 above 1,000 for what is read from a cache.
TWO_TIERS = Rates(
    input_nano_usd_per_mtok=1_000_000,
    output_nano_usd_per_mtok=10_000_000,
    rates=(
        Rate(unit="cache_read_tokens", per=_MTOK, nano_usd=3_000_000, input_tokens_above=1000),
        Rate(unit="input_tokens", per=_MTOK, nano_usd=2_000_000, input_tokens_above=100),
    ),
)
# 0.04 USD an hour of audio.
WHISPER = Rates(
    input_nano_usd_per_mtok=0,
    output_nano_usd_per_mtok=0,
    rates=(Rate(unit="audio_seconds", per=3600, nano_usd=40_000_000),),
)
# Text 1, audio 10; from the cache a half and 2.
AUDIO = Rates(
    input_nano_usd_per_mtok=1_000_000,
    cached_input_nano_usd_per_mtok=500_000,
    output_nano_usd_per_mtok=4_000_000,
    rates=(
        Rate(unit="input_audio_tokens", per=_MTOK, nano_usd=10_000_000),
        Rate(unit="cache_audio_read_tokens", per=_MTOK, nano_usd=2_000_000),
    ),
)

COSTS = [
    # 1 × 3,300 + 1,190 × 4,125 + 32,634 × 330 + 672 × 16,500
    (
        SONNET_IN_A_REGION,
        Usage(input_tokens=33_825, cached_input_tokens=32_634, cache_write_tokens=1190, output_tokens=672),
        26_769_270,
    ),
    # 37,175 × 10,000 + 37,175 × 6,250
    (
        OPUS,
        Usage(input_tokens=74_350, cache_write_tokens=74_350, cache_write_1h_tokens=37_175, output_tokens=0),
        604_093_750,
    ),
    # 123,201 × 5,000 + 426,653 × 500 + 31,490 × 6,250 + 152,967 × 10,000 + 5 × 10,000,000
    (
        OPUS,
        Usage(
            input_tokens=734_311,
            cached_input_tokens=426_653,
            cache_write_tokens=184_457,
            cache_write_1h_tokens=152_967,
            output_tokens=0,
            other_units={"web_searches": 5},
        ),
        616_005_000 + 213_326_500 + 196_812_500 + 1_529_670_000 + 50_000_000,
    ),
    # A tier begins above its threshold, and applies to the whole call.
    (GEMINI, Usage(input_tokens=199_999, output_tokens=1000), 199_999 * 1250 + 10_000_000),
    (GEMINI, Usage(input_tokens=200_000, output_tokens=1000), 200_000 * 1250 + 10_000_000),
    (GEMINI, Usage(input_tokens=200_001, output_tokens=1000), 200_001 * 2500 + 15_000_000),
    # Cached tokens cost what input costs at the call's tier, until a tier gives them a rate.
    (TWO_TIERS, Usage(input_tokens=100, cached_input_tokens=50, output_tokens=1), 110),
    (TWO_TIERS, Usage(input_tokens=1000, cached_input_tokens=50, output_tokens=1), 2010),
    (TWO_TIERS, Usage(input_tokens=1001, cached_input_tokens=50, output_tokens=1), 951 * 2 + 150 + 10),
    # 7 × 40,000,000 ÷ 3,600, rounded up
    (WHISPER, Usage(input_tokens=0, output_tokens=0, other_units={"audio_seconds": 7}), 77_778),
    # 60 × 1 + 15 × ½ + 20 × 10 + 5 × 2 + 1 × 4, rounded up
    (
        AUDIO,
        Usage(
            input_tokens=100,
            cached_input_tokens=20,
            output_tokens=1,
            other_units={"input_audio_tokens": 25, "cache_audio_read_tokens": 5},
        ),
        282,
    ),
    # A unit that the price does not name costs what its whole costs, or nothing if it has none.
    (
        AUDIO,
        Usage(input_tokens=9, output_tokens=3, other_units={"output_image_tokens": 2, "web_searches": 4}),
        21,
    ),
]


@pytest.mark.parametrize(("rates", "usage", "cost"), COSTS)
def test_cost(rates: Rates, usage: Usage, cost: int) -> None:
    """Each unit at its own rate at the call's level, parts taken out of their wholes, rounded up once."""
    assert rated_cost_nano_usd(rates, usage) == cost


def test_levels_are_complete() -> None:
    """Each level names every priced unit, also those whose rates it has from the level below."""
    assert [
        (level.input_tokens_above, {rate.unit: rate.nano_usd for rate in level.weighted})
        for level in TWO_TIERS.levels()
    ] == [
        (0, {"input_tokens": 1_000_000, "output_tokens": 10_000_000, "requests": 0}),
        (100, {"input_tokens": 2_000_000, "output_tokens": 10_000_000, "requests": 0}),
        (
            1000,
            {
                "input_tokens": 2_000_000,
                "cache_read_tokens": 3_000_000,
                "output_tokens": 10_000_000,
                "requests": 0,
            },
        ),
    ]


def test_weights_are_what_a_part_adds() -> None:
    """Audio from a cache is counted four times: as input, as cached, as audio and as itself."""
    (level,) = AUDIO.levels()
    assert {rate.unit: rate.weight * 10**6 // EXACT_PER for rate in level.weighted} == {
        "input_tokens": 1_000_000,
        "cache_read_tokens": -500_000,
        "input_audio_tokens": 9_000_000,
        "cache_audio_read_tokens": -7_500_000,
        "output_tokens": 4_000_000,
        "requests": 0,
    }


@given(rate_strategies.rates())
@settings(deadline=None)
def test_same_cost_however_it_is_stated(rates: Rates) -> None:
    """A tier that says again what holds without it changes nothing; another rate does."""
    (first, *_) = rates.levels()
    again = tuple(
        Rate(unit=rate.unit, per=rate.per, nano_usd=rate.nano_usd, input_tokens_above=1)
        for rate in first.weighted
    )
    if all(rate.input_tokens_above != 1 for rate in rates.rates):
        assert rates.costs_the_same_as(dataclasses.replace(rates, rates=(*again, *rates.rates)))
    output = rates.output_nano_usd_per_mtok
    other = dataclasses.replace(rates, output_nano_usd_per_mtok=output - 1 if output else 1)
    assert not rates.costs_the_same_as(other)


def test_parts_that_cost_what_their_wholes_cost() -> None:
    """A component that is left out costs the same as one that equals its parent."""
    assert Rates(input_nano_usd_per_mtok=2, output_nano_usd_per_mtok=3).costs_the_same_as(
        Rates(
            input_nano_usd_per_mtok=2,
            cached_input_nano_usd_per_mtok=2,
            cache_write_nano_usd_per_mtok=2,
            output_nano_usd_per_mtok=3,
            reasoning_nano_usd_per_mtok=3,
            rates=(Rate(unit="cache_write_1h_tokens", per=_MTOK, nano_usd=2),),
        )
    )


@pytest.mark.parametrize(
    "wrong",
    [
        [{"unit": "searches", "per": 1}],
        [{"unit": "web_searches", "per": 0}],
        [{"unit": "web_searches", "per": 7}],
        [{"unit": "web_searches", "per": 1000, "nano_usd": 10**13 + 1}],
        [{"unit": "input_tokens", "per": 10**6}],
        [{"unit": "requests", "per": 1000}],
        [{"unit": "web_searches", "per": 1000}] * 2,
        # Audio and cached input: what is both?
        [{"unit": "input_audio_tokens", "per": 10**6}],
        # The same from a tier on, where the rate for both begins only at the next one.
        [
            {"unit": "input_audio_tokens", "per": 10**6, "input_tokens_above": 5},
            {"unit": "cache_audio_read_tokens", "per": 10**6, "input_tokens_above": 6},
        ],
    ],
)
def test_impossible_rates(wrong: list[dict[str, Any]]) -> None:
    """Unknown units, base units outside tiers, two rates for one thing, and units that overlap without a
    rate."""
    with pytest.raises(ValueError, match=r"not a unit|per must|between|field of its own|two rates|overlap"):
        Rates(
            input_nano_usd_per_mtok=1,
            cached_input_nano_usd_per_mtok=1,
            output_nano_usd_per_mtok=1,
            rates=tuple(Rate(**{"nano_usd": 1, **rate}) for rate in wrong),
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"cache_write_1h_tokens": 1},
        {"other_units": {"input_audio_tokens": 101}},
        {"other_units": {"cache_audio_read_tokens": 1, "input_audio_tokens": 1}},
        {"cached_input_tokens": 1, "other_units": {"cache_audio_read_tokens": 1}},
        {"cached_input_tokens": 60, "other_units": {"input_audio_tokens": 41}},
        {"other_units": {"input_audio_seconds": 1}},
        {"other_units": {"requests": 1}},
        {"other_units": {"searches": 1}},
        {"other_units": {"web_searches": 10**6 + 1}},
        {"other_units": {"web_searches": -1}},
    ],
)
def test_impossible_usage(wrong: dict[str, Any]) -> None:
    """Parts above their wholes, units that are unknown or have a field of their own, and counts out of
    bounds."""
    with pytest.raises(ValueError, match=r"exceed|none of the other units|must be between"):
        Usage(**{"input_tokens": 100, "output_tokens": 100, **wrong})


def test_writes_that_exceed_the_input_are_refused() -> None:
    """Of 15,460 input tokens, 19,810 cannot be cache writes."""
    with pytest.raises(ValueError, match="exceed input_tokens"):
        Usage(input_tokens=15_460, cache_write_tokens=19_810, output_tokens=0)


def test_every_unit_of_the_package_can_be_rated() -> None:
    """The exact rate of each unit is an integer."""
    assert [unit.name for unit in UNITS.values() if EXACT_PER % unit.per] == []
