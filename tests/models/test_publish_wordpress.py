"""WordPress gets each article once, even after a lost answer; the password goes to its own site only."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.models.http_server import answer, serving
from tests.models.published import ARTICLE, KEY, SLUG, WORKFLOW, WordPress, hosting
from workflow_service.clients.publishers import Publishers, PublishFailed, WordPressAccount
from workflow_service.domain.workflow import PublishKind, PublishTarget


async def deliver(account_url: str, target_url: str | None = None) -> str:
    account = WordPressAccount(account_url, "editor", "abcd efgh")
    publishers = Publishers(Path("unused"), wordpress_accounts=[account])
    try:
        target = PublishTarget(PublishKind.WORDPRESS, target_url or account_url)
        publisher = publishers.for_target(target)
        return await publisher.publish(ARTICLE, workflow_id=WORKFLOW, idempotency_key=KEY)
    finally:
        await publishers.close()


async def test_the_post() -> None:
    """The post has slug and id, and HTML without the model's markup; a repeat finds it."""
    site = WordPress()
    async with hosting(site.app) as origin:
        location = await deliver(f"{origin}/blog/")
        assert location == f"https://blog.example/{SLUG}/"
        assert await deliver(f"{origin}/blog") == location
    (post,) = site.posts
    assert (post["title"], post["slug"], post["status"]) == (ARTICLE.title, SLUG, "publish")
    assert "<h2>Heading</h2>" in post["content"]
    assert "<em>text</em>" in post["content"]
    assert "<script" not in post["content"]
    assert 'href="javascript' not in post["content"]
    credentials = base64.b64encode(b"editor:abcd efgh").decode()
    assert site.requests == [(method, f"Basic {credentials}") for method in ("GET", "POST", "GET")]


async def test_a_lost_answer() -> None:
    """After an answer was lost the repeat finds the post and makes no second one."""
    site = WordPress()
    site.fails_after_posting = 1
    async with hosting(site.app) as origin:
        with pytest.raises(PublishFailed, match="WordPress answered 502") as raised:
            await deliver(f"{origin}/blog")
        assert raised.value.is_temporary
        assert await deliver(f"{origin}/blog") == f"https://blog.example/{SLUG}/"
    assert len(site.posts) == 1


async def test_two_at_once() -> None:
    """If another post appears between look-up and post, ours is deleted and the location is the other's."""
    site = WordPress()
    site.rival = {"id": 1, "slug": SLUG, "link": "https://blog.example/theirs/"}
    async with hosting(site.app) as origin:
        assert await deliver(f"{origin}/blog") == "https://blog.example/theirs/"
    assert [post["id"] for post in site.posts] == [1]


async def test_the_password_stays_with_its_site() -> None:
    """A target without an account gets no request, also on the same host under another path."""
    site = WordPress()
    async with hosting(site.app) as origin:
        for target in (f"{origin}/other", f"{origin}.evil.example/blog", "https://blog.example"):
            with pytest.raises(PublishFailed, match="no account is set") as raised:
                await deliver(f"{origin}/blog", target)
            assert not raised.value.is_temporary
    assert site.requests == []
    assert "abcd" not in repr(WordPressAccount("https://blog.example", "editor", "abcd efgh"))


@pytest.mark.parametrize(
    ("raw", "message", "is_temporary"),
    [
        (answer(401, {"code": "rest_forbidden"}), "WordPress answered 401", False),
        (answer(200, b"<html>"), "WordPress answered no JSON", True),
        (answer(200, {"a": 1}), "WordPress answered no list of posts", True),
        (b"", "the connection to WordPress failed", True),
    ],
)
async def test_a_site_in_trouble(raw: bytes, message: str, is_temporary: bool) -> None:
    """If the look-up fails, nothing is posted."""
    async with serving(raw) as server:
        with pytest.raises(PublishFailed, match=message) as raised:
            await deliver(server.base_url)
    assert raised.value.is_temporary == is_temporary
    assert [received.head.split()[0] for received in server.received] == ["GET"]
