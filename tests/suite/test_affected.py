"""`make check` runs the tests that a change concerns."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.affected import RULES, affected

REPOSITORY = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("files", "folders"),
    [
        ([], []),
        (["bench/__main__.py"], []),
        (["README.md"], ["tests/docs"]),
        (["tests/budgets/test_tiers.py"], ["tests/budgets"]),
        (["tests/budgets/conftest.py", "pair/make.py"], ["tests/acceptance", "tests/budgets"]),
        (["governor_client/sync.py"], ["tests/client", "tests/executor"]),
        (["service_chassis/refusal.py", "tests/budgets/test_tiers.py"], ["tests"]),
        (["tests/conftest.py"], ["tests"]),
        (["a_new_package/x.py"], ["tests"]),
    ],
    ids=lambda value: ",".join(value) or "nothing",
)
def test_folders_of_changed_files(files: list[str], folders: list[str]) -> None:
    """A file that matches no rule concerns all tests."""
    assert affected(files) == folders


def test_rules_name_what_is_there() -> None:
    """Rules name existing files and folders; tests in a renamed folder would otherwise not run."""
    for pattern, folders in RULES:
        assert (REPOSITORY / pattern).exists(), pattern
        for folder in folders:
            assert (REPOSITORY / "tests" / folder).is_dir(), folder
