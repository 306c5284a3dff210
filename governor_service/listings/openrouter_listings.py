"""Listings from OpenRouter's `GET /api/v1/models`: what models cost there.

Its shape is `{"data": [{"id", "pricing": {"prompt", "completion", "request", "input_cache_read", …}}]}`, with
decimal strings of USD: for one token, one request or one search. See https://openrouter.ai/docs/models.

- Each id is a model of its own, with its variant: `openai/gpt-4o:extended` is not `openai/gpt-4o`.
- A model that costs nothing stays unpriced, and so does one without a price for input or output, and one
  whose price is -1: a router, whose cost depends on the model that it chooses.
- A cache or reasoning price of 0 means that there is none, and the component costs what its parent costs.
- Images and audio are not rated.
- The price is that of the cheapest provider. Calls that are sent with `max_price` cost no more.
"""

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from governor_service.domain.model_names import is_priceable
from governor_service.domain.money import nano_usd
from governor_service.domain.pricing import Rate
from governor_service.domain.usage_units import UNITS
from governor_service.listings import Listing
from governor_service.listings.naming import OPENROUTER, openrouter_name

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
    """The models that have a price, by name. Raises ValueError for another kind of answer."""
    found: dict[str, Listing] = {}
    for model_id, pricing in _pricings(answer).items():
        name = openrouter_name(model_id)
        fields = _fields(pricing)
        if is_priceable(name) and fields is not None and name not in found:
            try:
                found[name] = Listing(model=name, provider=OPENROUTER, source=source, **fields)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
    return [found[name] for name in sorted(found)]


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


def _fields(pricing: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of Rates, in nano-USD, rounded up; None if there is no price."""
    if not {"prompt", "completion"} <= pricing.keys():
        return None
    usd = {key: _usd(pricing, key) for key in (*_COMPONENTS, "web_search")}
    if min(usd.values()) < 0 or not any(usd.values()):
        return None
    fields: dict[str, Any] = {"input_nano_usd_per_mtok": 0, "output_nano_usd_per_mtok": 0}
    for key, component in _COMPONENTS.items():
        if usd[key]:
            fields[component] = nano_usd(usd[key] if key == "request" else usd[key] * _TOKENS_PER_MTOK)
    if usd["web_search"]:
        per = UNITS["web_searches"].per
        fields["rates"] = (Rate(unit="web_searches", per=per, nano_usd=nano_usd(usd["web_search"] * per)),)
    return fields


def _usd(pricing: Mapping[str, Any], key: str) -> Decimal:
    try:
        usd = Decimal(str(pricing.get(key) or 0))
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite():
        raise ValueError(f"a price that is no number: {key} {pricing[key]!r}")
    return usd
