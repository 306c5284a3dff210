"""WordPress gets each article once, whatever answers are lost; the password goes to its own site only."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from tests.models.http_server import answer, serving
from tests.models.published import (
    ARTICLE,
    DELIVERY,
    KEY,
    ORGANIZATION,
    OTHER_ORGANIZATION,
    SLUG,
    deliver,
    hosting,
    no_waits,
)
from tests.models.wordpress import WordPress
from workflow_service.clients.publishing.delivery import Delivery, PublishFailed
from workflow_service.clients.publishing.wordpress import WordPressAccount
from workflow_service.domain.workflow import PublishKind, PublishTarget

__all__ = ["no_waits"]
pytestmark = pytest.mark.usefixtures("no_waits")

PASSWORD = "abcd EFGH ijkl"


async def post(
    account_url: str, target_url: str | None = None, delivery: Delivery = DELIVERY, **account: Any
) -> str:
    target = PublishTarget(PublishKind.WORDPRESS, target_url or account_url)
    accounts = [WordPressAccount(account_url, "editor", PASSWORD, **account)]
    return await deliver(target, delivery, wordpress_accounts=accounts)


async def test_the_post() -> None:
    """The post has slug, key, and HTML without the model's markup; a repetition finds it."""
    site = WordPress()
    async with hosting(site.app) as origin:
        location = await post(f"{origin}/blog/")
        assert location == f"https://blog.example/{SLUG}/"
        assert await post(f"{origin}/blog") == location
    (stored,) = site.posts
    assert (stored["title"], stored["slug"], stored["status"]) == (ARTICLE.title, SLUG, "publish")
    assert "<h2>Heading</h2>" in stored["content"]
    assert "<em>text</em>" in stored["content"]
    assert "<script" not in stored["content"]
    assert 'href="javascript' not in stored["content"]
    assert KEY.hex in stored["content"]
    credentials = base64.b64encode(f"editor:{PASSWORD}".encode()).decode()
    assert {request.headers["authorization"] for request in site.requests} == {f"Basic {credentials}"}
    assert [request.method for request in site.requests].count("POST") == 1


async def test_title_and_excerpt_are_text() -> None:
    """What a model wrote into title or excerpt is no element and no shortcode on the site."""
    text = "<script>alert(1)</script> [gallery]"
    hostile = replace(DELIVERY, article=ARTICLE.model_copy(update={"title": text, "meta_description": text}))
    site = WordPress()
    async with hosting(site.app) as origin:
        await post(f"{origin}/blog", delivery=hostile)
    (stored,) = site.posts
    for field in ("title", "excerpt"):
        assert stored[field] == "&lt;script&gt;alert(1)&lt;/script&gt; &#91;gallery&#93;"


@pytest.mark.parametrize("renames_slugs", [False, True])
@pytest.mark.parametrize("may_list_drafts", [False, True])
@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_lost_answers(renames_slugs: bool, may_list_drafts: bool, lost: int) -> None:
    """After lost answers the post is found by our key, and no second one is made."""
    site = WordPress(renames_slugs=renames_slugs, may_list_drafts=may_list_drafts, fails_after_posting=lost)
    async with hosting(site.app) as origin:
        location = await post(f"{origin}/blog")
    (stored,) = site.posts
    assert location == f"https://blog.example/{stored['slug']}/"


@pytest.mark.parametrize("status", ["draft", "pending", "private", "future"])
async def test_a_post_that_is_not_public_is_not_posted_again(status: str) -> None:
    """What the site, or a person, keeps back counts as delivered, also after a lost answer."""
    site = WordPress(renames_slugs=True, status_of_posts=status, fails_after_posting=1)
    async with hosting(site.app) as origin:
        await post(f"{origin}/blog")
        await post(f"{origin}/blog")
    assert len(site.posts) == 1


async def test_a_site_that_is_away_gets_the_article_in_a_later_run() -> None:
    """If every answer is lost, the failure is temporary, and the next run finds the post."""
    site = WordPress(renames_slugs=True)
    async with serving(answer(503, b"")) as server:
        with pytest.raises(PublishFailed, match="WordPress answered 5xx") as raised:
            await post(server.base_url)
        assert raised.value.is_temporary
        assert len(server.received) == 4
    async with hosting(site.app) as origin:
        await post(f"{origin}/blog")
    assert len(site.posts) == 1


@pytest.mark.parametrize("renames_slugs", [False, True])
async def test_two_at_once(renames_slugs: bool) -> None:
    """Of two posts of concurrent deliveries the later one is deleted, and both deliveries name the other."""
    site = WordPress(renames_slugs=renames_slugs)
    async with hosting(site.app) as origin:
        await post(f"{origin}/blog")
        (rival,) = site.posts
        site.posts = []
        site.rival = {name: rival[name] for name in ("title", "slug", "excerpt", "content")}
        location = await post(f"{origin}/blog")
    (stored,) = site.posts
    assert stored["id"] == 100
    assert location == f"https://blog.example/{stored['slug']}/"


async def test_other_posts_are_not_taken_for_ours() -> None:
    """A site whose search finds everything does not make us take another post for the article."""
    other = {"title": "Other", "slug": "other", "excerpt": "", "content": "Other text."}
    async with serving(
        answer(200, json.dumps([{**other, "id": 1, "link": "https://blog.example/other/"}]).encode()),
        answer(200, json.dumps([{**other, "id": 1, "link": "https://blog.example/other/"}]).encode()),
        answer(201, {"id": 2, "slug": "renamed", "link": "https://blog.example/renamed/"}),
        answer(200, b"[]"),
    ) as server:
        assert await post(server.base_url) == "https://blog.example/renamed/"


@pytest.mark.parametrize(
    "link",
    [
        f"https://editor:{quote(PASSWORD)}@blog.example/a/",
        f"https://blog.example/?key={quote(PASSWORD)}",
        f"https://blog.example/?key={quote(quote(PASSWORD))}",
        "https://blog.example/abcdefghijkl/",
        "https://blog.example/a?k=ABCD-efgh+ijkl",
        "https://blog.example/" + base64.b64encode(f"editor:{PASSWORD}".encode()).decode(),
        "https://editor@blog.example/",
        "javascript:alert(1)",
        "/relative",
        "https://blog.example/" + "a" * 3000,
        "https://blog.example/a b",
        "https://blog.example/\u202e",
        "https://[::1",
    ],
)
async def test_a_link_that_is_not_to_be_stored(link: str) -> None:
    """A link with credentials, or that is no plain address, gives way to one of our own making."""
    site = WordPress(link=link)
    async with hosting(site.app) as origin:
        assert await post(f"{origin}/blog") == f"{origin}/blog/?p=100"
        assert await post(f"{origin}/blog") == f"{origin}/blog/?p=100"


async def test_the_password_stays_with_its_site() -> None:
    """A target without an account gets no request, also on the same host under another path."""
    site = WordPress()
    async with hosting(site.app) as origin:
        for target in (f"{origin}/other", f"{origin}.evil.example/blog", "https://blog.example"):
            with pytest.raises(PublishFailed, match="no account is set") as raised:
                await post(f"{origin}/blog", target)
            assert not raised.value.is_temporary
    assert site.requests == []
    assert "abcd" not in repr(WordPressAccount("https://blog.example", "editor", PASSWORD))


async def test_an_account_of_some_organizations_is_not_used_for_others() -> None:
    """Another organization that names the site has no account there, and nothing is sent."""
    site = WordPress()
    async with hosting(site.app) as origin:
        theirs = replace(DELIVERY, organization_id=OTHER_ORGANIZATION)
        own = frozenset({ORGANIZATION})
        with pytest.raises(PublishFailed, match="no account is set"):
            await post(f"{origin}/blog", delivery=theirs, organization_ids=own)
        assert site.requests == []
        await post(f"{origin}/blog", organization_ids=own)
    assert len(site.posts) == 1


@pytest.mark.parametrize(
    ("raw", "message", "is_temporary"),
    [
        (
            answer(401, {"code": "incorrect_password", "message": "secret text"}),
            "WordPress answered 4xx",
            False,
        ),
        (answer(404, b"secret text"), "WordPress answered 4xx", False),
        (answer(301, b"", {"Location": "http://127.0.0.1:1/"}), "WordPress answered 3xx, a redirect", False),
        (answer(500, b"secret text"), "WordPress answered 5xx", True),
        (answer(200, b"<html>secret text"), "WordPress answered no JSON", True),
        (answer(200, {"a": 1}), "WordPress answered no list of posts", True),
        (b"", "the connection to WordPress failed", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{", "the connection to WordPress failed", True),
    ],
)
async def test_a_site_in_trouble(raw: bytes, message: str, is_temporary: bool) -> None:
    """If the look-up fails, nothing is posted, and the failure repeats nothing of the answer."""
    async with serving(raw) as server:
        with pytest.raises(PublishFailed, match=message) as raised:
            await post(server.base_url)
    assert raised.value.is_temporary == is_temporary
    assert "secret text" not in str(raised.value)
    assert {received.head.split()[0] for received in server.received} == {"GET"}
