"""S18, S19: every id under which people send a model leads to its price, and no id to another model's."""

from collections.abc import Set
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor_service.domain.model_names import NAMES_MAX, candidate_names, is_priceable, resolve
from governor_service.listings.genai_prices_listings import package_list
from tests.pricing.real_prices import listed, names

UNPRICED = "UNPRICED"


def priced_names() -> Set[str]:
    """The names that have a price in a price book that was filled from genai-prices."""
    return listed().keys()


@cache
def alternate_names() -> dict[str, str]:
    """Other names of the models in it."""
    return dict(package_list().alternate_names)


def resolved(model_id: str) -> str:
    """The name whose price that price book has for an id, or UNPRICED."""
    name = resolve(candidate_names(model_id).names, priced_names().__contains__, alternate_names())
    return name if name in priced_names() else UNPRICED


def real_ids() -> list[tuple[str, str]]:
    """The rows of model_ids.tsv: an id, what it resolves to, and where it was seen."""
    text = Path(__file__).with_name("model_ids.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    return [(model_id, expected) for model_id, expected, _seen in rows]


@pytest.mark.parametrize(("model_id", "expected"), real_ids())
def test_real_ids(model_id: str, expected: str) -> None:
    """An id that people really send resolves to the model that it means, or is unpriced."""
    assert resolved(model_id) == expected


def test_the_table_is_large_and_names_no_id_twice() -> None:
    """At least 230 ids, of which at least 25 that nobody can resolve."""
    ids = [model_id for model_id, _ in real_ids()]
    assert len(ids) == len(set(ids)) >= 230
    assert sum(expected == UNPRICED for _, expected in real_ids()) >= 25


@pytest.mark.parametrize("model_id", [model_id for model_id, _ in real_ids()])
def test_real_ids_have_few_names(model_id: str) -> None:
    """No real id has so many names that some are left out."""
    assert len(candidate_names(model_id).names) < NAMES_MAX


@pytest.mark.parametrize(
    ("model_id", "name", "steps"),
    [
        ("openai/gpt-4o-mini", "openai/gpt-4o-mini", ()),
        ("openai/gpt-4o-mini@azure", "openai/gpt-4o-mini", ("provider @azure",)),
        ("z-ai/glm-4.7-20251222", "z-ai/glm-4.7", ("date -20251222",)),
        ("deepseek/deepseek-r1:free", "deepseek/deepseek-r1", ("variant :free",)),
        (
            "z-ai/glm-5-20260211:free@novita",
            "z-ai/glm-5",
            ("provider @novita", "variant :free", "date -20260211"),
        ),
        (" OpenAI/GPT-4o-mini\n", "openai/gpt-4o-mini", ("whitespace", "case")),
        ("gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini", ("date -2024-07-18", "vendor openai/")),
        (
            "claude-4.6-opus-20260205",
            "anthropic/claude-opus-4.6",
            ("date -20260205", "spelling claude-4.6-opus → claude-opus-4.6", "vendor anthropic/"),
        ),
        (
            "us.anthropic.claude-opus-4-5-20251101-v1:0",
            "aws/regional.anthropic.claude-opus-4-5",
            ("region us.", "version -v1:0", "date -20251101", "vendor aws/regional.anthropic."),
        ),
        ("azure/gpt-4o", "openai/gpt-4o", ("prefix azure/", "vendor openai/")),
        (
            "vertex_ai/claude-opus-4-1@20250805",
            "google/claude-opus-4-1",
            ("prefix vertex_ai/", "version @20250805", "vendor google/"),
        ),
        (
            "ft:gpt-4.1-2025-04-14:acme::abc",
            "openai/ft:gpt-4.1",
            ("fine-tune of gpt-4.1-2025-04-14", "date -2025-04-14", "vendor openai/ft:"),
        ),
        ("glm-4-32b", "glm-4-32b", ()),
    ],
)
def test_steps(model_id: str, name: str, steps: tuple[str, ...]) -> None:
    """Each name knows the steps that led from the id to it."""
    resolution = candidate_names(model_id)
    assert resolution.steps_of(resolution.names.index(name)) == steps


@pytest.mark.parametrize(
    ("model_id", "names"),
    [
        # The longer name first: it may be dearer.
        ("openai/gpt-4o-2024-05-13", ("openai/gpt-4o-2024-05-13", "openai/gpt-4o")),
        ("openai/gpt-4o:extended", ("openai/gpt-4o:extended", "openai/gpt-4o")),
        (
            "openai/gpt-4o-2024-05-13:extended",
            (
                "openai/gpt-4o-2024-05-13:extended",
                "openai/gpt-4o:extended",
                "openai/gpt-4o-2024-05-13",
                "openai/gpt-4o",
            ),
        ),
        # The vendor's own API, then as OpenRouter names it.
        (
            "gemini/gemini-2.5-pro",
            ("gemini/gemini-2.5-pro", "google-direct/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ),
        ("xai/grok-4", ("xai/grok-4", "x-ai-direct/grok-4", "x-ai/grok-4")),
        # Others host open weights at prices of their own.
        ("groq/openai/gpt-oss-120b", ("groq/openai/gpt-oss-120b",)),
        ("azure_ai/gpt-oss-120b", ("azure_ai/gpt-oss-120b", "azure/gpt-oss-120b")),
        # Numbers that belong to the name.
        ("deepseek/deepseek-r1-0528", ("deepseek/deepseek-r1-0528",)),
        ("mistralai/ministral-3-3b", ("mistralai/ministral-3-3b",)),
        ("deepseek-r1:70b", ("deepseek-r1:70b", "deepseek/deepseek-r1:70b")),
        # A size is no variant, and a colon not always one.
        ("mycorp:gpt-4o", ("mycorp:gpt-4o",)),
        # Names that may belong to several vendors, and ids that say no model.
        ("glm-4-32b", ("glm-4-32b",)),
        ("openrouter/auto", ("openrouter/auto",)),
        ("openrouter/gpt-4o", ("openrouter/gpt-4o", "openai/gpt-4o")),
        (
            "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/hq2of259skzs",
            ("arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/hq2of259skzs",),
        ),
        # Not a date, or not at the end of a name.
        ("vendor/model-20251322", ("vendor/model-20251322",)),
        ("vendor/-20240718", ("vendor/-20240718",)),
        (":free", (":free",)),
        ("", ("",)),
    ],
)
def test_names(model_id: str, names: tuple[str, ...]) -> None:
    """The names that an id may have, in this order."""
    assert candidate_names(model_id).names == names


def test_a_name_with_a_price_is_itself() -> None:
    """No rule leads from a name that has a price to another: none becomes cheaper by what is taken off."""
    for name in priced_names():
        assert is_priceable(name)
        for written in (name, name.upper(), f"  {name}\n", f"litellm_proxy/{name}"):
            assert resolved(written) == name
        if ("openrouter", name) in names():
            assert resolved(f"openrouter/{name}") == name


def test_what_is_stated_holds() -> None:
    """Every other name of a model leads to a price, in one step, and hides none."""
    for alternate, name in alternate_names().items():
        assert name in priced_names()
        assert alternate not in priced_names()
        assert resolved(alternate) == name


def test_bare_names_of_vendors() -> None:
    """A model that only its vendor lists has one price, whether the vendor is written or not."""
    sold = {
        "openai": "openai",
        "anthropic": "anthropic",
        "x-ai": "x-ai",
        "cohere": "cohere",
        "mistral": "mistralai",
    }
    found = 0
    for (provider, _), name in names().items():
        vendor, _, bare = name.rpartition("/")
        if vendor == sold.get(provider) and name in priced_names() and resolved(bare) != UNPRICED:
            assert resolved(bare) == name
            found += 1
    assert found > 150


_WORDS = (
    "openai/ azure/ bedrock/ openrouter/ models/ arn:aws:bedrock:us-east-1::foundation-model/ us. anthropic. "
    "claude- gpt-4o -4-6 -opus -mini -20240718 -2024-07-18 -latest -v1 :0 @azure @20250514 :free ft: A / - İ"
)
_PARTS = st.sampled_from([*_WORDS.split(), " ", "\n"])
_IDS = st.lists(_PARTS, max_size=10).map("".join) | st.text(max_size=60)


@given(_IDS)
def test_any_id(model_id: str) -> None:
    """Any id has from one to ten names, all different, the id itself first. The last one is stable."""
    resolution = candidate_names(model_id)
    assert 1 <= len(resolution.names) <= NAMES_MAX
    assert len(set(resolution.names)) == len(resolution.names) == len(resolution.steps_by_name)
    if model_id.isascii():
        assert resolution.names[0] == "-".join(model_id.lower().split())
    assert all(candidate_names(name).names[0] == name for name in resolution.names)
    last = candidate_names(resolution.names[-1])
    assert last.names[-1] == resolution.names[-1]


@given(_IDS.filter(str.isascii))
def test_case_and_outer_white_space_do_not_matter(model_id: str) -> None:
    """The same names, however an id is written."""
    names = candidate_names(model_id).names
    assert candidate_names(model_id.upper()).names == names
    assert candidate_names(f"\t{model_id} ").names == names


@pytest.mark.parametrize(
    "model_id",
    [
        part * times
        for times in (20, 10_000)
        for part in (
            "-latest",
            "a-20240718",
            "4-5",
            "claude-4-opus-",
            ":",
            "@",
            "/",
            "models/",
            "openrouter/",
        )
    ]
    + [part * times for times in (20, 10_000) for part in ("us.", "ft:", "-4-0", "a", "1-", ":a", "x@y:z/")],
)
def test_hostile_ids_end(model_id: str) -> None:
    """No id takes long or has many names."""
    assert len(candidate_names(model_id).names) <= NAMES_MAX


def test_resolve_prefers_the_first_name() -> None:
    """An alias counts like a price, at its place among the names; without either the last name stands."""
    names = candidate_names("openai/gpt-4o-2024-05-13").names
    assert resolve(names, {"openai/gpt-4o"}.__contains__, {}) == "openai/gpt-4o"
    aliased = {"openai/gpt-4o-2024-05-13": "acme/model"}
    assert resolve(names, {"openai/gpt-4o"}.__contains__, aliased) == "acme/model"
    later = {"openai/gpt-4o": "acme/model"}
    assert resolve(names, {"openai/gpt-4o-2024-05-13"}.__contains__, later) == "openai/gpt-4o-2024-05-13"
    assert resolve(names, frozenset().__contains__, {}) == "openai/gpt-4o"
