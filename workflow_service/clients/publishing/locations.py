"""Which addresses in a receiver's answer may be stored and shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

import httpx

_LENGTH_MAX: Final = 2048
_ENCODED_TIMES_MAX: Final = 3


def location_in(value: object, default: str, *, secrets: Iterable[str] = ()) -> str:
    """The receiver's value if it is a plain web address that repeats none of our secrets, else the default.

    A secret is recognized in any case, with other separators, and percent-encoded.
    """
    if not isinstance(value, str) or len(value) > _LENGTH_MAX or not value.isprintable() or " " in value:
        return default
    try:
        url = httpx.URL(value)
    except httpx.InvalidURL:
        return default
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        return default
    spellings = [value]
    for _ in range(_ENCODED_TIMES_MAX):
        spellings.append(unquote(spellings[-1]))
    for secret in secrets:
        letters = _letters(secret)
        if any(secret in spelling or (letters and letters in _letters(spelling)) for spelling in spellings):
            return default
    return value


def _letters(text: str) -> str:
    """Letters and digits alone: WordPress shows application passwords in groups, and takes them without."""
    return re.sub(r"[\W_]", "", text.casefold())
