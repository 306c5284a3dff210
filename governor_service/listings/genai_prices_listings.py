"""Listings from the package `genai-prices`: what models cost that OpenRouter serves.

For each model, each component is the dearest of what OpenRouter lists and what the vendor itself lists.
OpenRouter's listing alone is not enough: the one of `perplexity/sonar` lacks the fee for each request, which
is several times what the tokens cost.

- Tiers (by the length of the prompt), times of day and lifetimes of a cache are booked at the dearest.
- Where several ids of one seller have the same canonical name, the id that is canonical counts; if none is,
  the dearest of them.
- `:batch` listings do not count: half price, for calls that nobody waits for.
- A model without a price for input or for output, or with one at zero, stays unpriced.
- Searches, images and audio are not counted: the provider reports what they cost, and the greater figure is
  charged.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib.metadata import version

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

from governor_service.domain.money import nano_usd
from governor_service.listings import Listing
from governor_service.listings.components import Components, by_canonical_name, dearest, that_count

PACKAGE = f"genai-prices {version('genai-prices')}"

_PROVIDER_OF_VENDOR = {"mistralai": "mistral", "z-ai": "zai", "arcee-ai": "arcee"}
"""Where the vendor in OpenRouter's ids and the provider in the package have different names."""

_COMPONENTS = {
    "input_mtok": "input_nano_usd_per_mtok",
    "cache_read_mtok": "cached_input_nano_usd_per_mtok",
    "cache_write_mtok": "cache_write_nano_usd_per_mtok",
    "cache_write_5m_mtok": "cache_write_nano_usd_per_mtok",
    "cache_write_1h_mtok": "cache_write_nano_usd_per_mtok",
    "output_mtok": "output_nano_usd_per_mtok",
    "output_reasoning_mtok": "reasoning_nano_usd_per_mtok",
    "requests_kcount": "request_nano_usd",
}


def listings(as_of: date) -> list[Listing]:
    """The prices in force on a day, by the package as it is installed."""
    providers = {provider.id: provider for provider in get_snapshot().providers}
    openrouter = _counted(providers["openrouter"].models, prefix="")
    found = (
        _listing(name, models, _vendor_models(name, providers), as_of)
        for name, models in sorted(openrouter.items())
        if "/" in name
    )
    return [listing for listing in found if listing is not None]


def _listing(
    name: str, openrouter_models: list[ModelInfo], vendor_models: list[ModelInfo], as_of: date
) -> Listing | None:
    listed = {
        "openrouter": dearest(_components(model, as_of) for model in openrouter_models),
        "vendor": dearest(_components(model, as_of) for model in vendor_models),
    }
    components = dearest(listed.values())
    if not (components.get("input_nano_usd_per_mtok") and components.get("output_nano_usd_per_mtok")):
        return None
    sources = ", ".join(seller for seller, found in listed.items() if found)
    return Listing(model=name, source=f"{PACKAGE}: {sources}", **components)


def _counted(models: Iterable[ModelInfo], prefix: str) -> dict[str, list[ModelInfo]]:
    """The models of one seller whose listings count, by canonical name."""
    by_id = {prefix + model.id: model for model in models}
    return {
        name: [by_id[model_id] for model_id in that_count(name, ids)]
        for name, ids in by_canonical_name(by_id).items()
    }


def _vendor_models(name: str, providers: dict[str, Provider]) -> list[ModelInfo]:
    """What the vendor lists under this name. Vendors write 4-5 where OpenRouter writes 4.5. The package's own
    matching is too wide for this: it takes `mistral-medium-3` for 3.5, each distillation for its original."""
    vendor = name.split("/")[0]
    provider = providers.get(_PROVIDER_OF_VENDOR.get(vendor, vendor))
    if provider is None:
        return []

    def spelling(model: str) -> str:
        return model.replace(".", "-")

    counted = _counted(provider.models, prefix=f"{vendor}/")
    return next((models for same, models in counted.items() if spelling(same) == spelling(name)), [])


def _components(model: ModelInfo, as_of: date) -> Components:
    """What is listed for a model, at the dearest hour of the day."""
    midnight = datetime.combine(as_of, time(tzinfo=UTC))
    hours = (model.get_prices(midnight + timedelta(hours=hour)) for hour in range(24))
    return dearest(dict([component]) for price in hours for component in _priced(price))


def _priced(price: ModelPrice) -> Iterator[tuple[str, int]]:
    for key, component in _COMPONENTS.items():
        listed: Decimal | TieredPrices | None = getattr(price, key)
        if listed is None:
            continue
        usd = (
            max([listed.base, *(tier.price for tier in listed.tiers)])
            if isinstance(listed, TieredPrices)
            else listed
        )
        yield component, nano_usd(usd / 1000 if key == "requests_kcount" else usd)
