"""S5, S19: the shipped list has real prices, the dearest of each; the document's list has its figures."""

import json
from datetime import date
from importlib.resources import files
from typing import Any

import pytest

from governor_service.domain.model_names import canonical_model
from governor_service.domain.pricing import Rates
from governor_service.listings import NAMES, Listing, read_price_list, write_price_list
from governor_service.listings.genai_prices_listings import PACKAGE, listings

SHIPPED = {listing.model: listing for listing in read_price_list("shipped")}
DOCUMENT = {listing.model: listing for listing in read_price_list("document")}


def _usd(listing: Listing) -> dict[str, float]:
    """Components in USD per million tokens and per thousand requests, as in published price lists."""
    return {
        name.removesuffix("_nano_usd_per_mtok").removesuffix("_nano_usd"): value
        / (10**6 if name == "request_nano_usd" else 10**9)
        for name, value in listing.components()
        if value
    }


@pytest.mark.parametrize("name", NAMES)
def test_each_model_once_under_its_canonical_name(name: str) -> None:
    """A list is sorted by model, and each model has its canonical name."""
    models = [listing.model for listing in read_price_list(name)]
    assert models == sorted(set(models))
    assert [canonical_model(model).model for model in models] == models
    assert all("/" in model for model in models)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_free(name: str) -> None:
    """No model's input or output has a price of zero by mistake."""
    assert all(
        listing.input_nano_usd_per_mtok and listing.output_nano_usd_per_mtok
        for listing in read_price_list(name)
    )


@pytest.mark.parametrize(
    ("model", "components"),
    [
        # OpenRouter lists no fee per request; Perplexity does, and the dearest search context is 12 USD.
        ("perplexity/sonar", {"input": 1, "output": 1, "request": 12}),
        ("perplexity/sonar-deep-research", {"input": 2, "output": 8, "reasoning": 3}),
        # Not the price of gpt-4o:extended or of its first snapshot.
        ("openai/gpt-4o", {"input": 2.5, "output": 10, "cached_input": 1.25}),
        ("openai/gpt-4o-mini", {"input": 0.15, "output": 0.6, "cached_input": 0.075}),
        # The double price of long prompts.
        ("x-ai/grok-4-fast", {"input": 0.4, "output": 1, "cached_input": 0.05}),
        # A cache write that lasts an hour, listed by Anthropic only (as claude-haiku-4-5).
        ("anthropic/claude-haiku-4.5", {"input": 1, "output": 5, "cached_input": 0.1, "cache_write": 2}),
        # OpenRouter lists only its batch variant, at half the price.
        ("anthropic/claude-opus-4.1", {"input": 15, "output": 75, "cached_input": 1.5, "cache_write": 30}),
        # The price of the dearest hours of the day.
        ("deepseek/deepseek-v4-flash", {"input": 0.3, "output": 1.2, "cached_input": 0.021}),
        # Listed as 0.0833333333333333 USD and not rounded down.
        (
            "google/gemini-2.5-flash",
            {"input": 0.3, "output": 2.5, "cached_input": 0.03, "cache_write": 0.083333334},
        ),
        ("z-ai/glm-5", {"input": 1, "output": 3.2, "cached_input": 0.2}),
        ("z-ai/glm-4.7", {"input": 0.6, "output": 2.2, "cached_input": 0.11}),
    ],
)
def test_shipped_price(model: str, components: dict[str, float]) -> None:
    """Each component is the dearest of OpenRouter's and the vendor's prices, over all tiers and hours."""
    assert _usd(SHIPPED[model]) == components


@pytest.mark.parametrize(
    "model",
    [
        "x-ai/grok-4.1-fast",  # listed as :free only
        "deepseek/deepseek-v4.1-flash-1017",  # listed as :batch only
        "typesafe/jev-1.14",  # no price for output
        "vendor/unheard-of",
    ],
)
def test_unpriced(model: str) -> None:
    """A model without a price for an ordinary call is not in the list."""
    assert model not in SHIPPED


def test_document_figures() -> None:
    """The document's prices in USD per thousand tokens, without a fee per request."""
    assert {
        model: (
            listing.input_nano_usd_per_mtok / 10**12,
            listing.output_nano_usd_per_mtok / 10**12,
            listing.request_nano_usd,
        )
        for model, listing in DOCUMENT.items()
    } == {
        "perplexity/sonar": (0.001, 0.002, 0),
        "openai/gpt-4o-mini": (0.00015, 0.0006, 0),
        "x-ai/grok-4-fast": (0.0002, 0.0005, 0),
        "z-ai/glm-5": (0.0001, 0.0001, 0),
        "z-ai/glm-4.7": (0.0001, 0.0001, 0),
    }


def test_shipped_list_can_be_made_again() -> None:
    """The named package and day give the same text again, byte for byte."""
    text = files("governor_service.listings").joinpath("shipped.json").read_text(encoding="utf-8")
    about = json.loads(text)["about"]
    package, as_of = about.split(", prices in force on ")
    if package != PACKAGE:
        pytest.skip(f"the list was made from {package}; {PACKAGE} is installed")
    assert write_price_list(about, listings(date.fromisoformat(as_of))) == text


def test_lists_are_diffable() -> None:
    """Each price has its own line, in an order that does not depend on the order of the listings."""
    cheap = Rates(input_nano_usd_per_mtok=1, output_nano_usd_per_mtok=2)
    components: dict[str, Any] = {name: value for name, value in cheap.components() if value is not None}
    made = [Listing(model=model, source="s", **components) for model in ("b/b", "a/a")]
    text = write_price_list("about", made)
    assert text == write_price_list("about", made[::-1])
    assert [json.loads(line.rstrip(","))["model"] for line in text.splitlines()[3:-2]] == ["a/a", "b/b"]
