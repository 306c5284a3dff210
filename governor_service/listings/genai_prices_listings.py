"""Listings from the package `genai-prices`: every model of every provider, with all versions, tiers, units,
variants and times of the day, as the package itself would rate them.

- A model is priced as one provider sells it: `naming.py` says under which name.
- A rate finer than a nano-USD for a million tokens is rounded up to a whole one.
- What costs nothing is no price and is left out. So is a version that costs nothing, if a model has one.
- The package has what providers publish. Fees that OpenRouter does not state, such as Perplexity's for each
  request, come with the vendor's own listing of the model.
- One rule of the package is not a rate: Groq bills at least ten seconds of audio to Whisper. A shorter call
  is rated by its seconds.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import cache, cached_property
from importlib.metadata import version
from itertools import pairwise
from typing import Any

from genai_prices.data_snapshot import get_snapshot
from genai_prices.data_units import unit_data
from genai_prices.types import (
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from governor_service.domain.money import nano_usd
from governor_service.domain.pricing import UNIT_OF_COMPONENT, Rate
from governor_service.domain.usage_units import REQUESTS, UNITS
from governor_service.listings import EARLIEST, Listing, PriceList
from governor_service.listings.alternate_names import alternate_names
from governor_service.listings.naming import OPENROUTER, canonical_names

PACKAGE = f"genai-prices {version('genai-prices')}"

_UNIT_OF_PRICE_KEY = {unit["price_key"]: name for name, unit in unit_data.items()}
_COMPONENT_OF_UNIT = {unit: component for component, unit in UNIT_OF_COMPONENT.items()}

_Window = tuple[time, time]


def listings(providers: Sequence[Provider] | None = None) -> list[Listing]:
    """All versions of all prices, by model and time; by default the installed package's."""
    if providers is None:
        providers = get_snapshot().providers
    names = canonical_names(providers)
    found: dict[str, list[Listing]] = {}
    # OpenRouter comes last: of a model that the vendor sells at the same rates, the vendor's listing counts.
    for provider in sorted(providers, key=lambda provider: provider.id == OPENROUTER):
        for model in provider.models:
            name = names.get((provider.id, model.id))
            if name is not None and name not in found:
                found[name] = list(_listings_of(model, name, provider.id))
    return [listing for name in sorted(found) for listing in found[name]]


def listings_in_force(listed: Iterable[Listing], at: datetime) -> list[Listing]:
    """Of each model and variant the version in force at a time, with all times of the day that it
    distinguishes."""
    latest: dict[tuple[str, frozenset[tuple[str, str]]], list[Listing]] = defaultdict(list)
    for listing in sorted(listed, key=lambda listing: listing.effective_time or at):
        if (effective_time := listing.effective_time or at) <= at:
            rows = latest[listing.model, frozenset(listing.price_context.items())]
            if rows and rows[0].effective_time != effective_time:
                rows.clear()
            rows.append(listing)
    return [listing for rows in latest.values() for listing in rows]


@cache
def package_list() -> PriceList:
    """The installed package's prices, and the other names of their models."""
    providers = get_snapshot().providers
    listed = listings(providers)
    priced = {listing.model for listing in listed}
    names = {sold: name for sold, name in canonical_names(providers).items() if name in priced}
    return PriceList(source=PACKAGE, listings=listed, alternate_names=alternate_names(providers, names))


@cache
def _listings_by_model() -> Mapping[str, Sequence[Listing]]:
    found: dict[str, list[Listing]] = defaultdict(list)
    for listing in package_list().listings:
        found[listing.model].append(listing)
    return found


def listed_price(model: str, price_context: Mapping[str, str]) -> Listing | None:
    """The installed package's present price of a variant, at the hours that have no price of their own."""
    of_variant = [
        listing
        for listing in _listings_by_model().get(model, ())
        if listing.price_context == price_context and listing.daily_start is None
    ]
    in_force = listings_in_force(of_variant, datetime.now(UTC))
    return in_force[0] if in_force else None


@dataclass(frozen=True)
class _Timeline:
    """When a model's prices may change: at dates, and at times of the day."""

    model: ModelInfo

    @cached_property
    def starts(self) -> list[datetime]:
        """When versions begin, variants' included."""
        dates = {
            constraint.start_date
            for constraint in self._constraints()
            if isinstance(constraint, StartDateConstraint)
        }
        return [EARLIEST, *(datetime.combine(date, time(), UTC) for date in sorted(dates))]

    @cached_property
    def windows(self) -> list[_Window | None]:
        """The parts of the day that may differ: first the rest of the day, then each stated time."""
        daily = [
            constraint for constraint in self._constraints() if isinstance(constraint, TimeOfDateConstraint)
        ]
        if not daily:
            return [None]
        cuts = sorted({cut for stated in daily for cut in (_utc(stated.start_time), _utc(stated.end_time))})
        parts: list[_Window] = [*pairwise(cuts), (cuts[-1], cuts[0])]
        rest_first = sorted(parts, key=lambda part: any(stated.active(_at(part[0])) for stated in daily))
        return [*rest_first]

    def prices(self, start: datetime, context: Mapping[str, str]) -> list[tuple[_Window | None, ModelPrice]]:
        """The prices from a start on: first the rest of the day's, then those that differ from them."""
        at_times = [
            (window, self.model.get_prices(datetime.combine(start, begins, UTC), context))
            for window in self.windows
            for begins in [window[0] if window else time()]
        ]
        (_, ordinary), *others = at_times
        return [(None, ordinary), *(found for found in others if found[1] != ordinary)]

    def contexts(self) -> list[dict[str, str]]:
        """Every combination of variants that a call can be, the ordinary call first."""
        found: list[dict[str, str]] = [{}]
        for variant in self.model.price_variants or ():
            if _stated(variant.prices):
                for context in tuple(found):
                    combined = context | variant.when
                    if combined not in found:
                        found.append(combined)
        return found

    def _constraints(self) -> Iterator[StartDateConstraint | TimeOfDateConstraint | None]:
        if isinstance(self.model.prices, list):
            yield from (price.constraint for price in self.model.prices)
        yield from (variant.constraint for variant in self.model.price_variants or ())


def _listings_of(model: ModelInfo, name: str, provider: str) -> Iterator[Listing]:
    timeline = _Timeline(model)
    for context in timeline.contexts():
        before = None
        for start in timeline.starts:
            prices = timeline.prices(start, context)
            if prices == before:
                continue
            before = prices
            for window, price in prices:
                stated = _stated(price)
                if not _is_free(stated):
                    daily_start, daily_end = window or (None, None)
                    yield Listing(
                        model=name,
                        provider=provider,
                        price_context=context,
                        daily_start=daily_start,
                        daily_end=daily_end,
                        effective_time=start,
                        source=f"{PACKAGE}: {provider} {model.id}",
                        **_rates(stated),
                    )


def _utc(daily: time) -> time:
    """Times without a zone are in UTC."""
    return _at(daily).astimezone(UTC).time()


def _at(daily: time) -> datetime:
    """A time of some day."""
    return datetime.combine(EARLIEST, daily, daily.tzinfo or UTC)


def _stated(prices: ModelPrice) -> dict[str, Decimal | TieredPrices]:
    """What is priced, by unit."""
    return {
        _UNIT_OF_PRICE_KEY[key]: value
        for key, value in vars(prices).items()
        if value is not None and key in _UNIT_OF_PRICE_KEY
    }


def _by_tier(stated: Decimal | TieredPrices) -> dict[int, Decimal]:
    if isinstance(stated, TieredPrices):
        return {0: stated.base} | {tier.start: tier.price for tier in stated.tiers}
    return {0: stated}


def _is_free(stated: Mapping[str, Decimal | TieredPrices]) -> bool:
    return not any(usd for value in stated.values() for usd in _by_tier(value).values())


def _rates(stated: Mapping[str, Decimal | TieredPrices]) -> dict[str, Any]:
    """The fields of Rates. A tier names only what differs from the one below."""
    fields: dict[str, Any] = {"input_nano_usd_per_mtok": 0, "output_nano_usd_per_mtok": 0}
    rates = []
    for unit, value in stated.items():
        per = UNITS[unit].per
        below = None
        for above, usd in sorted(_by_tier(value).items()):
            if above == 0 and unit in _COMPONENT_OF_UNIT:
                fields[_COMPONENT_OF_UNIT[unit]] = nano_usd(usd / per if unit == REQUESTS else usd)
            elif usd != below:
                rates.append(Rate(unit=unit, per=per, nano_usd=nano_usd(usd), input_tokens_above=above))
            below = usd
    return {**fields, "rates": tuple(rates)}
