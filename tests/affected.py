"""Prints the test folders that changed files concern: `python -m tests.affected [BASE]`.

BASE is a commit, HEAD by default. A file that matches no rule concerns all tests. The rules follow the
imports between packages: a change in a service concerns the tests of that service and of its callers.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable

GOVERNOR = ("governor", "budgets", "ledger", "pricing", "property", "client", "executor")
WORKFLOW = ("workflow", "executor", "models", "acceptance")

# The first rule whose prefix matches is used.
RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("tests/conftest.py", ("",)),
    ("tests/governor/conftest.py", ("governor", "budgets", "ledger", "pricing", "client", "executor")),
    ("tests/chassis/processes.py", ("chassis", "acceptance")),
    ("governor_service/", GOVERNOR),
    ("migrations/governor/", GOVERNOR),
    ("protos/infin8/governor/", GOVERNOR),
    ("workflow_service/", WORKFLOW),
    ("migrations/workflow/", WORKFLOW),
    ("protos/infin8/workflow/", WORKFLOW),
    ("governor_client/", ("client", "executor")),
    ("pair/", ("acceptance",)),
    ("examples/", ("acceptance", "docs")),
    ("bench/", ()),
    ("docs/", ("docs",)),
    ("README.md", ("docs",)),
    ("ARCHITECTURE.md", ("docs",)),
    ("CONTRIBUTING.md", ("docs",)),
)


def affected(files: Iterable[str]) -> list[str]:
    """The folders and files for pytest, sorted; `tests` alone means all tests."""
    found: set[str] = set()
    for file in files:
        found |= {f"tests/{folder}".rstrip("/") for folder in _folders(file)}
    return ["tests"] if "tests" in found else sorted(found)


def changed(base: str) -> list[str]:
    """Tracked files that differ from `base`, and new files that are not ignored."""
    commands = (
        ("git", "diff", "--name-only", "--no-renames", base),
        ("git", "ls-files", "--others", "--exclude-standard"),
    )
    return [
        line
        for command in commands
        for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    ]


def _folders(file: str) -> tuple[str, ...]:
    for pattern, folders in RULES:
        if file.startswith(pattern):
            return folders
    top, _, rest = file.partition("/")
    folder, slash, _ = rest.partition("/")
    return (folder,) if top == "tests" and slash else ("",)


if __name__ == "__main__":
    print(*affected(changed(sys.argv[1] if len(sys.argv) > 1 else "HEAD")))
