"""Other names of listed models: what genai-prices states word for word, and our spelling of its names.

The rules in `domain/model_names.py` look at no list. What only a list can say stands here: that `grok-4` is
`grok-4-0709`, that `gemini-flash-latest` is a certain model, that OpenRouter writes `mistral-medium-3-5` with
a dash. Only names that are stated in full count: genai-prices also matches by how an id begins and by what it
contains, and takes a distilled model for its original.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from genai_prices.types import ClauseEquals, ClauseOr, MatchLogic, ModelInfo, Provider

from governor_service.domain.model_names import candidate_names, names_from, resolve

_FIREWORKS_PATH = re.compile(r"\Aaccounts/fireworks/(?:models|routers)/")

_WRONG = frozenset(
    {
        # Mistral Medium 3 cost 0.4 and 2 USD, and Medium 3.5 costs 1.5 and 7.5 USD.
        ("mistral-direct/mistral-medium-3", "mistral-direct/mistral-medium-3-5"),
        # Claude Opus 4.1 is a model of its own, and Anthropic's listing has it.
        ("anthropic/claude-opus-4.1", "anthropic/claude-opus-4"),
        ("anthropic/claude-4.1-opus-20250805", "anthropic/claude-opus-4"),
        # OpenAI's listing takes it for GPT-5.1.
        ("openai/gpt-5.1-codex-max", "openai/gpt-5"),
        # OpenRouter lists these under their own names, the first at the price of thinking.
        ("google/gemini-2.5-flash-preview-05-20:thinking", "google/gemini-2.5-flash-preview"),
        ("openai/gpt-4o-mini-search-preview-2025-03-11", "openai/gpt-4o-mini"),
    }
)
"""Statements that do not hold: a name, and whose price it is said to have."""

_SAME_PRICE = {
    # Vertex has one price for Claude Opus 4 and 4.1. genai-prices matches 4.1 by what its id contains.
    "google/claude-opus-4-1": "google/claude-4-opus",
    # OpenAI has one price for the fine-tunes of every gpt-3.5-turbo, and genai-prices cuts its name short.
    "openai/ft:gpt-3.5-turbo": "openai/ft:gpt-3.5-turbo-",
    "openai/ft:gpt-3.5-turbo-0125": "openai/ft:gpt-3.5-turbo-",
    "openai/ft:gpt-3.5-turbo-0613": "openai/ft:gpt-3.5-turbo-",
    "openai/ft:gpt-3.5-turbo-1106": "openai/ft:gpt-3.5-turbo-",
}
"""What genai-prices does not state word for word: names, and whose prices they have."""


def alternate_names(providers: Sequence[Provider], names: Mapping[tuple[str, str], str]) -> dict[str, str]:
    """For each other name of a model in the price book, the name that has its price.

    `names`: by provider and id, what the models that have a price are called in the price book. A name that
    has a price, or that the rules lead to the same model, is left out.
    """
    priced = frozenset(names.values())
    vendors = _vendors(names)
    stated = (
        (alternate, name)
        # What OpenRouter states of its own names goes before what a vendor states.
        for provider in sorted(providers, key=lambda provider: provider.id != "openrouter")
        for model in provider.models
        if (provider.id, model.id) in names
        for alternate, name in _stated(provider.id, model, names[provider.id, model.id], vendors, priced)
        if (alternate, name) not in _WRONG
    )
    same_price = ((alternate, name) for alternate, name in _SAME_PRICE.items() if name in priced)
    found: dict[str, str] = {}
    for alternate, name in chain(same_price, stated, _spelled(priced)):
        found.setdefault(alternate, name)
    return {
        alternate: name
        for alternate, name in found.items()
        if resolve(candidate_names(alternate).names, priced.__contains__, {}) != name
        and alternate not in priced
    }


def _vendors(names: Mapping[tuple[str, str], str]) -> dict[str, str]:
    """Of the providers that sell under a vendor's name, that name as OpenRouter writes it."""
    heads = [(provider, name.split("/")[0]) for (provider, _), name in names.items()]
    listed = {head for provider, head in heads if provider == "openrouter"}
    return {provider: head for provider, head in heads if head in listed and provider != "openrouter"}


def _stated(
    provider: str, model: ModelInfo, name: str, vendors: Mapping[str, str], priced: frozenset[str]
) -> Iterator[tuple[str, str]]:
    model_id = _lower(model.id)
    for stated in _equals(model.match):
        alternate = _FIREWORKS_PATH.sub("", _lower(stated))
        if alternate == model_id:
            continue
        if provider == "openrouter":
            # Its ids without a vendor are ambiguous.
            if "/" in alternate:
                yield alternate, name
        elif provider not in vendors:
            # Bedrock's own rules know its regions.
            if provider != "aws":
                yield f"{provider}/{alternate}", name
        elif "/" not in alternate or alternate.startswith("@cf/"):
            if name.startswith(f"{provider}-direct/"):
                yield f"{provider}-direct/{alternate}", name
            # `gemini-flash-latest` names the same model at every seller. Other names are only this vendor's.
            same = f"{vendors[provider]}/{model_id}"
            whoever = alternate.endswith("-latest") or _spelling(alternate) == _spelling(model_id)
            yield f"{vendors[provider]}/{alternate}", same if whoever and same in priced else name


def _spelled(priced: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Names in the price book as the rules write them. Bedrock's go without version and date."""
    meant: dict[str, set[str]] = {}
    for name in sorted(priced):
        for spelled in _bedrock_forms(name) if name.startswith("aws/") else [_spelling(name)]:
            meant.setdefault(spelled, set()).add(name)
    return ((spelled, names.pop()) for spelled, names in meant.items() if len(names) == 1)


def _spelling(name: str) -> str:
    """A name, with or without its vendor, as the rules write it."""
    ((spelled, _),) = names_from("spelling", f" {name} ")
    return spelled


def _bedrock_forms(name: str) -> list[str]:
    """A Bedrock model's name, then without its version, then without its date."""
    return [form for form, _ in names_from("bedrock form", f" {name} ")]


def _equals(clause: MatchLogic) -> Iterator[str]:
    if isinstance(clause, ClauseEquals):
        yield clause.equals
    elif isinstance(clause, ClauseOr):
        for part in clause.or_:
            yield from _equals(part)


def _lower(model_id: str) -> str:
    return "-".join(model_id.lower().split())
