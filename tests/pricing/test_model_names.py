"""S18, S19: every variant of a model's id has one canonical name, and the steps say how it was found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor_service.domain.model_names import canonical_model


@pytest.mark.parametrize(
    ("model_id", "model", "steps"),
    [
        ("openai/gpt-4o-mini", "openai/gpt-4o-mini", ()),
        ("openai/gpt-4o-mini@azure", "openai/gpt-4o-mini", ("provider @azure",)),
        ("z-ai/glm-4.7-20251222", "z-ai/glm-4.7", ("date -20251222",)),
        ("openai/gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini", ("date -2024-07-18",)),
        ("deepseek/deepseek-r1:free", "deepseek/deepseek-r1", ("variant :free",)),
        ("perplexity/sonar:online", "perplexity/sonar", ("variant :online",)),
        ("x-ai/grok-4-fast:nitro", "x-ai/grok-4-fast", ("variant :nitro",)),
        ("qwen/qwen-plus-2025-07-28:thinking", "qwen/qwen-plus", ("variant :thinking", "date -2025-07-28")),
        (
            "z-ai/glm-5-20260211:free@novita",
            "z-ai/glm-5",
            ("variant :free", "provider @novita", "date -20260211"),
        ),
        ("z-ai/glm-5@novita:free", "z-ai/glm-5", ("provider @novita", "variant :free")),
        ("anthropic/claude-3.5-sonnet@20240620", "anthropic/claude-3.5-sonnet", ("provider @20240620",)),
        (" OpenAI/GPT-4o-mini\n", "openai/gpt-4o-mini", ("whitespace", "case")),
        ("~anthropic/claude-opus-latest", "~anthropic/claude-opus-latest", ()),
        # A family that only one vendor has.
        ("gpt-4o-mini", "openai/gpt-4o-mini", ("vendor openai/",)),
        ("gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini", ("date -2024-07-18", "vendor openai/")),
        ("o3-mini", "openai/o3-mini", ("vendor openai/",)),
        ("sonar", "perplexity/sonar", ("vendor perplexity/",)),
        ("grok-4-fast", "x-ai/grok-4-fast", ("vendor x-ai/",)),
        # Families that several vendors may have.
        ("glm-4-32b", "glm-4-32b", ()),
        ("gpt-j-6b", "gpt-j-6b", ()),
        ("olmo-3", "olmo-3", ()),
        # Numbers that belong to the name: listings price these models separately.
        ("deepseek/deepseek-r1-0528", "deepseek/deepseek-r1-0528", ()),
        ("qwen/qwen3-235b-a22b-2507", "qwen/qwen3-235b-a22b-2507", ()),
        ("openai/gpt-3.5-turbo-0125", "openai/gpt-3.5-turbo-0125", ()),
        ("cohere/command-r-08-2024", "cohere/command-r-08-2024", ()),
        ("perplexity/r1-1776", "perplexity/r1-1776", ()),
        # Not a date, or not at the end of the name.
        ("vendor/model-20251322", "vendor/model-20251322", ()),
        ("vendor/model-2024-0718", "vendor/model-2024-0718", ()),
        ("vendor/model-202407181", "vendor/model-202407181", ()),
        ("openai/gpt-4o-mini-2024-07-18.ft-x", "openai/gpt-4o-mini-2024-07-18.ft-x", ()),
        ("vendor/-20240718", "vendor/-20240718", ()),
        # An empty result is the name of no model, so it is unpriced.
        (":free", "", ("variant :free",)),
        ("", "", ()),
    ],
)
def test_resolution(model_id: str, model: str, steps: tuple[str, ...]) -> None:
    """Each id has the name in the second column, by the steps in the third."""
    resolution = canonical_model(model_id)
    assert (resolution.model, resolution.steps) == (model, steps)


_PARTS = st.sampled_from(
    [
        "openai/",
        "gpt-4o",
        "-mini",
        "-20240718",
        "-2024-07-18",
        "@azure",
        ":free",
        " ",
        "\n",
        "A",
        "/",
        "-",
        "İ",
    ]
)


@given(st.lists(_PARTS, max_size=8).map("".join) | st.text(max_size=40))
def test_canonical_names_stay(model_id: str) -> None:
    """A canonical name resolves to itself without steps."""
    model = canonical_model(model_id).model
    again = canonical_model(model)
    assert (again.model, again.steps) == (model, ())


@given(
    st.sampled_from(["openai/gpt-4o-mini", "perplexity/sonar", "z-ai/glm-4.7"]),
    st.sampled_from(["", "-20251222", "-2024-07-18"]),
    st.sampled_from(["", ":free", ":thinking", "@azure", "@azure:free", ":free@azure"]),
    st.booleans(),
)
def test_every_variant_is_one_model(model: str, date: str, tail: str, upper: bool) -> None:
    """Date, variant, provider and case in any combination do not change the name."""
    model_id = model + date + tail
    assert canonical_model(model_id.upper() if upper else model_id).model == model
