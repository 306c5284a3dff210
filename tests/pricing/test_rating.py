"""I12: cost is the rating of the usage by the price, exact to the nano-dollar, in SQL and in Python."""

from typing import Any

import pytest

from governor_service.domain.hold_bounds import CallBounds, hold_nano_usd, output_tokens_that_fit
from governor_service.domain.pricing import PRICE_NANO_USD_PER_MTOK_MAX, REQUEST_NANO_USD_MAX, Rates
from governor_service.domain.rating import rated_cost_nano_usd
from governor_service.domain.usage import REQUESTS_MAX, TOKENS_MAX, Usage
from service_chassis.postgres.database import Database
from tests.pricing.sql_rating import Case, Figures, figures_in_sql

# 150 and 600 nano-USD a token, 75 from the cache.
GPT_4O_MINI = Rates(
    input_nano_usd_per_mtok=150_000_000,
    cached_input_nano_usd_per_mtok=75_000_000,
    output_nano_usd_per_mtok=600_000_000,
)
# 1,000 nano-USD a token, 12 USD for a thousand requests.
SONAR = Rates(
    input_nano_usd_per_mtok=1_000_000_000,
    output_nano_usd_per_mtok=1_000_000_000,
    request_nano_usd=12_000_000,
)
# 3,000 a token, 300 from the cache, 3,750 into it; 15,000 out.
SONNET = Rates(
    input_nano_usd_per_mtok=3_000_000_000,
    cached_input_nano_usd_per_mtok=300_000_000,
    cache_write_nano_usd_per_mtok=3_750_000_000,
    output_nano_usd_per_mtok=15_000_000_000,
)
# Reasoning is cheaper than other output: 3,000 and 8,000 a token.
DEEP_RESEARCH = Rates(
    input_nano_usd_per_mtok=2_000_000_000,
    output_nano_usd_per_mtok=8_000_000_000,
    reasoning_nano_usd_per_mtok=3_000_000_000,
)
# Half a nano-USD a token, either way.
HALF = Rates(input_nano_usd_per_mtok=500_000, output_nano_usd_per_mtok=500_000)
FREE_CACHE = Rates(
    input_nano_usd_per_mtok=1_000_000, cached_input_nano_usd_per_mtok=0, output_nano_usd_per_mtok=1_000_000
)
DEAREST = Rates(
    input_nano_usd_per_mtok=PRICE_NANO_USD_PER_MTOK_MAX,
    output_nano_usd_per_mtok=PRICE_NANO_USD_PER_MTOK_MAX,
    request_nano_usd=REQUEST_NANO_USD_MAX,
)
ALMOST_DEAREST = Rates(
    input_nano_usd_per_mtok=PRICE_NANO_USD_PER_MTOK_MAX - 1,
    output_nano_usd_per_mtok=PRICE_NANO_USD_PER_MTOK_MAX,
)

COSTS = [
    # 1,234 * 150 + 567 * 600
    (GPT_4O_MINI, Usage(input_tokens=1234, output_tokens=567), 525_300),
    # 234 * 150 + 1,000 * 75 + 567 * 600
    (GPT_4O_MINI, Usage(input_tokens=1234, cached_input_tokens=1000, output_tokens=567), 450_300),
    # 1,234 * 1,000 + 567 * 1,000 + 12,000,000
    (SONAR, Usage(input_tokens=1234, output_tokens=567), 13_801_000),
    (SONAR, Usage(input_tokens=1234, output_tokens=567, requests=0), 13_801_000),
    (SONAR, Usage(input_tokens=1234, output_tokens=567, requests=3), 37_801_000),
    (SONAR, Usage(input_tokens=0, output_tokens=0), 12_000_000),
    # 3,000 * 3,000 + 6,000 * 300 + 1,000 * 3,750 + 500 * 15,000, reasoning at the price of output
    (
        SONNET,
        Usage(
            input_tokens=10_000,
            cached_input_tokens=6000,
            cache_write_tokens=1000,
            output_tokens=500,
            reasoning_tokens=200,
        ),
        22_050_000,
    ),
    # 100 * 2,000 + 100 * 8,000 + 900 * 3,000
    (DEEP_RESEARCH, Usage(input_tokens=100, output_tokens=1000, reasoning_tokens=900), 3_700_000),
    # Cached tokens and cache writes cost as much as input.
    (
        DEEP_RESEARCH,
        Usage(input_tokens=100, cached_input_tokens=60, cache_write_tokens=40, output_tokens=0),
        200_000,
    ),
    (FREE_CACHE, Usage(input_tokens=100, cached_input_tokens=100, output_tokens=1), 1),
    # Rounded up once: two halves cost one nano-dollar, not two.
    (HALF, Usage(input_tokens=1, output_tokens=0), 1),
    (HALF, Usage(input_tokens=1, output_tokens=1), 1),
    (HALF, Usage(input_tokens=2, output_tokens=1), 2),
    (HALF, Usage(input_tokens=0, output_tokens=0), 0),
    # 2 * 10⁹ * 10⁷ + 10⁶ * 10¹²
    (
        DEAREST,
        Usage(input_tokens=TOKENS_MAX, output_tokens=TOKENS_MAX, requests=REQUESTS_MAX),
        1_020_000_000_000_000_000,
    ),
    # (10⁹ - 1) * (10⁷ - 10⁻⁶) + 10⁹ * 10⁷: seventeen digits, and a millionth that is rounded up.
    (
        ALMOST_DEAREST,
        Usage(input_tokens=TOKENS_MAX - 1, output_tokens=TOKENS_MAX),
        19_999_999_989_999_001,
    ),
]

HOLDS = [
    # rates, input, output, requests, hold
    (GPT_4O_MINI, 1234, 567, 1, 525_300),
    (SONNET, 10_000, 500, 1, 45_000_000),  # 10,000 * 3,750 + 500 * 15,000
    (DEEP_RESEARCH, 100, 1000, 1, 8_200_000),  # 100 * 2,000 + 1,000 * 8,000
    (SONAR, 1234, 567, 3, 37_801_000),
    (SONAR, 1234, 567, 0, 13_801_000),
    (HALF, 1, 1, 1, 1),
    (FREE_CACHE, 100, 1, 1, 101),
    (DEAREST, TOKENS_MAX, TOKENS_MAX, REQUESTS_MAX, 1_020_000_000_000_000_000),
]

FITS = [
    # rates, available, input, requests, output asked for, output that fits
    (SONAR, 13_801_000, 1234, 1, 700, 567),
    (SONAR, 13_800_999, 1234, 1, 700, 566),
    (SONAR, 13_801_000, 1234, 1, 500, 500),
    (SONAR, 13_234_000, 1234, 1, 700, 0),
    (SONAR, 13_233_999, 1234, 1, 700, None),
    (SONAR, 0, 0, 1, 700, None),
    (SONAR, -5, 0, 1, 700, None),
    (HALF, 0, 0, 1, 700, 0),
    (HALF, 1, 1, 1, 700, 1),
    (HALF, 1, 0, 1, 700, 2),
    (Rates(input_nano_usd_per_mtok=500_000, output_nano_usd_per_mtok=0), 1, 2, 1, 700, 700),
    (Rates(input_nano_usd_per_mtok=500_000, output_nano_usd_per_mtok=0), 0, 1, 1, 700, None),
    (DEAREST, 1_020_000_000_000_000_000, TOKENS_MAX, REQUESTS_MAX, TOKENS_MAX, TOKENS_MAX),
]


def bounds_of(input_tokens: int, output_tokens: int, requests: int) -> CallBounds:
    return CallBounds(input_tokens_max=input_tokens, output_tokens_max=output_tokens, requests_max=requests)


@pytest.mark.parametrize(("rates", "usage", "cost"), COSTS)
def test_cost(rates: Rates, usage: Usage, cost: int) -> None:
    """Each kind of token has its own price; the sum is divided and rounded up once; requests are added."""
    assert rated_cost_nano_usd(rates, usage) == cost


@pytest.mark.parametrize(("rates", "input_tokens", "output_tokens", "requests", "hold"), HOLDS)
def test_hold(rates: Rates, input_tokens: int, output_tokens: int, requests: int, hold: int) -> None:
    """A hold prices each token at the dearest price of its direction."""
    assert hold_nano_usd(rates, bounds_of(input_tokens, output_tokens, requests)) == hold


@pytest.mark.parametrize(("rates", "available", "input_tokens", "requests", "wanted", "fits"), FITS)
def test_output_tokens_that_fit(
    rates: Rates, available: int, input_tokens: int, requests: int, wanted: int, fits: int | None
) -> None:
    """The exact number of output tokens that the amount pays for; None if the input does not fit."""
    bounds = bounds_of(input_tokens, wanted, requests)
    assert output_tokens_that_fit(rates, available, bounds) == fits


NOTHING = Usage(input_tokens=0, output_tokens=0)
NO_BOUNDS = CallBounds(input_tokens_max=0, output_tokens_max=0, requests_max=1)


async def test_sql_gives_the_same(database: Database) -> None:
    """The database's functions give the figures of all three tables."""
    costs = [Case(rates, usage, NO_BOUNDS, 0) for rates, usage, _ in COSTS]
    holds = [Case(rates, NOTHING, bounds_of(*bounds), 0) for rates, *bounds, _ in HOLDS]
    fits = [
        Case(rates, NOTHING, bounds_of(input_tokens, wanted, requests), available)
        for rates, available, input_tokens, requests, wanted, _ in FITS
    ]
    async with database.read() as connection:
        found = await figures_in_sql(connection, [*costs, *holds, *fits])
    assert [figures.cost for figures in found[: len(costs)]] == [case[-1] for case in COSTS]
    assert [figures.hold for figures in found[len(costs) : -len(fits)]] == [case[-1] for case in HOLDS]
    assert [figures.fits for figures in found[-len(fits) :]] == [case[-1] for case in FITS]


async def test_sql_without_a_price_is_null(database: Database) -> None:
    """Without a price the cost and the hold are NULL and nothing fits: never zero, never everything."""
    case = Case(None, Usage(input_tokens=1, output_tokens=1), bounds_of(1, 1, 1), 10**6)
    async with database.read() as connection:
        assert await figures_in_sql(connection, [case]) == [Figures(None, None, None)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_tokens": -1},
        {"input_tokens": TOKENS_MAX + 1},
        {"requests": REQUESTS_MAX + 1},
        {"cached_input_tokens": 60, "cache_write_tokens": 41},
        {"reasoning_tokens": 101},
    ],
)
def test_impossible_usage(wrong: dict[str, Any]) -> None:
    """Counts below zero or above their bounds, and parts above their totals, are refused."""
    with pytest.raises(ValueError, match=r"must be between|exceed"):
        Usage(**{"input_tokens": 100, "output_tokens": 100, **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_nano_usd_per_mtok": -1},
        {"reasoning_nano_usd_per_mtok": PRICE_NANO_USD_PER_MTOK_MAX + 1},
        {"request_nano_usd": REQUEST_NANO_USD_MAX + 1},
        {"input_nano_usd_per_mtok": 0, "output_nano_usd_per_mtok": 0},
    ],
)
def test_impossible_rates(wrong: dict[str, Any]) -> None:
    """Prices below zero or above their bounds, and prices of zero only, are refused."""
    with pytest.raises(ValueError, match=r"must be between|free"):
        Rates(**{"input_nano_usd_per_mtok": 1, "output_nano_usd_per_mtok": 1, **wrong})
