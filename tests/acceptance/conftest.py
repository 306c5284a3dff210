"""One real pair for the tests that only call it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.served_pair import ServedPair, served_pair


@pytest.fixture(scope="session")
def pair(scratch_dir: Path) -> Iterator[ServedPair]:
    with served_pair(scratch_dir / "pair") as pair:
        yield pair
