"""Canonical names: each is a model as one provider sells it, and no two sellers' models have the same."""

from collections import Counter
from decimal import Decimal

import pytest
from genai_prices.types import ClauseEquals, ModelInfo, ModelPrice, PriceVariant, Provider

from governor_service.listings.naming import canonical_names
from tests.pricing.real_prices import listed, names, providers


@pytest.mark.parametrize(
    ("provider", "model_id", "name"),
    [
        ("openrouter", "openai/gpt-4o", "openai/gpt-4o"),
        ("openrouter", "openai/gpt-4o:extended", "openai/gpt-4o:extended"),
        ("openrouter", "gpt-4o:extended", "openrouter/gpt-4o:extended"),
        ("openrouter", "~openai/gpt-latest", "~openai/gpt-latest"),
        ("azure", "o3-2025-04-16", "azure/o3-2025-04-16"),
        ("cloudflare", "@cf/moondream/moondream3.1-9B-A2B", "cloudflare/@cf/moondream/moondream3.1-9b-a2b"),
        (
            "huggingface_together",
            "Qwen/Qwen3-VL-8B-Instruct",
            "huggingface_together/qwen/qwen3-vl-8b-instruct",
        ),
        # At the same rates for tokens as at OpenRouter.
        ("openai", "gpt-4o", "openai/gpt-4o"),
        ("perplexity", "sonar", "perplexity/sonar"),
        ("anthropic", "claude-haiku-5-5", "anthropic/claude-haiku-5.5"),
        ("zai", "GLM-4.7", "z-ai/glm-4.7"),
        ("meta", "muse-spark-1.1", "meta/muse-spark-1.1"),
        # OpenRouter states other rates, or none for writes into the cache for an hour.
        ("anthropic", "claude-3-haiku", "anthropic-direct/claude-3-haiku"),
        ("mistral", "mistral-nemo", "mistral-direct/mistral-nemo"),
        # OpenRouter's have no price for each hour of the day.
        ("deepseek", "deepseek-v4-flash", "deepseek-direct/deepseek-v4-flash"),
        # OpenRouter does not list it.
        ("mistral", "mistral-ocr-2512", "mistralai/mistral-ocr-2512"),
        ("openai", "ft:gpt-4o", "openai/ft:gpt-4o"),
    ],
)
def test_name(provider: str, model_id: str, name: str) -> None:
    """The names of models that the installed package lists."""
    assert names()[provider, model_id] == name


def test_every_model_has_one() -> None:
    """Every listed model has a name of up to 200 printable characters, none of them in upper case."""
    assert names().keys() == {
        (provider.id, model.id) for provider in providers() for model in provider.models
    }
    for name in names().values():
        assert name == name.lower()
        assert name.isascii()
        assert name.isprintable()
        assert " " not in name
        assert len(name) <= 200


def test_only_openrouter_and_a_vendor_share_a_name() -> None:
    """A name is one seller's, but for OpenRouter's where the vendor sells at the same rates."""
    sellers = Counter(name for (provider, _), name in names().items() if provider != "openrouter")
    assert set(sellers.values()) == {1}
    assert {listing.model for of_model in listed().values() for listing in of_model} <= set(names().values())


def _model(model_id: str, *variants: PriceVariant, **usd: str) -> ModelInfo:
    prices = ModelPrice(**{key: Decimal(value) for key, value in usd.items()})
    return ModelInfo(
        id=model_id, match=ClauseEquals(model_id), prices=prices, price_variants=list(variants) or None
    )


def _name_at_the_vendor(own: ModelInfo, openrouters: ModelInfo) -> str:
    named = canonical_names(
        [
            Provider("vendor", "Vendor", "", models=[own]),
            Provider("openrouter", "OpenRouter", "", models=[openrouters]),
        ]
    )
    return named["vendor", own.id]


def test_one_model_at_two_sellers() -> None:
    """The vendor may state more than OpenRouter, but no other rate for tokens, and not less."""
    eu = PriceVariant({"route": "eu"}, ModelPrice(input_mtok=Decimal(9)))
    batch = PriceVariant({"processing": "batch"}, ModelPrice(input_mtok=Decimal(1)))
    usd = {"input_mtok": "2", "output_mtok": "6"}
    openrouters = _model("vendor/m-1.5", **usd)
    for own, one_model in [
        (_model("M-1-5", **usd), True),
        (_model("m-1.5", batch, **usd, requests_kcount="5", web_searches_kcount="10"), True),
        (_model("m-1.5", **usd, cache_read_mtok="2"), False),
        (_model("m-1.5", input_mtok="2", output_mtok="5"), False),
    ]:
        name = _name_at_the_vendor(own, openrouters)
        assert name == ("vendor/m-1.5" if one_model else f"vendor-direct/{own.id}")
    plain = _model("m-1.5", **usd)
    for openrouters in [
        _model("vendor/m-1.5", eu, **usd),
        _model("vendor/m-1.5", **usd, web_searches_kcount="10"),
    ]:
        assert _name_at_the_vendor(plain, openrouters) == "vendor-direct/m-1.5"


def test_the_first_of_two_models_with_one_name_has_it() -> None:
    """Ids that differ only in case or white space are one name, and the second has none."""
    models = [_model("A Model", input_mtok="1"), _model("a-model", input_mtok="2")]
    assert canonical_names([Provider("p", "P", "", models=models)]) == {("p", "A Model"): "p/a-model"}
