"""Posts through WordPress's REST API, each article once.

A post carries our key twice: its slug ends with the article's id, and its content ends with a comment that
has the delivery's key. Sites rename slugs, so both are searched for before a post is made. A post found in
any status counts as delivered: what a person has withdrawn is not posted again.

https://developer.wordpress.org/rest-api/reference/posts/
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import httpx

from workflow_service.clients.publishing.article_html import html_of_line, html_of_markdown
from workflow_service.clients.publishing.delivery import Delivery, PublishFailed
from workflow_service.clients.publishing.exchange import Exchanges, StatusRefused, deliver_in_time
from workflow_service.clients.publishing.locations import location_in

_RECEIVER: Final = "WordPress"
_ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
_FIELDS: Final = "id,slug,link,content"
# An account that may edit no posts is refused these two (400, 401 or 403). It still sees published posts.
_IN_ANY_STATUS: Final = {"status": "any", "context": "edit"}
_REFUSED: Final = frozenset({400, 401, 403})


@dataclass(frozen=True)
class WordPressAccount:
    """An application password for one site. It is sent to no other site.

    `organization_ids` are those that may publish there; None stands for all.
    """

    url: str
    user: str
    password: str = field(repr=False)
    organization_ids: frozenset[UUID] | None = None

    def is_open_to(self, organization_id: UUID) -> bool:
        return self.organization_ids is None or organization_id in self.organization_ids


@dataclass(frozen=True)
class _Post:
    post_id: int
    location: str


class WordPressPublisher:
    def __init__(self, exchanges: Exchanges, account: WordPressAccount) -> None:
        self._exchanges = exchanges
        self._site = site_of(account.url)
        self._posts = f"{self._site}/wp-json/wp/v2/posts"
        credentials = base64.b64encode(f"{account.user}:{account.password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
        self._secrets = (account.password, credentials)

    async def publish(self, delivery: Delivery) -> str:
        return await deliver_in_time(_RECEIVER, lambda: self._publish(delivery))

    async def _publish(self, delivery: Delivery) -> str:
        """One attempt. It begins with the look-up, since the answer to an earlier one may have been lost."""
        slug, marker = _slug_of(delivery), _marker_of(delivery)
        if found := await self._find(slug, marker):
            return found[0].location
        document = await self._call("POST", self._posts, _document_of(delivery, slug, marker))
        made = self._post_in(document)
        if made is None:
            raise PublishFailed("WordPress answered no post", is_temporary=True)
        # A concurrent delivery, or an earlier attempt that was slow, may have made one too. The first stays.
        first = min([*await self._find(slug, marker), made], key=lambda post: post.post_id)
        if first.post_id != made.post_id:
            await self._call("DELETE", f"{self._posts}/{made.post_id}?force=true", None)
        return first.location

    async def _find(self, slug: str, marker: str) -> list[_Post]:
        """The posts that carry our key, the oldest first."""
        found: dict[int, _Post] = {}
        for query in ({"slug": slug}, {"search": marker}):
            for document in await self._list(query):
                post = self._post_in(document)
                if post is not None and (document.get("slug") == slug or marker in _text_of(document)):
                    found[post.post_id] = post
        return [found[post_id] for post_id in sorted(found)]

    async def _list(self, query: Mapping[str, str]) -> Sequence[Any]:
        """The posts of any status, or those that this account may see."""
        url = httpx.URL(self._posts, params={**query, "_fields": _FIELDS})
        try:
            posts = await self._call("GET", str(url.copy_merge_params(_IN_ANY_STATUS)), None)
        except StatusRefused as refused:
            if refused.status not in _REFUSED:
                raise
            posts = await self._call("GET", str(url), None)
        if not isinstance(posts, list):
            raise PublishFailed("WordPress answered no list of posts", is_temporary=True)
        return posts

    async def _call(self, method: str, url: str, document: Mapping[str, str] | None) -> Any:
        received = await self._exchanges.exchange(
            _RECEIVER,
            method,
            url,
            content=json.dumps(document).encode() if document is not None else None,
            headers=self._headers,
            body_bytes_max=_ANSWER_BYTES_MAX,
        )
        try:
            return json.loads(received.body)
        except (ValueError, RecursionError):
            raise PublishFailed("WordPress answered no JSON", is_temporary=True) from None

    def _post_in(self, document: Any) -> _Post | None:
        post_id = document.get("id") if isinstance(document, dict) else None
        if not isinstance(post_id, int) or not 0 < post_id < 2**63:
            return None
        short_link = f"{self._site}/?p={post_id}"
        return _Post(post_id, location_in(document.get("link"), short_link, secrets=self._secrets))


def site_of(url: str) -> str:
    """A site's address in its normalized spelling."""
    try:
        return str(httpx.URL(url)).rstrip("/")
    except (httpx.InvalidURL, UnicodeError):
        return url


def _slug_of(delivery: Delivery) -> str:
    return f"{delivery.article.slug}-{delivery.article.article_id.hex[:12]}"


def _marker_of(delivery: Delivery) -> str:
    """One word of letters and digits, which WordPress's search finds anywhere in the content."""
    return f"infin8{delivery.key.hex}"


def _document_of(delivery: Delivery, slug: str, marker: str) -> dict[str, str]:
    article = delivery.article
    return {
        "title": html_of_line(article.title),
        "slug": slug,
        "excerpt": html_of_line(article.meta_description),
        "content": f"{html_of_markdown(article.body_markdown)}<!-- {marker} -->\n",
        "status": "publish",
    }


def _text_of(document: Any) -> str:
    """A post's content: `raw` as it is stored, in the context `edit`, and `rendered`."""
    content = document.get("content")
    if isinstance(content, dict):
        texts = (content.get("raw"), content.get("rendered"))
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""
