"""Listings from the package `genai-prices`: prices of the models that OpenRouter serves.

Each component of a price is the higher of what OpenRouter lists and what the vendor itself lists.
OpenRouter's listing alone is not enough: for `perplexity/sonar` it lacks the fee for each request, which is
several times the cost of the tokens.

- If a price depends on the prompt's length, the time of day or the cache's lifetime, the highest counts.
- If several ids of one seller have the same canonical name, the canonical id counts; if none is canonical,
  the dearest of them.
- `:batch` listings do not count: they are half price, for deferred calls.
- A model whose price for input or output is missing or zero stays unpriced.
- Searches, images and audio are not rated: the provider's reported cost includes them, and the greater of it
  and the rated cost is charged.
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
    """The prices in force on a day, according to the installed package."""
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
    matching is too loose: it matches `mistral-medium-3` with 3.5, and a distilled model with its original."""
    vendor = name.split("/")[0]
    provider = providers.get(_PROVIDER_OF_VENDOR.get(vendor, vendor))
    if provider is None:
        return []

    def spelling(model: str) -> str:
        return model.replace(".", "-")

    counted = _counted(provider.models, prefix=f"{vendor}/")
    return next((models for same, models in counted.items() if spelling(same) == spelling(name)), [])


def _components(model: ModelInfo, as_of: date) -> Components:
    """The components that are listed for a model, each at its dearest hour of the day."""
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
