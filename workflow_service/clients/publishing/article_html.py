"""Articles as HTML that does nothing: a model wrote them, so none of their text is code.

Markdown and plain lines go through the same escapes. Whatever the text says, it adds no script, and WordPress
finds no shortcode in it and no address that it would fetch and embed.
"""

from __future__ import annotations

import html
import re
from typing import Final

from markdown_it import MarkdownIt

_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False})
_BRACKETS: Final = str.maketrans({"[": "&#91;", "]": "&#93;"})
# WordPress fetches and embeds an address that has a line or a paragraph of its own.
_ADDRESS_ALONE: Final = re.compile(
    r"^([ \t]*(?:<[^>\n]*>[ \t]*)*https?):(?=//)", re.MULTILINE | re.IGNORECASE
)


def html_of_markdown(markdown: str) -> str:
    """HTML in the Markdown is shown as text, and links cannot run scripts."""
    return _inert(_MARKDOWN.render(markdown))


def html_of_line(text: str) -> str:
    """A title or an excerpt."""
    return _inert(html.escape(text, quote=False))


def _inert(escaped: str) -> str:
    # A bracket is never part of HTML's own syntax here, so it may be an entity everywhere.
    return _ADDRESS_ALONE.sub(r"\1&#58;", escaped.translate(_BRACKETS))
