"""Two requests with one `request_id` are the same if they mean the same."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from service_chassis.content_hash import content_hash, labels_content

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
LABELS = st.dictionaries(TEXT.filter(lambda key: "=" not in key and "\n" not in key), st.just("v"))


def test_the_hash_does_not_change_with_a_release() -> None:
    """The hash is stored, so a request that is repeated after an upgrade must have the same hash."""
    told = content_hash(
        workflow_id=UUID("7d0b8c1e-6f6a-4b52-9a51-0c1f7e1f9a11"),
        models="perplexity/sonar",
        input_tokens_max=1000,
        labels=labels_content({"team": "growth", "env": "zürich"}),
        added_later=None,
    )
    assert told.hex() == "77b4980c3ee2679f6eed9c987b755ce207e5f36c18c5d76c048f776efc99a3e9"


@given(st.dictionaries(st.sampled_from("abc"), TEXT), st.dictionaries(st.sampled_from("abc"), TEXT))
def test_other_content_has_another_hash(one: dict[str, str], other: dict[str, str]) -> None:
    """Different values have different hashes; an empty field and an unset one have the same."""
    told = [{name: content[name] for name in "abc" if content.get(name)} for content in (one, other)]
    same = told[0] == told[1]
    assert (content_hash(**told[0]) == content_hash(**told[1])) is same


@given(LABELS, LABELS)
def test_labels_have_no_order(one: dict[str, str], other: dict[str, str]) -> None:
    """Equal labels in any order have one hash; different labels have another."""
    assert labels_content(one) == labels_content(dict(reversed(one.items())))
    assert (labels_content(one) == labels_content(other)) is (one == other)
