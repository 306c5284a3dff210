"""Which characters a text may have: a name is one line, free text may have several lines."""

from __future__ import annotations

import re
from typing import Final

REASON_LENGTH_MAX: Final = 1024
"""The maximum length of a reason, a source or a message, in characters, in every request."""

# They change the order in which a text is shown: embeddings, overrides, isolates and marks.
_BIDI: Final = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
NOT_IN_A_LINE: Final = re.compile(f"[\0-\x1f\x7f-\x9f{_BIDI}]")
# Tabs, line feeds, and carriage returns before line feeds are accepted. A lone carriage return is not: a
# terminal would overwrite the line.
NOT_IN_LINES: Final = re.compile(f"[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f{_BIDI}]|\r(?!\n)")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_REPLACEMENT: Final = "\ufffd"


def what_is_unfit(found: re.Match[str]) -> str:
    """Describes the character that NOT_IN_A_LINE or NOT_IN_LINES has found."""
    kind = "bidirectional control" if found[0] in _BIDI else "control character"
    return f"has the {kind} U+{ord(found[0]):04X}"


def as_free_text(text: str, *, length_max: int = REASON_LENGTH_MAX) -> str:
    """Any text, such as an exception's, made acceptable: shortened, and unfit characters replaced."""
    if len(text) > length_max:
        text = text[: length_max - 1] + "…"
    return _SURROGATE.sub(_REPLACEMENT, NOT_IN_LINES.sub(_REPLACEMENT, text))
