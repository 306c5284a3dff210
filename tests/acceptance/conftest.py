"""One real pair, shared by the tests that only call it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.served_pair import ServedPair, served_pair
from tests.conftest import directory


@pytest.fixture(scope="session")
def pair() -> Iterator[ServedPair]:
    with directory() as made, served_pair(made / "pair") as pair:
        yield pair
