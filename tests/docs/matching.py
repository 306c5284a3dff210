"""Compares the output that a document shows with the real output.

The two must be equal line by line, with these exceptions and no other:

- `…` alone on a line matches one or more lines; within a line, one or more characters.
- A UUID matches any UUID, and a port of this machine (`127.0.0.1:50051`, `localhost:50051`) any port.
  Within one document it always matches the same one, which `Names` remembers.
- A time (`2026-11-01T00:00:00Z`) matches any time.
- White space at the end of a line is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

ELLIPSIS = "…"

_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_PORT = r"(?<=127\.0\.0\.1:)[0-9]+|(?<=localhost:)[0-9]+"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"
_VARIES = re.compile(f"(?P<uuid>{_UUID})|(?P<port>{_PORT})|(?P<time>{_TIME})|(?P<ellipsis>{ELLIPSIS})")
_ANY = {"uuid": f"({_UUID})", "port": "([0-9]+)", "time": _TIME, "ellipsis": ".+?"}


@dataclass
class Names:
    """The real UUID or port for each that the document shows. Two that differ there must also differ here."""

    real: dict[str, str] = field(default_factory=dict)

    def bound(self, shown: str, came: str) -> Names | None:
        """These names and the new pair; None if they contradict it."""
        if shown in self.real:
            return self if self.real[shown] == came else None
        return None if came in self.real.values() else Names({**self.real, shown: came})

    def typed(self, command: str) -> str:
        """The command with the real ports. UUIDs in a command stay as they are and match only themselves.

        LookupError if a port has not been shown before.
        """
        for match in re.finditer(_UUID, command):
            self.real.setdefault(match[0], match[0])
        return re.sub(_PORT, lambda match: self.real[match[0]], command)


def compare(shown: Sequence[str], came: Sequence[str], names: Names) -> str | None:
    """None if both match, and `names` then has the new pairs; otherwise the difference as text."""
    shown = _without_blank_end(shown)
    came = _without_blank_end(came)
    furthest = 0

    def match(i: int, j: int, names: Names) -> Names | None:
        nonlocal furthest
        furthest = max(furthest, i)
        if i == len(shown):
            return names if j == len(came) else None
        if shown[i].strip() == ELLIPSIS:
            for after in range(j + 1, len(came) + 1):
                if (found := match(i + 1, after, names)) is not None:
                    return found
            return None
        if j == len(came) or (bound := _bind_line(shown[i], came[j], names)) is None:
            return None
        return match(i + 1, j + 1, bound)

    found = match(0, 0, names)
    if found is not None:
        names.real.update(found.real)
        return None
    expected = repr(shown[furthest]) if furthest < len(shown) else "the end of the output"
    return f"not found: {expected}\n  what came:\n" + "\n".join(f"  | {line}" for line in came)


def _bind_line(shown: str, came: str, names: Names) -> Names | None:
    pattern = ""
    variables: list[str] = []
    end = 0
    for match in _VARIES.finditer(shown):
        kind = match.lastgroup
        assert kind is not None
        pattern += re.escape(shown[end : match.start()]) + _ANY[kind]
        if kind in ("uuid", "port"):
            variables.append(match[0])
        end = match.end()
    found = re.fullmatch(pattern + re.escape(shown[end:].rstrip()), came.rstrip())
    if found is None:
        return None
    bound: Names | None = names
    for variable, real in zip(variables, found.groups(), strict=True):
        bound = bound.bound(variable, real) if bound is not None else None
    return bound


def _without_blank_end(lines: Sequence[str]) -> Sequence[str]:
    """Drops the empty lines that separate a command's output from the next command."""
    end = len(lines)
    while end and not lines[end - 1].strip():
        end -= 1
    return lines[:end]
