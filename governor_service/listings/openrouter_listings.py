"""Listings from OpenRouter's `GET /api/v1/models`: what models cost there.

Its shape is `{"data": [{"id", "pricing": {"prompt", "completion", "request", "input_cache_read", …}}]}`, with
decimal strings of USD: for one token, one request or one search. See https://openrouter.ai/docs/models.

- Each id is a model of its own, with its variant: `openai/gpt-4o:extended` is not `openai/gpt-4o`.
- A model that costs nothing stays unpriced, and so does one without a price for input or output, and one
  whose price is -1: a router, whose cost depends on the model that it chooses.
- A cache or reasoning price of 0 means that there is none, and the component costs what its parent costs.
- Images and audio are not rated.
- The price is that of the cheapest provider. Calls that are sent with `max_price` cost no more.
- OpenRouter states one price for each kind of token; for requests and searches, none or one. It says nothing
  of tiers, one-hour cache writes, audio, variants, hours of the day and later prices: what the price book has
  of these stays (`completed`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from governor_service.domain.model_names import is_priceable
from governor_service.domain.money import nano_usd
from governor_service.domain.pricing import Price, Rate, Rates
from governor_service.domain.usage_units import UNITS
from governor_service.listings import Listing
from governor_service.listings.naming import OPENROUTER, openrouter_name

_TOKENS_PER_MTOK = 10**6
_SOURCE_LENGTH_MAX = 1024
SOURCE_PREFIX = "openrouter: "
"""How the sources of these listings begin. The rest says where they were read."""
_KEPT = "; what it does not state: "

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


def completed(stated: Listing, present: Sequence[Price]) -> Listing | None:
    """The listing, with what OpenRouter does not state taken from the model's present price (several: at
    different hours). None if this price has all that OpenRouter states.

    Raises ValueError if both together are no price.
    """
    if any(_has_what_is_stated(price, stated) for price in present):
        return None
    kept_from = next((price for price in present if price.daily_start is None), None)
    if kept_from is None:
        return stated
    units = {(rate.unit, rate.input_tokens_above) for rate in stated.rates}
    kept = [rate for rate in kept_from.rates if (rate.unit, rate.input_tokens_above) not in units]
    fee = 0 if stated.request_nano_usd else kept_from.request_nano_usd
    if not (kept or fee):
        return stated
    try:
        return replace(
            stated,
            request_nano_usd=stated.request_nano_usd or fee,
            rates=(*stated.rates, *kept),
            source=_source(stated, kept_from),
        )
    except ValueError as error:
        raise ValueError(f"{stated.model}: {error}") from None


def _source(stated: Listing, kept_from: Price) -> str:
    """Names both sources. The price that is kept may itself be completed."""
    return f"{stated.source}{_KEPT}{kept_from.source.rpartition(_KEPT)[2]}"[:_SOURCE_LENGTH_MAX]


def _has_what_is_stated(price: Price, stated: Listing) -> bool:
    rates = {rate.unit: rate for rate in price.rates if not rate.input_tokens_above}
    return (
        _of_tokens(price).costs_the_same_as(_of_tokens(stated))
        and stated.request_nano_usd in (0, price.request_nano_usd)
        and all(rates.get(rate.unit) == rate for rate in stated.rates)
    )


def _of_tokens(rates: Rates) -> Rates:
    """The rates of tokens outside tiers. The fee makes it a price, also if the tokens are free."""
    components: dict[str, Any] = dict(rates.components()) | {"request_nano_usd": 1}
    return Rates(**components)


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
