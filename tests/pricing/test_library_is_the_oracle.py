"""S5, S14: our rated cost is what genai-prices itself calculates, for every model of every provider.

Random usages, over tiers, cache lifetimes, units and variants, at every date and hour at which prices change.
Each case compares the cost of the listing that counts for the call with the package's own `calc_price` of the
same model, rounded up to a nano-USD.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product

from genai_prices.types import ModelInfo, Provider

from governor_service.domain.pricing import Rates
from governor_service.domain.rating import rated_cost_nano_usd
from governor_service.domain.usage import Usage
from governor_service.domain.usage_units import UNITS
from governor_service.listings import EARLIEST, Listing
from governor_service.listings.naming import OPENROUTER
from tests.pricing.real_prices import (
    counting,
    last_stated_units,
    library_cost_nano_usd,
    listed,
    names,
    providers,
    random_usage,
    starts,
    telling_contexts,
    telling_times,
)

FINER_THAN_A_NANO_USD = "a rate finer than a nano-USD for a million tokens is rounded up to a whole one"
TEN_SECONDS = "Groq bills at least ten seconds of audio; we rate the seconds, since no rate says this"
FEE_FOR_EACH_REQUEST = "OpenRouter does not state Perplexity's fee, and Perplexity's listing is our price"

EXCEPTIONS = {
    **dict.fromkeys(
        (
            "google/gemini-2.5-flash",
            "google/gemini-2.5-flash-image",
            "google/gemini-2.5-flash-lite",
            "google/gemini-2.5-flash-lite:batch",
            "google/gemini-2.5-flash:batch",
            "google/gemini-3-flash-preview",
            "google/gemini-3-flash-preview:batch",
            "google/gemini-3.1-flash-lite",
            "google/gemini-3.1-flash-lite:batch",
            "google/gemini-3.5-flash",
            "google/gemini-3.5-flash-lite",
            "google/gemini-3.5-flash-lite:batch",
            "google/gemini-3.5-flash:batch",
            "google/gemini-3.6-flash",
            "google/gemini-3.6-flash:batch",
            "google/gemini-3.7-flash",
            "google/gemini-3.7-flash:batch",
            "google/gemini-3.8-flash",
            "google/gemini-3.8-flash:batch",
            "huggingface_together/deepseek-ai/deepseek-v4-flash-0731",
            "huggingface_together/meta-llama/llama-3.3-70b-instruct",
            "huggingface_together/qwen/qwen3-vl-8b-instruct",
            "~google/gemini-flash-latest",
        ),
        FINER_THAN_A_NANO_USD,
    ),
    "groq/whisper-large-v3": TEN_SECONDS,
    "groq/whisper-large-v3-turbo": TEN_SECONDS,
}
"""All models of which some usage is rated otherwise, and why. `_is_expected` says by how much."""

EXCEPTIONS_AT_OPENROUTER = dict.fromkeys(
    (
        "perplexity/sonar",
        "perplexity/sonar-pro",
        "perplexity/sonar-reasoning",
        "perplexity/sonar-reasoning-pro",
    ),
    FEE_FOR_EACH_REQUEST,
)
"""The same, for what OpenRouter and the vendor sell at the same rates, compared with OpenRouter's listing."""

USAGES = 4
"""Random usages for each time and variant of a model."""


@dataclass(frozen=True)
class _Case:
    """A call, with the listing that counts for it and what the package calculates."""

    name: str
    listing: Listing
    usage: Usage
    at: datetime
    context: Mapping[str, str]
    librarys_nano_usd: int

    @property
    def dearer_nano_usd(self) -> int:
        """How much dearer our rated cost is."""
        return rated_cost_nano_usd(self.listing, self.usage) - self.librarys_nano_usd


def _models() -> Iterator[tuple[str, Provider, ModelInfo]]:
    return (
        (names()[provider.id, model.id], provider, model)
        for provider in providers()
        for model in provider.models
    )


def _priced_by(name: str, provider: Provider) -> list[Listing]:
    """The listings of a model, if this provider's prices are ours."""
    return [listing for listing in listed().get(name, []) if listing.provider == provider.id]


def _is_expected(case: _Case) -> bool:
    """Whether a case differs as its exception says, and no more."""
    if EXCEPTIONS.get(case.name) == FINER_THAN_A_NANO_USD:
        # Less than a nano-USD for each million tokens.
        return 0 < case.dearer_nano_usd <= 1 + (case.usage.input_tokens + case.usage.output_tokens) // 10**6
    if EXCEPTIONS.get(case.name) == TEN_SECONDS:
        return case.dearer_nano_usd < 0 < case.usage.other_units["audio_seconds"] < 10
    return False


def _told(seed: int, cases: list[_Case]) -> str:
    return f"seed {seed}, {len(cases)} differ: " + "; ".join(
        f"{case.name} by {case.dearer_nano_usd} at {case.at}, {case.context}, {case.usage}"
        for case in cases[:3]
    )


def test_every_rating_is_the_librarys() -> None:
    """Each model at its provider's own listing, at all times and in all variants."""
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    models, compared = 0, 0
    differing: list[_Case] = []
    for name, provider, model in _models():
        if not (prices := _priced_by(name, provider)):
            continue
        models += 1
        for at, context in product(telling_times(model, rng), telling_contexts(model, rng)):
            listing = counting(prices, context, at)
            assert listing is not None, (name, at, context)
            for _ in range(USAGES):
                usage = random_usage(rng, listing)
                librarys = library_cost_nano_usd(model, provider, usage, at, context)
                case = _Case(name, listing, usage, at, context, librarys)
                compared += 1
                if case.dearer_nano_usd:
                    differing.append(case)
    print(f"{compared:,} ratings of {models:,} models, seed {seed}: {len(differing)} differ as expected")
    unexpected = [case for case in differing if not _is_expected(case)]
    assert not unexpected, _told(seed, unexpected)
    assert listed().keys() >= EXCEPTIONS.keys()
    assert models > 2000
    assert compared > 20_000


def test_what_has_no_price_is_free() -> None:
    """We leave out what the package prices at nothing, and nothing else."""
    rng = random.Random(0)
    unpriced = [found for found in _models() if found[0] not in listed()]
    some_rates = Rates(input_nano_usd_per_mtok=1, output_nano_usd_per_mtok=1)
    for name, provider, model in unpriced:
        for at in telling_times(model, rng):
            usage = random_usage(rng, some_rates, units=sorted(UNITS))
            assert library_cost_nano_usd(model, provider, usage, at, {}) == 0, name
    assert len(unpriced) < 250


def test_2000_and_1000_tokens_cost_what_the_library_says() -> None:
    """At the provider's own listing, now, not one model differs."""
    usage = Usage(input_tokens=2000, output_tokens=1000)
    now = datetime.now(UTC)
    differing, compared = [], 0
    for name, provider, model in _models():
        if prices := _priced_by(name, provider):
            listing = counting(prices, {}, now)
            assert listing is not None, name
            compared += 1
            if rated_cost_nano_usd(listing, usage) != library_cost_nano_usd(model, provider, usage, now, {}):
                differing.append(name)
    assert differing == []
    assert compared > 2000


def test_openrouters_rates_are_the_vendors_where_the_two_are_one_model() -> None:
    """All that OpenRouter states about such a model, in its last version, is what we price it at."""
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    with_a_fee, compared = set(), set()
    for name, provider, model in _models():
        if provider.id != OPENROUTER or name not in listed() or _priced_by(name, provider):
            continue
        last = max([*starts(model), *(row.effective_time or EARLIEST for row in listed()[name])])
        listing = counting(listed()[name], {}, last)
        assert listing is not None, name
        compared.add(name)
        if listing.request_nano_usd:
            with_a_fee.add(name)
        for _ in range(10 * USAGES):
            usage = random_usage(rng, listing, units=last_stated_units(model))
            librarys = library_cost_nano_usd(model, provider, usage, last, {})
            case = _Case(name, listing, usage, last, {}, librarys)
            assert case.dearer_nano_usd == listing.request_nano_usd, _told(seed, [case])
    assert with_a_fee == EXCEPTIONS_AT_OPENROUTER.keys()
    assert len(compared) > 50
