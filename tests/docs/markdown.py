"""The fenced blocks of the project's Markdown files, and the commands that a reader would type from them.

The language after the fence says what a block is:

- `console`: a session. A line that begins with `$ ` is a command. The command continues while a quote is
  open or the line ends in a backslash. The lines up to the next command are its output.
- `python`: lines of a file in examples/.
- `text`: anything else, for example a picture.

An HTML comment `<!-- not run: REASON -->` on the line before the fence keeps a session from being run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

REPOSITORY = Path(__file__).parent.parent.parent
LANGUAGES = ("console", "python", "text")

_PROMPT = "$ "
_NOT_RUN = re.compile(r"<!-- not run: (?P<reason>.+) -->")


@dataclass(frozen=True)
class Command:
    """`line` is the command's first line in its file, from 1; `output` is its output in the document."""

    line: int
    text: str
    output: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """`line` is the fence's line, from 1. `not_run` is the reason why a session is not run, or None."""

    path: Path
    line: int
    language: str
    content: str
    not_run: str | None

    @property
    def place(self) -> str:
        return f"{self.path.relative_to(REPOSITORY)}:{self.line}"

    def commands(self) -> list[Command]:
        """The commands with their outputs; AssertionError if output comes before the first command."""
        commands: list[Command] = []
        lines = iter(enumerate(self.content.splitlines(), self.line + 1))
        for number, line in lines:
            if line.startswith(_PROMPT):
                text = line.removeprefix(_PROMPT)
                while not _is_complete(text):
                    text += "\n" + next(lines)[1]
                commands.append(Command(number, text, ()))
            else:
                assert commands, f"{self.path}:{number}: output without a command"
                last = commands[-1]
                commands[-1] = Command(last.line, last.text, (*last.output, line))
        return commands


def documents() -> list[Path]:
    """Every Markdown file that belongs to the project."""
    folders = (path for path in REPOSITORY.iterdir() if path.is_dir() and not path.name.startswith("."))
    nested = (path for folder in folders for path in folder.rglob("*.md"))
    return sorted([*REPOSITORY.glob("*.md"), *nested])


def blocks(path: Path) -> Iterator[Block]:
    source = path.read_text()
    lines = source.splitlines()
    for token in MarkdownIt().parse(source):
        if token.type == "fence":
            assert token.map is not None
            before = _NOT_RUN.fullmatch(lines[token.map[0] - 1]) if token.map[0] else None
            yield Block(
                path, token.map[0] + 1, token.info, token.content, before["reason"] if before else None
            )


def _is_complete(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:  # an open quote, or a backslash at the end
        return False
    return True
