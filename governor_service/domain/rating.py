"""What a usage costs.

Decisions are made by the function of the same name in `migrations/governor/functions/20_rating.sql`. This one
is a model of it, and a test compares the two.
"""

from governor_service.domain.pricing import EXACT_PER, Rates
from governor_service.domain.usage import Usage
from governor_service.domain.usage_units import REQUESTS


def rated_cost_nano_usd(price: Rates, usage: Usage) -> int:
    """Each unit's count × its rate at the call's level, parts taken out of their wholes; 0 requests count as
    1.

    The sum over all units is exact, and rounded up once.
    """
    counts = usage.counts()
    counts[REQUESTS] = max(usage.requests, 1)
    level = price.level_of(usage.input_tokens)
    exact_nano_usd = sum(counts.get(rate.unit, 0) * rate.weight for rate in level.weighted)
    return -(-exact_nano_usd // EXACT_PER)
