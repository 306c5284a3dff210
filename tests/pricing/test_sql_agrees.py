"""The database rates, holds and fits as the Python model does, for any price, usage and bounds."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from governor_service.domain.hold_bounds import CallBounds, hold_nano_usd
from governor_service.domain.pricing import Rate, Rates
from governor_service.domain.usage import Usage
from service_chassis.postgres.database import Database
from tests.pricing import rate_strategies
from tests.pricing.rate_strategies import usage_of
from tests.pricing.sql_rating import Case, figures_in_python, figures_in_sql

# Audio is input, and may be read from the cache or written to it.
AUDIO = Rates(
    input_nano_usd_per_mtok=1_000_000,
    cached_input_nano_usd_per_mtok=250_001,
    cache_write_nano_usd_per_mtok=1_250_000,
    output_nano_usd_per_mtok=4_000_000,
    rates=(
        Rate(unit="input_audio_tokens", per=10**6, nano_usd=10_000_000),
        Rate(unit="cache_audio_read_tokens", per=10**6, nano_usd=2_500_000),
        Rate(unit="cache_audio_write_tokens", per=10**6, nano_usd=12_500_000),
        Rate(unit="cache_write_1h_tokens", per=10**6, nano_usd=2_000_000),
        Rate(unit="cache_audio_write_1h_tokens", per=10**6, nano_usd=20_000_000),
        Rate(unit="web_searches", per=1000, nano_usd=10 * 10**9),
        Rate(unit="input_tokens", per=10**6, nano_usd=2_000_000, input_tokens_above=1000),
        Rate(unit="input_audio_tokens", per=10**6, nano_usd=5_000_000, input_tokens_above=1000),
        Rate(unit="web_searches", per=1000, nano_usd=14 * 10**9, input_tokens_above=5000),
    ),
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A price with a usage and bounds, which often have the units that the price names."""
    rates = draw(rate_strategies.rates() | st.just(AUDIO))
    priced = {rate.unit for level in rates.levels() for rate in level.weighted}
    usage = draw(rate_strategies.usages(priced))
    bounds = draw(rate_strategies.bounds(priced) | rate_strategies.bounds_around(usage))
    # Often near the hold, where the number of tokens that fit changes.
    available = draw(
        st.integers(-(10**6), 10**15)
        | st.integers(-2, 2).map(lambda offset: hold_nano_usd(rates, bounds) + offset)
    )
    return Case(rates, usage, bounds, available)


# Cache writes are dearer than input, and cached input may be dearer than either. Reasoning is cheaper.
PLAIN = [
    Rates(
        input_nano_usd_per_mtok=1_000_003,
        cached_input_nano_usd_per_mtok=cached,
        cache_write_nano_usd_per_mtok=1_250_007,
        output_nano_usd_per_mtok=4_000_000,
        reasoning_nano_usd_per_mtok=3_000_001,
        request_nano_usd=12,
    )
    for cached in (None, 100_001, 2_000_000)
]


def plain_case(rates: Rates, written_max: int | None, available_nano_usd: int) -> Case:
    """Cache writes within their bound or beyond, and an amount that pays for some of the output."""
    bounds = CallBounds(
        input_tokens_max=1_000,
        output_tokens_max=500,
        requests_max=2,
        cache_write_tokens_max=written_max,
        other_units_max={"web_searches": 3},
    )
    usage = Usage(
        input_tokens=1_000,
        cached_input_tokens=300,
        cache_write_tokens=200,
        cache_write_1h_tokens=100,
        output_tokens=50,
        reasoning_tokens=20,
        requests=0,
        other_units={"web_searches": 1},
    )
    return Case(rates, usage, bounds, available_nano_usd)


def audio_case(input_tokens: int, **bounds: object) -> Case:
    """Every unit of AUDIO beside each other, in a call of a given size."""
    alone = {
        "input_tokens": input_tokens - 75,
        "cache_read_tokens": 10,
        "cache_write_tokens": 15,
        "cache_write_1h_tokens": 5,
        "input_audio_tokens": 20,
        "cache_audio_read_tokens": 12,
        "cache_audio_write_tokens": 13,
        "output_tokens": 3,
        "web_searches": 2,
    }
    limits = CallBounds(
        **{"input_tokens_max": input_tokens, "output_tokens_max": 10, "requests_max": 2, **bounds}  # type: ignore[arg-type]
    )
    return Case(AUDIO, usage_of(alone), limits, hold_nano_usd(AUDIO, limits) - 5)


EXAMPLES = [
    plain_case(rates, written_max, available)
    for rates in PLAIN
    for written_max in (None, 0, 7, 1_000, 2_000)
    for available in (0, 1_024, 1_040, 1_274, 1_500, 2_500, 4_000)
] + [
    audio_case(size, **bounds)
    for size in (999, 1000, 1001, 5000, 5001)
    for bounds in (
        {},
        {"cache_write_tokens_max": 0},
        {"cache_write_tokens_max": 40, "cache_write_1h_tokens_max": 7},
        # A part whose whole is not used is not used either.
        {"other_units_max": {"cache_audio_read_tokens": 9}},
        {"other_units_max": {"input_audio_tokens": 30}},
        {"other_units_max": {"input_audio_tokens": 30, "cache_audio_write_tokens": 50, "web_searches": 3}},
        {
            "cache_write_tokens_max": 10,
            "other_units_max": {"input_audio_tokens": 30, "cache_audio_write_tokens": 20},
        },
    )
]


@example(EXAMPLES)
@given(st.lists(cases(), min_size=10, max_size=25))
# All examples share the fixture's database. Each takes its prices back.
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # The first case that differs is shown. Shrinking a list of cases would take minutes.
    phases=(Phase.explicit, Phase.generate),
)
async def test_sql_agrees(database: Database, compared: list[Case]) -> None:
    """Costs, holds and the output tokens that fit are equal to the nano-dollar and to the token."""
    async with database.read() as connection:
        found = await figures_in_sql(connection, compared)
    expected = [figures_in_python(case) for case in compared]
    wrong = [
        (case, in_sql, in_python)
        for case, in_sql, in_python in zip(compared, found, expected, strict=True)
        if in_sql != in_python
    ]
    assert wrong[:1] == []
