"""Delivers articles to their publish targets, each exactly once.

A delivery may be repeated after a crash, a lost answer or a takeover. A repetition finds the article that is
there (directory, WordPress) or sends the same idempotency key (webhook), and returns the same location.
Credentials come from the service's settings. They are sent only to the sites that the settings name.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol
from uuid import UUID

import httpx
from markdown_it import MarkdownIt

from workflow_service.domain.steps import Article
from workflow_service.domain.workflow import PublishKind, PublishTarget

_DEADLINE_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 10.0
_ANSWER_BYTES_MAX: Final = 1024 * 1024
_LOCATION_LENGTH_MAX: Final = 2048


class PublishFailed(Exception):  # noqa: N818 - an outcome that callers match on, not a bug
    """An article was not delivered, or perhaps not. The text is for people, and has no secrets.

    `is_temporary`: the same delivery may succeed later.
    """

    def __init__(self, message: str, *, is_temporary: bool) -> None:
        super().__init__(message)
        self.is_temporary = is_temporary


class Publisher(Protocol):
    async def publish(self, article: Article, *, workflow_id: UUID, idempotency_key: UUID) -> str:
        """Delivers the article unless it was delivered before. Returns its location. Raises PublishFailed."""
        ...


@dataclass(frozen=True)
class WordPressAccount:
    """An application password for one site. It is sent to no other site."""

    url: str
    user: str
    password: str = field(repr=False)


class Publishers:
    """Makes the publisher for a target, and owns the connections that publishers share."""

    def __init__(
        self,
        directory: Path,
        *,
        webhook_secret: str | None = None,
        wordpress_accounts: Sequence[WordPressAccount] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`webhook_secret` signs as Standard Webhooks do: `whsec_` and base64, or any other text as it is."""
        self._directory = directory
        self._webhook_key = _webhook_key(webhook_secret) if webhook_secret else None
        self._wordpress = {_site(account.url): account for account in wordpress_accounts}
        self._clock = clock
        self._http = _Http()

    def for_target(self, target: PublishTarget) -> Publisher:
        match target.kind:
            case PublishKind.DIRECTORY:
                return DirectoryPublisher(self._directory, target.location)
            case PublishKind.WEBHOOK:
                return WebhookPublisher(self._http, target.location, self._webhook_key, self._clock)
            case PublishKind.WORDPRESS:
                return WordPressPublisher(self._http, self._wordpress.get(_site(target.location)))

    async def close(self) -> None:
        await self._http.close()


class DirectoryPublisher:
    """Markdown files with front matter below the publish directory. An existing file is left as it is."""

    def __init__(self, root: Path, location: str) -> None:
        """`location` is a relative path below `root`; "" stands for the workflow's id."""
        self._root = root
        self._location = location

    async def publish(self, article: Article, *, workflow_id: UUID, idempotency_key: UUID) -> str:
        text = _front_matter(article, workflow_id, idempotency_key) + article.body_markdown + "\n"
        # If the caller is cancelled, the thread still finishes: the file is whole, or it does not exist.
        return await asyncio.to_thread(self._write, article, self._location or str(workflow_id), text)

    def _write(self, article: Article, location: str, text: str) -> str:
        relative = PurePosixPath(location)
        if relative.is_absolute() or ".." in relative.parts or "\0" in location or "\\" in location:
            raise PublishFailed("the publish path is not below the publish directory", is_temporary=False)
        try:
            root = self._root.resolve()
            directory = (root / relative).resolve()
            if not directory.is_relative_to(root):  # by a symbolic link
                raise PublishFailed("the publish path leaves the publish directory", is_temporary=False)
            directory.mkdir(parents=True, exist_ok=True)
            path = directory / f"{article.slug}-{_short_id(article)}.md"
            if not path.exists():
                _write_whole(path, text)
        except OSError as error:
            message = f"the publish directory cannot be written: {error.strerror or type(error).__name__}"
            raise PublishFailed(message, is_temporary=True) from None
        return str(path)


class WebhookPublisher:
    """One POST for each article, signed as in Standard Webhooks.

    A repetition has the same Idempotency-Key.
    """

    def __init__(self, http: "_Http", url: str, key: bytes | None, clock: Callable[[], datetime]) -> None:
        self._http = http
        self._url = url
        self._key = key
        self._clock = clock

    async def publish(self, article: Article, *, workflow_id: UUID, idempotency_key: UUID) -> str:
        document = {
            "type": "article.published",
            "workflow_id": str(workflow_id),
            "article": article.model_dump(mode="json"),
        }
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        timestamp = str(int(self._clock().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": str(idempotency_key),
            "webhook-id": str(idempotency_key),
            "webhook-timestamp": timestamp,
        }
        if self._key is not None:
            signed = b".".join((str(idempotency_key).encode(), timestamp.encode(), body))
            signature = base64.b64encode(hmac.digest(self._key, signed, hashlib.sha256)).decode()
            headers["webhook-signature"] = f"v1,{signature}"
        request = self._http.request("POST", self._url, content=body, headers=headers)
        response = await self._http.exchange(request, "the webhook")
        return _url_or(response.location, self._url)


class WordPressPublisher:
    """Posts through WordPress's REST API. The slug ends with the article's id, and is searched for first."""

    def __init__(self, http: "_Http", account: WordPressAccount | None) -> None:
        """`account` is None for a site that the settings do not name. Nothing is sent to that site."""
        self._http = http
        self._has_account = account is not None
        self._site = _site(account.url) if account is not None else ""
        self._posts = f"{self._site}/wp-json/wp/v2/posts"
        credentials = f"{account.user}:{account.password}" if account is not None else ""
        self._headers = {"Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}

    async def publish(self, article: Article, *, workflow_id: UUID, idempotency_key: UUID) -> str:  # noqa: ARG002
        if not self._has_account:
            raise PublishFailed("no account is set for this WordPress site", is_temporary=False)
        slug = f"{article.slug}-{_short_id(article)}"
        found = await self._find(slug)
        if found is not None:
            return found
        post = {
            "title": article.title,
            "slug": slug,
            "excerpt": article.meta_description,
            # A model wrote the Markdown, so HTML in it is shown as text and links cannot run scripts.
            "content": MarkdownIt("commonmark", {"html": False}).render(article.body_markdown),
            "status": "publish",
        }
        made = await self._call("POST", self._posts, post)
        if not isinstance(made, dict):
            raise PublishFailed("WordPress answered no post", is_temporary=True)
        if made.get("slug") != slug and (found := await self._find(slug)) is not None:
            # A concurrent delivery came first, and WordPress gave this post another slug.
            await self._call("DELETE", f"{self._posts}/{made.get('id')}?force=true", None)
            return found
        return _url_or(made.get("link"), f"{self._site}/?name={slug}")

    async def _find(self, slug: str) -> str | None:
        """The post's address in any status: a post that a person has withdrawn is not posted again."""
        url = httpx.URL(self._posts, params={"slug": slug, "status": "any", "_fields": "slug,link"})
        posts = await self._call("GET", str(url), None)
        if not isinstance(posts, list):
            raise PublishFailed("WordPress answered no list of posts", is_temporary=True)
        for post in posts:
            if isinstance(post, dict) and post.get("slug") == slug:
                return _url_or(post.get("link"), f"{self._site}/?name={slug}")
        return None

    async def _call(self, method: str, url: str, document: Mapping[str, str] | None) -> Any:
        content = json.dumps(document).encode() if document is not None else None
        headers = {**self._headers, "Content-Type": "application/json"}
        request = self._http.request(method, url, content=content, headers=headers)
        response = await self._http.exchange(request, "WordPress")
        try:
            return json.loads(response.body)
        except (ValueError, RecursionError):
            raise PublishFailed("WordPress answered no JSON", is_temporary=True) from None


@dataclass(frozen=True)
class _Response:
    location: str | None
    body: bytes


class _Http:
    """One total deadline over each exchange, a bounded answer, no redirects."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(
            headers={"Accept-Encoding": "identity"},
            timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
            follow_redirects=False,
            mounts={"all://127.0.0.1": None, "all://localhost": None},  # no proxy for this machine
        )

    def request(
        self, method: str, url: str, *, content: bytes | None, headers: Mapping[str, str]
    ) -> httpx.Request:
        try:
            return self._client.build_request(method, url, content=content, headers=headers)
        except httpx.InvalidURL:
            raise PublishFailed("the publish target's URL is not valid", is_temporary=False) from None

    async def exchange(self, request: httpx.Request, receiver: str) -> _Response:
        """A successful response; a body that is too long is cut off. Raises PublishFailed otherwise."""
        # `from None`: exceptions of httpx refer to the request, which has the credentials.
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                response = await self._client.send(request, stream=True)
                try:
                    body = bytearray()
                    async for chunk in response.aiter_raw():
                        body += chunk
                        if len(body) > _ANSWER_BYTES_MAX:
                            break
                finally:
                    await response.aclose()
        except TimeoutError:
            message = f"{receiver} did not answer within {_DEADLINE_SECONDS:g} s"
            raise PublishFailed(message, is_temporary=True) from None
        except httpx.TransportError as error:
            message = f"the connection to {receiver} failed ({type(error).__name__})"
            raise PublishFailed(message, is_temporary=True) from None
        if response.is_success:
            return _Response(response.headers.get("location"), bytes(body))
        is_temporary = response.status_code >= 500 or response.status_code in (408, 409, 425, 429)
        raise PublishFailed(f"{receiver} answered {response.status_code}", is_temporary=is_temporary)

    async def close(self) -> None:
        await self._client.aclose()


def _short_id(article: Article) -> str:
    return article.article_id.hex[:12]


def _site(url: str) -> str:
    """A site's address in its normalized spelling."""
    try:
        return str(httpx.URL(url)).rstrip("/")
    except httpx.InvalidURL:
        return url


def _url_or(value: object, default: str) -> str:
    """The receiver's value if it is a usable address, else the default."""
    if isinstance(value, str) and value.startswith(("http://", "https://")) and value.isprintable():
        return value if len(value) <= _LOCATION_LENGTH_MAX else default
    return default


def _webhook_key(secret: str) -> bytes:
    prefix = "whsec_"
    return base64.b64decode(secret.removeprefix(prefix)) if secret.startswith(prefix) else secret.encode()


def _front_matter(article: Article, workflow_id: UUID, idempotency_key: UUID) -> str:
    """As YAML. A JSON string is a valid YAML string."""
    fields = {
        "title": article.title,
        "slug": article.slug,
        "description": article.meta_description,
        "article_id": str(article.article_id),
        "cluster_id": str(article.cluster_id),
        "workflow_id": str(workflow_id),
        "delivery_id": str(idempotency_key),
    }
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    return "\n".join(["---", *lines, "---", "", ""])


def _write_whole(path: Path, text: str) -> None:
    """Writes all or nothing, also in a crash: the file gets its name only when its content is on the disk."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fchmod(file.fileno(), 0o644)  # mkstemp's mode 0600 would hide the article from its readers
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    for directory in (path.parent, path.parent.parent):
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
