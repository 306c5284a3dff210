"""Canonical names of the models that genai-prices lists: each name is a model as one provider sells it.

- What OpenRouter sells is named as OpenRouter names it, `vendor/model`, with its variant:
  `openai/gpt-4o:extended`. An id without a vendor, as OpenRouter had them once, is `openrouter/…`.
- What any other provider sells is `provider/id`: `aws/anthropic.claude-3-haiku-20240307-v1:0`.
- A vendor's own API may sell what OpenRouter lists under that vendor. If the vendor states all rates that
  OpenRouter states, and no other token rates, the two are one model under OpenRouter's name, and the vendor's
  listing prices it: it may also state fees and variants. Otherwise the vendor's is `provider-direct/id`:
  `anthropic-direct/claude-3-haiku`.
- A vendor's own model that OpenRouter does not list is `vendor/id`.

Names are in lower case, with a hyphen for white space. If two models of a provider have the same name all the
same, the first in the package's order has it, and the other is left out.
"""

from collections.abc import Iterable
from decimal import Decimal

from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices, TimeOfDateConstraint

OPENROUTER = "openrouter"

_VENDOR_OF_PROVIDER = {"mistral": "mistralai", "zai": "z-ai", "arcee": "arcee-ai"}
"""Where the provider in the package and the vendor in OpenRouter's ids have different names."""

_TOKEN_RATES = (
    "input_mtok",
    "cache_read_mtok",
    "cache_write_mtok",
    "cache_write_1h_mtok",
    "output_mtok",
    "output_reasoning_mtok",
)
"""What two listings of one model must both state or both leave out. OpenRouter's may lack all else."""


def canonical_names(providers: Iterable[Provider]) -> dict[tuple[str, str], str]:
    """The canonical name by provider and id. Two sellers' listings with the same name are one model, which
    the listing of the seller that is not OpenRouter prices."""
    providers = list(providers)
    openrouter = next((provider.models for provider in providers if provider.id == OPENROUTER), [])
    names = {(OPENROUTER, model.id): openrouter_name(model.id) for model in openrouter}
    listed = {_spelling(names[OPENROUTER, model.id]): model for model in reversed(openrouter)}
    vendors = {name.split("/")[0] for name in names.values()}
    openrouters, taken = set(names.values()), set[str]()
    for provider in providers:
        vendor = _VENDOR_OF_PROVIDER.get(provider.id, provider.id)
        for model in provider.models if provider.id != OPENROUTER else ():
            if vendor not in vendors:
                name = _written(f"{provider.id}/{model.id}")
            elif (same := listed.get(_spelling(f"{vendor}/{model.id}"))) is None:
                name = _written(f"{vendor}/{model.id}")
            elif _is_one_model(model, same):
                name = names[OPENROUTER, same.id]
                openrouters.discard(name)
            else:
                name = _written(f"{provider.id}-direct/{model.id}")
            if name not in openrouters | taken:
                names[provider.id, model.id] = name
                taken.add(name)
    return names


def openrouter_name(model_id: str) -> str:
    """The canonical name of what OpenRouter sells under an id."""
    return _written(model_id if "/" in model_id else f"{OPENROUTER}/{model_id}")


def _written(name: str) -> str:
    return "-".join(name.lower().split())


def _spelling(name: str) -> str:
    """Vendors write 4-5 where OpenRouter writes 4.5."""
    return _written(name).replace(".", "-")


def _is_one_model(own: ModelInfo, openrouters: ModelInfo) -> bool:
    """Compares the last versions. OpenRouter's earlier ones are often younger than the model."""
    if openrouters.price_variants or _depends_on_the_hour(own) or _depends_on_the_hour(openrouters):
        return False
    ours, theirs = _last(own), _last(openrouters)
    stated = {key for key, value in vars(theirs).items() if value is not None}
    return all(_rates(ours, key) == _rates(theirs, key) for key in {*stated, *_TOKEN_RATES})


def _depends_on_the_hour(model: ModelInfo) -> bool:
    return isinstance(model.prices, list) and any(
        isinstance(price.constraint, TimeOfDateConstraint) for price in model.prices
    )


def _last(model: ModelInfo) -> ModelPrice:
    return model.prices if isinstance(model.prices, ModelPrice) else model.prices[-1].prices


def _rates(prices: ModelPrice, key: str) -> tuple[tuple[int, Decimal], ...]:
    """The rates of one kind by tier; empty if there is none."""
    stated: Decimal | TieredPrices | None = getattr(prices, key)
    if stated is None:
        return ()
    if isinstance(stated, TieredPrices):
        return ((0, stated.base), *((tier.start, tier.price) for tier in stated.tiers))
    return ((0, stated),)
