"""Listings from OpenRouter's `GET /api/v1/models`: what models cost there.

Its shape is `{"data": [{"id", "pricing": {"prompt", "completion", "request", "input_cache_read", …}}]}`, with
decimal strings of USD: for one token, or for one request. See https://openrouter.ai/docs/models.

- If several ids have the same canonical name, the canonical id counts; if none is canonical, the dearest.
- A model whose price for input or output is missing or zero stays unpriced. So does one whose price is -1: a
  router, whose cost depends on the model that it chooses.
- A cache or reasoning price of 0 means that there is none, and the component costs what its parent costs.
- Searches, images and audio are not rated: the provider's reported cost includes them, and the greater of it
  and the rated cost is charged.
- The price is that of the cheapest provider. Calls that are sent with `max_price` cost no more.
"""

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from governor_service.domain.model_names import is_priceable
from governor_service.domain.money import nano_usd
from governor_service.listings import Listing
from governor_service.listings.components import Components, by_canonical_name, dearest, that_count

_TOKENS_PER_MTOK = 10**6

_COMPONENTS = {
    "prompt": "input_nano_usd_per_mtok",
    "input_cache_read": "cached_input_nano_usd_per_mtok",
    "input_cache_write": "cache_write_nano_usd_per_mtok",
    "completion": "output_nano_usd_per_mtok",
    "internal_reasoning": "reasoning_nano_usd_per_mtok",
    "request": "request_nano_usd",
}


def listings(answer: str | bytes, *, source: str) -> list[Listing]:
    """The models that have a price, by canonical name. Raises ValueError for another kind of answer."""
    components_of = {model_id: _components(pricing) for model_id, pricing in _pricings(answer).items()}
    found = []
    for name, ids in sorted(by_canonical_name(components_of).items()):
        components = dearest(components_of[model_id] for model_id in that_count(name, ids))
        if (
            is_priceable(name)
            and components.get("input_nano_usd_per_mtok")
            and components.get("output_nano_usd_per_mtok")
        ):
            try:
                found.append(Listing(model=name, source=source, **components))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
    return found


def _pricings(answer: str | bytes) -> dict[str, Mapping[str, Any]]:
    """Each listed id with its pricing."""
    # Prices are strings. If one is a JSON number after all, it does not become a float.
    body = json.loads(answer, parse_float=Decimal)
    models = body.get("data") if isinstance(body, dict) else None
    if not isinstance(models, list):
        raise ValueError("no list of models: an object with `data` is expected")
    pricings: dict[str, Mapping[str, Any]] = {}
    for model in models:
        if not (isinstance(model, dict) and isinstance(model.get("id"), str)):
            raise ValueError("a model without an id")
        if isinstance(model.get("pricing"), dict):
            pricings[model["id"]] = model["pricing"]
    return pricings


def _components(pricing: Mapping[str, Any]) -> Components:
    """In nano-USD, rounded up. Omits components that are not listed, or not above zero."""
    components: Components = {}
    for key, component in _COMPONENTS.items():
        try:
            usd = Decimal(str(pricing.get(key) or 0))
        except InvalidOperation:
            raise ValueError(f"a price that is no number: {key} {pricing[key]!r}") from None
        if not usd.is_finite():
            raise ValueError(f"a price that is no number: {key} {pricing[key]!r}")
        if usd > 0:
            components[component] = nano_usd(usd if key == "request" else usd * _TOKENS_PER_MTOK)
    return components
