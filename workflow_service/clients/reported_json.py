"""JSON as providers send it: what cannot be read is None, and numbers stay exact. Pure."""

import json
from decimal import Decimal
from typing import Any, Never


def json_of(body: bytes) -> object:
    """None if `body` is not JSON."""
    try:
        value: object = json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, ArithmeticError, RecursionError):  # includes bad UTF-8, and numbers that are too long
        return None
    return value


def object_of(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def text_of(content: object) -> str:
    """The text of a message's content: a text, or a list of parts, of which the text parts count.

    A part is a text, or {"type": "text", "text": …}. Thoughts, images, tool calls and others have no text.
    """
    parts = content if isinstance(content, list) else [content]
    return "".join(_text_of_part(part) for part in parts)


def _text_of_part(part: object) -> str:
    if isinstance(part, dict) and part.get("type", "text") in ("text", "output_text"):
        part = part.get("text")
    return part if isinstance(part, str) else ""


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")
