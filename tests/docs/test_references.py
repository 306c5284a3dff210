"""The targets that a document refers to exist, and each decision record has the required form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.docs.markdown import REPOSITORY, documents

DECISIONS = REPOSITORY / "docs" / "decisions"
_RECORDS = sorted(DECISIONS.glob("[0-9]*.md"))
_HEADINGS = ["## Context", "## Decision", "## Consequence"]


def _inline(path: Path, kind: str) -> Iterator[str]:
    """The targets of links (`link_open`) or the texts in backticks (`code_inline`)."""
    for token in MarkdownIt("commonmark").enable("table").parse(path.read_text()):
        for child in token.children or ():
            if child.type == kind:
                yield str(child.attrGet("href")) if kind == "link_open" else child.content


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_and_paths_lead_somewhere(path: Path) -> None:
    """A link is relative to its document; a path in backticks is relative to the root."""
    for link in _inline(path, "link_open"):
        if not link.startswith("https://"):
            assert (path.parent / link).exists(), link
    top = {entry.name for entry in REPOSITORY.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    for text in _inline(path, "code_inline"):
        if text.partition("/")[0] in top and re.fullmatch(r"[\w./-]+", text):
            assert (REPOSITORY / text).exists(), text


@pytest.mark.parametrize("record", _RECORDS, ids=lambda record: record.stem[:4])
def test_a_record_has_its_form(record: Path) -> None:
    lines = record.read_text().splitlines()
    assert 15 <= len(lines) <= 40
    assert lines[0].startswith(f"# {record.name[:4]} ")
    assert [line for line in lines if line.startswith("## ")] == _HEADINGS


def test_the_index_has_each_record_once() -> None:
    listed = re.findall(r"^\| \[\d{4}\]\((.+)\) \| (.+) \|$", (DECISIONS / "README.md").read_text(), re.M)
    titles = [(record.name, record.read_text().splitlines()[0][7:]) for record in _RECORDS]
    assert listed == titles
    assert len({record.name[:4] for record in _RECORDS}) == len(_RECORDS)


def test_the_architecture_is_short() -> None:
    assert len((REPOSITORY / "ARCHITECTURE.md").read_text().splitlines()) < 200
