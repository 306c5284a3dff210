"""The prices of the installed genai-prices: which listing counts for a call, and usages to compare them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_CEILING, Decimal, localcontext
from functools import cache
from random import Random

from genai_prices.data_snapshot import get_snapshot
from genai_prices.data_units import unit_data
from genai_prices.types import (
    ModelInfo,
    Provider,
    StartDateConstraint,
    TimeOfDateConstraint,
)
from genai_prices.types import Usage as LibraryUsage

from governor_service.domain.pricing import Rates
from governor_service.domain.usage import Usage
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
from governor_service.listings import Listing
from governor_service.listings.genai_prices_listings import listings
from governor_service.listings.naming import canonical_names
from tests.pricing.rate_strategies import usage_of

_COUNTED_BY_EVERY_PROVIDER = {
    INPUT_TOKENS,
    CACHE_READ_TOKENS,
    CACHE_WRITE_TOKENS,
    CACHE_WRITE_1H_TOKENS,
    OUTPUT_TOKENS,
    REASONING_TOKENS,
}


@cache
def providers() -> tuple[Provider, ...]:
    return tuple(get_snapshot().providers)


@cache
def names() -> Mapping[tuple[str, str], str]:
    return canonical_names(providers())


@cache
def listed() -> Mapping[str, list[Listing]]:
    """Our listings by model."""
    found = defaultdict(list)
    for listing in listings():
        found[listing.model].append(listing)
    return found


def counting(of_model: Iterable[Listing], context: Mapping[str, str], at: datetime) -> Listing | None:
    """The listing that counts for a call: the largest variant that is contained in the call's, of this the
    latest version, of this the one for the time of the day."""
    begun = [
        listing
        for listing in of_model
        if listing.price_context.items() <= context.items() and (listing.effective_time or at) <= at
    ]
    if not begun:
        return None
    largest = max(len(listing.price_context) for listing in begun)
    begun = [listing for listing in begun if len(listing.price_context) == largest]
    latest = max(listing.effective_time or at for listing in begun)
    now = at.astimezone(UTC).time()
    (ordinary,) = [row for row in begun if row.effective_time == latest and row.daily_start is None]
    at_hour = [
        row
        for row in begun
        if row.effective_time == latest and row.daily_start and row.daily_end
        if _contains(row.daily_start, row.daily_end, now)
    ]
    return at_hour[0] if at_hour else ordinary


def _contains(start: time, end: time, moment: time) -> bool:
    return start <= moment < end if start <= end else moment >= start or moment < end


def starts(model: ModelInfo) -> list[datetime]:
    """When the dated versions of a model's prices begin, variants included."""
    return sorted(
        datetime.combine(condition.start_date, time(), UTC)
        for condition in _conditions(model)
        if isinstance(condition, StartDateConstraint)
    )


def telling_times(model: ModelInfo, rng: Random) -> list[datetime]:
    """Now, and around every date and time of the day at which the package says that prices change."""
    days = {datetime.now(UTC)}
    for start in starts(model):
        days |= {start - timedelta(microseconds=1), start, start + timedelta(days=rng.randrange(400))}
    found = sorted(days)
    for condition in _conditions(model):
        if isinstance(condition, TimeOfDateConstraint):
            for hour in (condition.start_time, condition.end_time):
                moments = [datetime.combine(day, hour, hour.tzinfo or UTC) for day in sorted(days)]
                found += [*moments, *(moment - timedelta(seconds=1) for moment in moments)]
    return found


def _conditions(model: ModelInfo) -> list[StartDateConstraint | TimeOfDateConstraint | None]:
    conditions = [price.constraint for price in model.prices] if isinstance(model.prices, list) else []
    return conditions + [variant.constraint for variant in model.price_variants or ()]


def last_stated_units(model: ModelInfo) -> list[str]:
    """What the last version of a model's prices has rates for."""
    prices = model.prices[-1].prices if isinstance(model.prices, list) else model.prices
    unit_of = {unit["price_key"]: name for name, unit in unit_data.items()}
    return [unit_of[key] for key, value in vars(prices).items() if value is not None]


def telling_contexts(model: ModelInfo, rng: Random) -> list[dict[str, str]]:
    """The ordinary call, each variant, and each with a random other one and with one that nobody has."""
    found: list[dict[str, str]] = [{}]
    whens = [variant.when for variant in model.price_variants or ()]
    found += whens
    found += [rng.choice(whens) | when | {"colour": "blue"} for when in whens]
    return found


def library_cost_nano_usd(
    model: ModelInfo, provider: Provider, usage: Usage, at: datetime, context: Mapping[str, str]
) -> int:
    """What the package itself calculates for one request, rounded up to a nano-USD."""
    counts = usage.counts()
    reported = LibraryUsage(**{unit: counts.get(unit, 0) for unit in UNITS if unit != REQUESTS})
    with localcontext() as exactly:
        exactly.prec = 60
        price = model.calc_price(reported, provider, genai_request_timestamp=at, price_context=context)
        # A third of a nano-USD, three times, is one: no digit beyond the thirtieth means anything.
        exact_nano_usd = (price.total_price * 10**9).quantize(Decimal("1e-30"))
        return int(exact_nano_usd.to_integral_value(ROUND_CEILING))


def random_usage(rng: Random, rates: Rates, units: Iterable[str] | None = None) -> Usage:
    """One request that uses the units of a price and some that it does not name, or only `units` beside
    tokens; often just below, at or above a tier."""
    priced = {rate.unit for level in rates.levels() for rate in level.weighted}
    others = sorted({*priced, rng.choice(sorted(UNITS))} if units is None else set(units))
    used = sorted(({*others} | _COUNTED_BY_EVERY_PROVIDER) - {REQUESTS})
    thresholds = [level.input_tokens_above for level in rates.levels()[1:]] or [rng.choice((0, 3000))]
    near = rng.choice(thresholds)
    input_tokens = rng.choice(
        (near, near + 1, max(near - 1, 0), rng.randrange(1_500_000), rng.randrange(500))
    )
    alone: dict[str, int] = {}
    for whole, total in ((INPUT_TOKENS, input_tokens), (OUTPUT_TOKENS, rng.randrange(100_000))):
        parts = [unit for unit in used if unit == whole or whole in wholes_of(unit)]
        alone |= _divided(rng, total, rng.sample(parts, rng.randint(1, len(parts))), whole)
    for unit in used:
        if not {INPUT_TOKENS, OUTPUT_TOKENS}.intersection((unit, *wholes_of(unit))):
            alone[unit] = rng.choice((0, 1, rng.randrange(10_000)))
    return usage_of(alone)


def _divided(rng: Random, total: int, parts: Sequence[str], rest: str) -> dict[str, int]:
    """The total, cut at random places; what is left is used beside all parts."""
    cuts = sorted(rng.randint(0, total) for _ in parts)
    alone = {part: cut - before for part, cut, before in zip(parts, cuts, [0, *cuts], strict=False)}
    alone[rest] = alone.get(rest, 0) + total - cuts[-1]
    return alone
