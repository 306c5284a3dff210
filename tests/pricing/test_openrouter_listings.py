"""OpenRouter's /models becomes listings, and states a part of what a price has."""

from __future__ import annotations

from datetime import time
from typing import Any

import pytest

from governor_service.domain.pricing import Price, Rate
from governor_service.listings import Listing, openrouter_listings
from tests.pricing.openrouter_answers import answer
from tests.pricing.price_book import in_book


def components(listing: Listing) -> dict[str, int]:
    return {name: value for name, value in listing.components() if value}


@pytest.mark.parametrize(
    ("pricing", "expected"),
    [
        (
            {"prompt": "0.00000015", "completion": "0.0000006"},
            {"input_nano_usd_per_mtok": 150_000_000, "output_nano_usd_per_mtok": 600_000_000},
        ),
        (
            {
                "prompt": "0.000003",
                "completion": "0.000015",
                "request": "0.005",
                "image": "0.0048",
                "web_search": "0.01",
                "internal_reasoning": "0.000016",
                "input_cache_read": "0.0000003",
                "input_cache_write": "0.00000375",
                "discount": 0,
            },
            {
                "input_nano_usd_per_mtok": 3_000_000_000,
                "cached_input_nano_usd_per_mtok": 300_000_000,
                "cache_write_nano_usd_per_mtok": 3_750_000_000,
                "output_nano_usd_per_mtok": 15_000_000_000,
                "reasoning_nano_usd_per_mtok": 16_000_000_000,
                "request_nano_usd": 5_000_000,
            },
        ),
        # 0 means no own price: reasoning then costs as much as output, and is not free.
        (
            {"prompt": "0.000001", "completion": "0.000002", "internal_reasoning": "0", "request": "0"},
            {"input_nano_usd_per_mtok": 1_000_000_000, "output_nano_usd_per_mtok": 2_000_000_000},
        ),
        # A fraction of a nano-dollar is rounded up; a JSON number is read exactly too.
        (
            {"prompt": 0.0000000000000001, "completion": "2e-6"},
            {"input_nano_usd_per_mtok": 1, "output_nano_usd_per_mtok": 2_000_000_000},
        ),
        ({"prompt": "0", "completion": "0"}, None),
        ({"prompt": "-1", "completion": "-1"}, None),
        ({"prompt": "0.1"}, None),
    ],
)
def test_a_listing_of_openrouter(pricing: dict[str, Any], expected: dict[str, int] | None) -> None:
    """Decimal USD become nano-USD per million tokens and per request; a free model is unpriced."""
    found = openrouter_listings.listings(answer(("vendor/model", pricing)), source="test")
    assert [components(listing) for listing in found] == ([expected] if expected else [])


def test_each_id_is_a_model_of_its_own() -> None:
    """Variants and dated snapshots have their own prices, under their ids in lower case."""
    found = openrouter_listings.listings(
        answer(
            ("a/One", {"prompt": "1e-6", "completion": "1e-6"}),
            ("a/one", {"prompt": "7e-6", "completion": "7e-6"}),
            ("a/one-20250101", {"prompt": "2e-6", "completion": "5e-6"}),
            ("a/two-20250101", {"prompt": "1e-6", "completion": "5e-6"}),
            ("bare", {"prompt": "1e-6", "completion": "0"}),
        ),
        source="test",
    )
    assert [(listing.model, listing.provider, components(listing)) for listing in found] == [
        ("a/one", "openrouter", {"input_nano_usd_per_mtok": 10**9, "output_nano_usd_per_mtok": 10**9}),
        (
            "a/one-20250101",
            "openrouter",
            {"input_nano_usd_per_mtok": 2 * 10**9, "output_nano_usd_per_mtok": 5 * 10**9},
        ),
        (
            "a/two-20250101",
            "openrouter",
            {"input_nano_usd_per_mtok": 10**9, "output_nano_usd_per_mtok": 5 * 10**9},
        ),
        ("openrouter/bare", "openrouter", {"input_nano_usd_per_mtok": 10**9}),
    ]


def test_searches_have_a_rate() -> None:
    """The price of a search becomes that of a thousand."""
    (listing,) = openrouter_listings.listings(
        answer(("a/one", {"prompt": "1e-6", "completion": "1e-6", "web_search": "0.01"})), source="test"
    )
    assert listing.rates == (Rate(unit="web_searches", per=1000, nano_usd=10_000_000_000),)


@pytest.mark.parametrize(
    "body",
    [
        "<html>",
        "[]",
        '{"data": {}}',
        '{"data": [1]}',
        '{"data": [{"id": 1}]}',
        answer(("a/b", {"prompt": "cheap", "completion": "1e-6"})),
        answer(("a/b", {"prompt": "NaN", "completion": "1e-6"})),
        '{"data": [{"id": "a/b", "pricing": {"prompt": Infinity, "completion": "1"}}]}',
        answer(("a/b", {"prompt": "1", "completion": "1"})),
    ],
)
def test_what_is_no_list_of_prices_is_refused_whole(body: str) -> None:
    """Text that is not JSON, or has another shape or a price that is no number or too large, is refused."""
    with pytest.raises(ValueError, match=r".+"):
        openrouter_listings.listings(body, source="test")


def _stated(**pricing: str) -> Listing:
    """What OpenRouter says of a model at 1 and 2 USD for a million tokens."""
    (listing,) = openrouter_listings.listings(
        answer(("a/one", {"prompt": "1e-6", "completion": "2e-6", **pricing})), source="openrouter: test"
    )
    return listing


def _in_book(**changes: Any) -> Price:
    """The vendor's listing of the same: with a fee, searches, one-hour cache writes and a tier."""
    fields: dict[str, Any] = {
        "model": "a/one",
        "provider": "vendor",
        "source": "genai-prices 1: vendor one",
        "input_nano_usd_per_mtok": 10**9,
        "output_nano_usd_per_mtok": 2 * 10**9,
        "request_nano_usd": 12_000_000,
        "rates": (
            Rate(unit="web_searches", per=1000, nano_usd=10**10),
            Rate(unit="cache_write_1h_tokens", per=10**6, nano_usd=3 * 10**9),
            Rate(unit="input_tokens", per=10**6, nano_usd=4 * 10**9, input_tokens_above=200_000),
        ),
    }
    return in_book([Listing(**(fields | changes))])[0]


def test_a_price_that_has_all_that_is_stated_stays() -> None:
    """OpenRouter's silence on fees, searches and tiers takes nothing away."""
    assert openrouter_listings.completed(_stated(), [_in_book()]) is None
    assert openrouter_listings.completed(_stated(web_search="0.01", request="0.012"), [_in_book()]) is None


def test_what_is_not_stated_stays() -> None:
    """Rates that differ are OpenRouter's. All others, and their source, are the price book's."""
    price = _in_book()
    completed = openrouter_listings.completed(_stated(input_cache_read="1e-7", web_search="0.02"), [price])
    assert completed is not None
    assert completed.cached_input_nano_usd_per_mtok == 100_000_000
    assert completed.request_nano_usd == price.request_nano_usd
    assert set(completed.rates) == {
        Rate(unit="web_searches", per=1000, nano_usd=2 * 10**10),
        *price.rates[1:],
    }
    assert completed.source == "openrouter: test; what it does not state: genai-prices 1: vendor one"
    again = openrouter_listings.completed(_stated(), in_book([completed]))
    assert again is not None
    assert again.source == completed.source


@pytest.mark.parametrize(
    "pricing",
    [
        {"input_cache_read": "1e-7"},
        {"input_cache_write": "2e-6"},
        {"internal_reasoning": "3e-6"},
        {"request": "0.013"},
        {"web_search": "0.02"},
    ],
)
def test_each_stated_rate_is_compared(pricing: dict[str, str]) -> None:
    """A component that is absent on either side counts as what its parent costs."""
    assert openrouter_listings.completed(_stated(**pricing), [_in_book()]) is not None
    assert openrouter_listings.completed(_stated(input_cache_read="1e-6"), [_in_book()]) is None


def test_a_model_that_the_book_does_not_have() -> None:
    """The listing is all there is."""
    assert openrouter_listings.completed(_stated(), []) == _stated()


def test_hours_of_the_day() -> None:
    """A price that holds at some hours is OpenRouter's, too. Any other is its price for the whole day."""
    by_hour = [
        _in_book(input_nano_usd_per_mtok=5 * 10**9),
        _in_book(daily_start=time(1), daily_end=time(4)),
    ]
    assert openrouter_listings.completed(_stated(), by_hour) is None
    completed = openrouter_listings.completed(_stated(prompt="7e-6"), by_hour)
    assert completed is not None
    assert (completed.input_nano_usd_per_mtok, completed.daily_start) == (7 * 10**9, None)


def test_a_contradiction() -> None:
    """What the book has of audio does not fit to a price of cached input: both together are no price."""
    audio = (Rate(unit="input_audio_tokens", per=10**6, nano_usd=4 * 10**9),)
    with pytest.raises(ValueError, match=r"a/one: .*overlap"):
        openrouter_listings.completed(_stated(input_cache_read="1e-7"), [_in_book(rates=audio)])
