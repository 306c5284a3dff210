"""S5, S19: the shipped list has each model as one provider sells it; the document's list has its figures."""

from datetime import UTC, datetime, time
from decimal import Decimal

import pytest
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    TimeOfDateConstraint,
)

from governor_service.listings import EARLIEST, Listing, document_list
from governor_service.listings.genai_prices_listings import (
    listings,
    listings_in_force,
)
from tests.pricing.real_prices import listed

NOVEMBER_2026 = datetime(2026, 11, 28, 12, tzinfo=UTC)

_SHORT = {
    "input_nano_usd_per_mtok": "input",
    "cached_input_nano_usd_per_mtok": "cached",
    "cache_write_nano_usd_per_mtok": "write",
    "output_nano_usd_per_mtok": "output",
    "reasoning_nano_usd_per_mtok": "reasoning",
    "request_nano_usd": "request",
}


def _usd(listing: Listing) -> dict[str, float]:
    """What is priced, in USD for a million tokens, a request or as many other units as a rate is for. Tiers
    have the tokens that they begin above in their names."""
    found = {_SHORT[name]: value / 10**9 for name, value in listing.components() if value}
    for rate in listing.rates:
        above = f" > {rate.input_tokens_above}" if rate.input_tokens_above else ""
        found[rate.unit + above] = rate.nano_usd / 10**9
    return found


def _in_force(model: str, context: dict[str, str] | None = None) -> list[Listing]:
    return [
        listing
        for listing in listings_in_force(listed()[model], NOVEMBER_2026)
        if listing.price_context == (context or {})
    ]


@pytest.mark.parametrize(
    ("model", "provider", "rates"),
    [
        # OpenRouter lists no fee for each request; Perplexity does, at the same rates for tokens.
        ("perplexity/sonar", "perplexity", {"input": 1, "output": 1, "request": 0.012}),
        (
            "perplexity/sonar-deep-research",
            "perplexity",
            {"input": 2, "output": 8, "reasoning": 3, "output_citation_tokens": 2, "web_searches": 5},
        ),
        (
            "openai/gpt-4o",
            "openai",
            {"input": 2.5, "output": 10, "cached": 1.25, "web_searches": 10, "storage_searches": 2.5},
        ),
        # Variants that OpenRouter sells under ids of their own: the one dearer, the other cheaper.
        ("openai/gpt-4o:extended", "openai", {"input": 6, "output": 18}),
        ("openai/gpt-4o:batch", "openrouter", {"input": 1.25, "output": 5, "cached": 0.625}),
        (
            "x-ai/grok-4-fast",
            "openrouter",
            {
                "input": 0.2,
                "output": 0.5,
                "cached": 0.05,
                "input_tokens > 128000": 0.4,
                "output_tokens > 128000": 1,
            },
        ),
        # Anthropic states writes for an hour and searches, OpenRouter does not: two sellers.
        ("anthropic/claude-haiku-4.5", "openrouter", {"input": 1, "output": 5, "cached": 0.1, "write": 1.25}),
        (
            "anthropic-direct/claude-haiku-4-5",
            "anthropic",
            {
                "input": 1,
                "output": 5,
                "cached": 0.1,
                "write": 1.25,
                "cache_write_1h_tokens": 2,
                "web_searches": 10,
            },
        ),
        # Listed as 0.0833333333333333 USD and not rounded down.
        (
            "google/gemini-2.5-flash",
            "openrouter",
            {"input": 0.3, "output": 2.5, "cached": 0.03, "write": 0.083333334},
        ),
        ("groq/whisper-large-v3", "groq", {"audio_seconds": 0.111, "input_audio_seconds": 0.111}),
        (
            "aws/regional.anthropic.claude-3-5-sonnet-20241022-v2:0",
            "aws",
            {"input": 3, "output": 15, "cached": 0.3, "write": 3.75},
        ),
    ],
)
def test_shipped_price(model: str, provider: str, rates: dict[str, float]) -> None:
    """A model costs what its provider lists."""
    (listing,) = _in_force(model)
    assert (listing.provider, _usd(listing)) == (provider, rates)


def test_a_variant_has_all_rates_of_its_own() -> None:
    """What a variant does not override costs what the ordinary call costs; what two variants do, the first
    decides."""
    (batch,) = _in_force("openai/gpt-5", {"processing": "batch"})
    assert _usd(batch) == {
        "input": 0.625,
        "output": 5,
        "cached": 0.0625,
        "web_searches": 10,
        "storage_searches": 2.5,
    }
    (priority,) = _in_force("openai/gpt-5", {"service_tier": "priority"})
    (both,) = _in_force("openai/gpt-5", {"service_tier": "priority", "processing": "batch"})
    assert _usd(both) == _usd(priority)


def test_times_of_the_day() -> None:
    """Each version has the price outside all windows, and one for each window, in UTC."""
    found = _in_force("deepseek-direct/deepseek-v4-flash")
    assert [(listing.daily_start, listing.daily_end, _usd(listing)["input"]) for listing in found] == [
        (None, None, 0.15),
        (time(1), time(4), 0.3),
        (time(6), time(10), 0.3),
    ]


def test_a_window_over_midnight() -> None:
    """A part of the day that includes midnight ends before it begins."""
    model = ModelInfo(
        id="night",
        match=ClauseEquals("night"),
        prices=[
            ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(2), output_mtok=Decimal(2))),
            ConditionalPrice(
                TimeOfDateConstraint(time(22, tzinfo=UTC), time(2, tzinfo=UTC)),
                prices=ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1)),
            ),
        ],
    )
    found = listings([Provider("p", "P", "", models=[model])])
    assert [(listing.daily_start, listing.daily_end, _usd(listing)["input"]) for listing in found] == [
        (None, None, 2),
        (time(22), time(2), 1),
    ]


def test_versions_begin_at_their_dates() -> None:
    """The first is in force since 2000, and later ones from midnight UTC of their dates."""
    argon = [listing for listing in listed()["google-direct/gemini-4-argon"] if not listing.price_context]
    assert argon[0].effective_time == EARLIEST
    assert argon[-1].effective_time == datetime(2026, 12, 1, tzinfo=UTC)
    before = listings_in_force(argon, datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC))
    after = listings_in_force(argon, datetime(2026, 12, 1, tzinfo=UTC))
    assert before != after == argon[-1:]


@pytest.mark.parametrize(
    "model",
    [
        "x-ai/grok-4.1-fast:free",
        "github-copilot/gpt-4o",  # part of a subscription
        "vendor/unheard-of",
    ],
)
def test_unpriced(model: str) -> None:
    """What costs nothing, or is not listed, has no price."""
    assert model not in listed()


def test_document_figures() -> None:
    """The document's prices in USD per thousand tokens, without a fee per request."""
    assert {
        listing.model: (
            listing.input_nano_usd_per_mtok / 10**12,
            listing.output_nano_usd_per_mtok / 10**12,
            listing.request_nano_usd,
        )
        for listing in document_list().listings
    } == {
        "perplexity/sonar": (0.001, 0.002, 0),
        "openai/gpt-4o-mini": (0.00015, 0.0006, 0),
        "x-ai/grok-4-fast": (0.0002, 0.0005, 0),
        "z-ai/glm-5": (0.0001, 0.0001, 0),
        "z-ai/glm-4.7": (0.0001, 0.0001, 0),
    }
