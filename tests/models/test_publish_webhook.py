"""A webhook gets one signed POST per article; a repeat has the same key; a failure may be temporary."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.models.http_server import answer, serving
from tests.models.published import ARTICLE, KEY, WORKFLOW
from workflow_service.clients.publishers import Publishers, PublishFailed
from workflow_service.domain.workflow import PublishKind, PublishTarget

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


async def deliver(url: str, **settings: Any) -> str:
    publishers = Publishers(None, clock=lambda: NOW, **settings)  # type: ignore[arg-type]  # no directory here
    try:
        publisher = publishers.for_target(PublishTarget(PublishKind.WEBHOOK, url))
        return await publisher.publish(ARTICLE, workflow_id=WORKFLOW, idempotency_key=KEY)
    finally:
        await publishers.close()


@pytest.mark.parametrize(
    ("secret", "key"), [("whsec_" + base64.b64encode(b"k" * 24).decode(), b"k" * 24), ("plain", b"plain")]
)
async def test_the_post(secret: str, key: bytes) -> None:
    """The POST has the article as JSON, the idempotency key, and a signature of id, time and body."""
    async with serving(answer(200, b"")) as server:
        url = f"{server.base_url}/hook"
        assert await deliver(url, webhook_secret=secret) == url
    (received,) = server.received
    document = json.loads(received.body)
    assert document["workflow_id"] == str(WORKFLOW)
    assert document["article"]["body_markdown"] == ARTICLE.body_markdown
    assert received.headers["idempotency-key"] == received.headers["webhook-id"] == str(KEY)
    signed = f"{KEY}.{int(NOW.timestamp())}.".encode() + received.body
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert received.headers["webhook-signature"] == f"v1,{expected}"


async def test_a_repeat_is_the_same_delivery() -> None:
    """After a lost answer the receiver gets the same key and body again, and can recognize them."""
    async with serving(b"", answer(201, b"", {"Location": "https://acme.example/a"})) as server:
        with pytest.raises(PublishFailed) as raised:
            await deliver(f"{server.base_url}/hook")
        assert raised.value.is_temporary
        assert await deliver(f"{server.base_url}/hook") == "https://acme.example/a"
    first, second = server.received
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body
    assert "webhook-signature" not in first.headers


@pytest.mark.parametrize(
    ("status", "is_temporary"),
    [
        *((status, False) for status in (302, 400, 401, 404, 410)),
        *((status, True) for status in (408, 409, 425, 429, 500, 503)),
    ],
)
async def test_refusals(status: int, is_temporary: bool) -> None:
    """The failure has the receiver's status, and not its text."""
    async with serving(answer(status, b"secret text", {"Location": "http://127.0.0.1:1/"})) as server:
        with pytest.raises(PublishFailed, match=f"the webhook answered {status}") as raised:
            await deliver(f"{server.base_url}/hook")
    assert raised.value.is_temporary == is_temporary
    assert "secret text" not in str(raised.value)


@pytest.mark.parametrize("location", ["javascript:alert(1)", "/relative", "http://x/" + "a" * 3000])
async def test_an_invalid_location(location: str) -> None:
    """Without a usable address the location is the webhook's own address."""
    async with serving(answer(200, b"", {"Location": location})) as server:
        assert await deliver(f"{server.base_url}/hook") == f"{server.base_url}/hook"


async def test_an_invalid_address() -> None:
    """An invalid webhook address is a final failure."""
    with pytest.raises(PublishFailed) as raised:
        await deliver("http://[::1")
    assert not raised.value.is_temporary
