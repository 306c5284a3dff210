"""What a price book that was filled from genai-prices knows: names with a price, and other names of them."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from genai_prices.data import providers
from genai_prices.types import ModelInfo, TieredPrices

from governor_service.listings.alternate_names import alternate_names

_WRITTEN_BY_OPENROUTER = {"mistral": "mistralai", "zai": "z-ai", "arcee": "arcee-ai"}
_TOKEN_RATES = (
    "input_mtok",
    "output_mtok",
    "cache_read_mtok",
    "cache_write_mtok",
    "cache_write_1h_mtok",
    "output_reasoning_mtok",
)
_NOW = datetime(2026, 11, 28, tzinfo=UTC)


@cache
def named_listings() -> dict[tuple[str, str], str]:
    """The name in the price book of each provider's model that costs something."""
    listed = {
        _lower(model.id): model
        for provider in providers
        if provider.id == "openrouter"
        for model in provider.models
    }
    spelled = {name.replace(".", "-"): name for name in listed if "/" in name}
    found: dict[tuple[str, str], str] = {}
    for provider in providers:
        for model in provider.models:
            name = _lower(model.id)
            if _is_free(model):
                continue
            if provider.id == "openrouter":
                found[provider.id, model.id] = name if "/" in name else f"openrouter/{name}"
            elif provider.id not in _vendors():
                found[provider.id, model.id] = f"{provider.id}/{name}"
            else:
                vendor_name = f"{_vendors()[provider.id]}/{name}"
                same = spelled.get(vendor_name.replace(".", "-"))
                if same is None:
                    found[provider.id, model.id] = vendor_name
                elif _rates(model) == _rates(listed[same]):
                    found[provider.id, model.id] = same
                else:
                    found[provider.id, model.id] = f"{provider.id}-direct/{name}"
    return found


@cache
def _vendors() -> dict[str, str]:
    """Of each provider that sells under a vendor's name at OpenRouter, that name."""
    at_openrouter = {
        model.id.split("/")[0]
        for provider in providers
        if provider.id == "openrouter"
        for model in provider.models
    }
    named = {provider.id: _WRITTEN_BY_OPENROUTER.get(provider.id, provider.id) for provider in providers}
    return {provider: vendor for provider, vendor in named.items() if vendor in at_openrouter}


@cache
def priced_names() -> frozenset[str]:
    """The names that have a price."""
    return frozenset(named_listings().values())


@cache
def aliases() -> dict[str, str]:
    """Other names of priced models, as they are shipped."""
    return alternate_names(providers, named_listings())


def _lower(model_id: str) -> str:
    return "-".join(model_id.lower().split())


def _rates(model: ModelInfo) -> list[Any]:
    price = model.get_prices(_NOW)
    return [_levels(getattr(price, key)) for key in _TOKEN_RATES]


def _levels(rate: Any) -> Any:
    if isinstance(rate, TieredPrices):
        return rate.base, [(tier.start, tier.price) for tier in rate.tiers]
    return rate


def _is_free(model: ModelInfo) -> bool:
    prices = [part.prices for part in model.prices] if isinstance(model.prices, list) else [model.prices]
    rates = [rate for price in prices for rate in vars(price).values() if rate is not None]
    return not any(
        rate.base or any(tier.price for tier in rate.tiers) if isinstance(rate, TieredPrices) else rate
        for rate in rates
    )
