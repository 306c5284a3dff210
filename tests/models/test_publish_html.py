"""Whatever a model writes into title, excerpt or body reaches WordPress as text, not as code."""

from __future__ import annotations

import re

import pytest

from workflow_service.clients.publishing.article_html import html_of_line, html_of_markdown

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- wp:html --><script>alert(1)</script><!-- /wp:html -->",
    "</title><script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
]
ELEMENTS = {"p", "em", "strong", "a", "code", "pre", "h1", "h2", "ul", "li", "img", "hr", "br", "blockquote"}


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_is_shown_as_text(text: str) -> None:
    """Titles, excerpts and bodies have no element and no comment of the model's."""
    assert "<" not in html_of_line(text)
    assert set(re.findall(r"<[/!]*([a-z0-9-]*)", html_of_markdown(text))) <= ELEMENTS


def test_an_entity_stays_what_the_text_says() -> None:
    """Text that looks like an entity is shown as it is written; quotes need no escape outside a tag."""
    assert html_of_line('A "practical" guide & <more>') == 'A "practical" guide &amp; &lt;more&gt;'
    assert html_of_line("&lt;") == "&amp;lt;"


@pytest.mark.parametrize(
    "text",
    [
        "[gallery]",
        '[embed]https://evil.example/[/embed] and [audio src="x"]',
        "[[gallery]]",
        "`[gallery]`",
        "    [gallery]",
        "```[gallery]\n[gallery]\n```",
        '[text](https://a.example "[gallery]")',
        '![[gallery]](https://a.example/[gallery] "[gallery]")',
        "\\[gallery\\]",
        "&#91;gallery&#93;",
        "&lbrack;gallery&rbrack;",
    ],
)
def test_a_shortcode_is_inert(text: str) -> None:
    """No bracket is left that WordPress could take for a shortcode, in text, code or attributes."""
    for html in (html_of_line(text), html_of_markdown(text)):
        assert "[" not in html
        assert "]" not in html


@pytest.mark.parametrize(
    "text", ["[x](javascript:alert(1))", "[x](data:text/html,x)", "<javascript:alert(1)>"]
)
def test_a_link_runs_nothing(text: str) -> None:
    """Links with other schemes than the web's are shown as text."""
    assert "href" not in html_of_markdown(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/video",
        "Text\nhttps://evil.example/video\nmore",
        "- https://evil.example/video",
        "> HTTPS://evil.example/video",
        "    https://evil.example/video",
    ],
)
def test_an_address_alone_is_not_embedded(text: str) -> None:
    """WordPress fetches an address that has a line or paragraph of its own; here it is text."""
    alone = re.compile(r"^\s*(?:<p[^>]*>\s*)?https?://[^\s<>\"]+", re.IGNORECASE | re.MULTILINE)
    assert not alone.search(html_of_markdown(text))
    assert "evil.example/video" in html_of_markdown(text)


def test_ordinary_text_stays_readable() -> None:
    """Links, images, lists and code are what they were."""
    html = html_of_markdown(
        "See [a](https://a.example/x?y=1&z=2).\n\n- *one*\n\n![i](https://a.example/i.png)"
    )
    assert '<a href="https://a.example/x?y=1&amp;z=2">a</a>' in html
    assert "<li><em>one</em></li>" in html
    assert '<img src="https://a.example/i.png" alt="i" />' in html
