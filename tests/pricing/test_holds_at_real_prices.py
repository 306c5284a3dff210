"""For each price of the installed genai-prices, a hold is a bound, and some usage reaches it."""

import random

from governor_service.domain.hold_bounds import CallBounds, fill, hold_nano_usd, reachable
from governor_service.domain.rating import rated_cost_nano_usd
from governor_service.domain.usage import Usage, count_max
from governor_service.domain.usage_units import COUNTED_UNITS, UNITS
from governor_service.listings import Listing
from tests.pricing.rate_strategies import usage_of
from tests.pricing.real_prices import listed, random_usage

USAGES = 3


def test_holds() -> None:
    """No random usage within random bounds is rated above the hold, and the dearest one is rated at it."""
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    prices = [listing for of_model in listed().values() for listing in of_model]
    for price in prices:
        for _ in range(USAGES):
            usage = random_usage(rng, price)
            bounds = _bounds_around(usage, rng)
            told = f"seed {seed}, {price.model}: {usage}, {bounds}"
            held_nano_usd = hold_nano_usd(price, bounds)
            assert rated_cost_nano_usd(price, usage) <= held_nano_usd, told
            assert max(_dearest_nano_usd(price, bounds)) == held_nano_usd, told
    assert len(prices) > 2500


def _bounds_around(usage: Usage, rng: random.Random) -> CallBounds:
    def at_least(count: int) -> int:
        return count + rng.choice((0, 0, 1, 10_000))

    others = {unit: min(at_least(count), count_max(unit)) for unit, count in usage.other_units.items()}
    another = rng.choice(sorted(UNITS.keys() - COUNTED_UNITS))
    return CallBounds(
        input_tokens_max=at_least(usage.input_tokens),
        output_tokens_max=at_least(usage.output_tokens),
        requests_max=at_least(usage.requests),
        cache_write_tokens_max=rng.choice((None, at_least(usage.cache_write_tokens))),
        cache_write_1h_tokens_max=rng.choice((None, at_least(usage.cache_write_1h_tokens))),
        other_units_max={another: rng.randrange(1000)} | others,
    )


def _dearest_nano_usd(price: Listing, bounds: CallBounds) -> list[int]:
    """What the dearest call costs at each level that is within reach."""
    requests = max(bounds.requests_max, 1)
    return [
        rated_cost_nano_usd(price, usage_of(fill(level, caps), requests=requests))
        for level, caps in reachable(price, bounds)
    ]
