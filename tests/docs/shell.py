"""A shell as in a reader's terminal: variables stay set from one command to the next."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from tests.docs.markdown import REPOSITORY


class Shell:
    """bash in the repository's root. Its standard error goes to its standard output."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=REPOSITORY,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self) -> Shell:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bash.kill()
        self._bash.wait()
        for stream in (self._bash.stdin, self._bash.stdout):
            if stream is not None:
                stream.close()

    def run(self, command: str) -> list[str]:
        """The lines that the command prints. Its standard input is empty."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        end = uuid4().hex
        self._bash.stdin.write(f"{{ {command}\n}} </dev/null\necho; echo {end}\n")
        self._bash.stdin.flush()
        lines: list[str] = []
        for line in self._bash.stdout:
            if line.strip() == end:
                # The empty line before the mark is ours, or ends a last line without a line break.
                return lines[:-1] if lines and not lines[-1] else lines
            lines.append(line.rstrip("\n"))
        raise AssertionError(f"the shell ended in: {command}")


def with_first_on_path(directory: Path | None, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with `directory` first on PATH."""
    if directory is None:
        return dict(environment)
    return {**environment, "PATH": f"{directory}{os.pathsep}{environment['PATH']}"}
