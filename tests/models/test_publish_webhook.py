"""A webhook gets each article once by its key: a signed POST, repeated while it fails, in one deadline."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from service_chassis.dialling import CheckedTransport
from tests.chassis.test_addresses import PRIVATE_HOSTS
from tests.chassis.test_dialling import Resolver
from tests.models.http_server import Received, answer, serving
from tests.models.published import (
    ARTICLE,
    ATTEMPTS,
    DELIVERY,
    KEY,
    NOW,
    ORGANIZATION,
    OTHER_ORGANIZATION,
    WORKFLOW,
    deliver,
    no_waits,
)
from workflow_service.clients.publishing import exchange
from workflow_service.clients.publishing.delivery import Delivery, PublishFailed
from workflow_service.clients.publishing.webhook import target_secret
from workflow_service.domain.workflow import PublishKind, PublishTarget

__all__ = ["no_waits"]
pytestmark = pytest.mark.usefixtures("no_waits")

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


async def post(url: str, delivery: Delivery = DELIVERY, **settings: Any) -> str:
    return await deliver(PublishTarget(PublishKind.WEBHOOK, url), delivery, **settings)


def is_signed_with(received: Received, secret: str) -> bool:
    """As a receiver checks a signature that follows Standard Webhooks."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    parts = (received.headers["webhook-id"], received.headers["webhook-timestamp"])
    signed = ".".join(parts).encode() + b"." + received.body
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return received.headers["webhook-signature"] == f"v1,{expected}"


async def test_the_post() -> None:
    """The POST has the article as JSON, the idempotency key, and a signature that its receiver can check."""
    async with serving(answer(200, b"")) as server:
        url = f"{server.base_url}/hook"
        assert await post(url, webhook_secret=SECRET) == url
    (received,) = server.received
    document = json.loads(received.body)
    assert document["type"] == "article.published"
    assert (document["organization_id"], document["workflow_id"]) == (str(ORGANIZATION), str(WORKFLOW))
    assert document["article"]["body_markdown"] == ARTICLE.body_markdown
    assert received.headers["idempotency-key"] == received.headers["webhook-id"] == str(KEY)
    assert received.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert is_signed_with(received, target_secret(SECRET, ORGANIZATION, url))


async def test_each_target_of_each_organization_has_its_own_secret() -> None:
    """A POST for one target, or of one organization, is not taken by a receiver of another."""
    async with serving(answer(200, b"")) as server:
        one, two = f"{server.base_url}/one", f"{server.base_url}/two"
        await post(one, webhook_secret=SECRET)
        await post(two, webhook_secret=SECRET)
        await post(one, replace(DELIVERY, organization_id=OTHER_ORGANIZATION), webhook_secret=SECRET)
        secrets = [
            target_secret(SECRET, ORGANIZATION, one),
            target_secret(SECRET, ORGANIZATION, two),
            target_secret(SECRET, OTHER_ORGANIZATION, one),
        ]
    signed = [[is_signed_with(received, secret) for secret in secrets] for received in server.received]
    assert signed == [[True, False, False], [False, True, False], [False, False, True]]
    assert not any(is_signed_with(received, SECRET) for received in server.received)


async def test_the_address_is_signed() -> None:
    """The signed body names the target, so that a POST that was sent on elsewhere can be told."""
    async with serving(answer(200, b"")) as server:
        url = f"{server.base_url}/hook"
        await post(url, webhook_secret=SECRET)
    assert json.loads(server.received[0].body)["target"] == url


async def test_a_secret_of_plain_text() -> None:
    """The service's secret may be any text; those of its targets are in the standard's form all the same."""
    async with serving(answer(200, b"")) as server:
        url = f"{server.base_url}/hook"
        await post(url, webhook_secret="plain text")
        await post(url)
    assert is_signed_with(server.received[0], target_secret("plain text", ORGANIZATION, url))
    assert "webhook-signature" not in server.received[1].headers


@pytest.mark.parametrize(
    "trouble",
    [
        b"",  # the answer is lost
        b"HTTP/1.1 200",
        b"no HTTP",
        *(answer(status, b"") for status in (408, 409, 425, 429, 500, 502, 503)),
    ],
)
async def test_a_failure_is_repeated_with_the_same_key(trouble: bytes) -> None:
    """A receiver that loses its answers, or is out of order, gets the same key and body again."""
    good = answer(201, b"", {"Location": "https://acme.example/a"})
    async with serving(trouble, trouble, good) as server:
        assert await post(f"{server.base_url}/hook", webhook_secret=SECRET) == "https://acme.example/a"
    assert len(server.received) == 3
    assert {received.headers["webhook-id"] for received in server.received} == {str(KEY)}
    assert len({received.body for received in server.received}) == 1


async def test_attempts_are_bounded() -> None:
    """A receiver that never takes the article gets so many attempts, and the failure is temporary."""
    async with serving(answer(500, b"")) as server:
        with pytest.raises(PublishFailed, match="the webhook answered 5xx") as raised:
            await post(f"{server.base_url}/hook")
    assert raised.value.is_temporary
    assert len(server.received) == ATTEMPTS


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """A redirect, also to a private address, is a final failure, and its target is not told."""
    async with serving(answer(200, b"")) as inner:
        redirect = answer(status, b"", {"Location": f"{inner.base_url}/admin"})
        async with serving(redirect) as server:
            with pytest.raises(PublishFailed, match="answered 3xx, a redirect") as raised:
                await post(f"{server.base_url}/hook")
    assert not raised.value.is_temporary
    assert inner.base_url not in str(raised.value)
    assert len(server.received) == 1
    assert inner.received == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
async def test_a_refusal_is_final_and_told_by_its_class(status: int) -> None:
    """The failure has the class of the status, and nothing that the receiver wrote."""
    headers = {"X-Secret": "secret text"}
    async with serving(answer(status, b"secret text", headers)) as server:
        with pytest.raises(PublishFailed) as raised:
            await post(f"{server.base_url}/hook")
    assert str(raised.value) == "the webhook answered 4xx"
    assert not raised.value.is_temporary
    assert len(server.received) == 1


async def drip_headers(writer: asyncio.StreamWriter) -> None:
    """Sends header after header, until the client goes away."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def drip_body(writer: asyncio.StreamWriter) -> None:
    """Answers 200, and comes to no end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def test_an_exchange_has_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that drips gets the next attempt after the deadline of an exchange."""
    monkeypatch.setattr(exchange, "_EXCHANGE_SECONDS", 0.5)
    async with serving(drip_headers, answer(200, b"")) as server:
        await post(f"{server.base_url}/hook")
    assert len(server.received) >= 2


async def test_a_delivery_has_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the receiver is, the delivery ends with its total deadline, as a temporary failure."""
    monkeypatch.setattr(exchange, "DELIVERY_SECONDS", 0.5)
    over = asyncio.Event()

    async def hang(_: asyncio.StreamWriter) -> None:
        await over.wait()

    for behave in (hang, drip_headers):
        async with serving(behave) as server:
            with pytest.raises(PublishFailed, match=r"within 0\.5 s") as raised:
                await post(f"{server.base_url}/hook")
            over.set()
        assert raised.value.is_temporary
        assert {received.headers["webhook-id"] for received in server.received} == {str(KEY)}


async def test_the_body_of_an_answer_is_not_waited_for() -> None:
    """A receiver that answered 200 has the article, however long the rest of its answer takes."""
    async with serving(drip_body) as server:
        await post(f"{server.base_url}/hook")
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "location",
    [
        "javascript:alert(1)",
        "/relative",
        "http://x/" + "a" * 3000,
        "https://user:password@acme.example/",
        "https://acme.example/?{secret}",
    ],
)
async def test_a_location_that_is_not_to_be_stored(location: str) -> None:
    """Without a plain address that repeats no secret, the location is the webhook's own address."""
    answers: list[bytes] = []

    async def answer_with_secret(writer: asyncio.StreamWriter) -> None:
        writer.write(answers[0])
        await writer.drain()

    async with serving(answer_with_secret) as server:
        url = f"{server.base_url}/hook"
        secret = target_secret(SECRET, ORGANIZATION, url)
        answers.append(answer(200, b"", {"Location": location.replace("{secret}", secret)}))
        assert await post(url, webhook_secret=SECRET) == url


@pytest.mark.parametrize("url", ["http://[::1", "http://\uff11.0.0.1/", "http://\u2460.example/"])
async def test_an_invalid_address(url: str) -> None:
    """An address that cannot be dialled is a final failure."""
    with pytest.raises(PublishFailed) as raised:
        await post(url)
    assert not raised.value.is_temporary


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
async def test_a_private_address_gets_nothing(host: str) -> None:
    """Where private targets are not allowed, nothing is sent, in whatever form the address is written."""
    with pytest.raises(PublishFailed, match=r"no address that may be dialled|is not valid"):
        await post(f"http://{host}:9/hook", allow_private=False)


async def test_a_name_that_leads_inward_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to this machine is not dialled, and its failure is that of an unknown name."""
    Resolver(monkeypatch, ["127.0.0.1"])
    async with serving(answer(200, b"")) as server:
        port = server.base_url.split(":")[2].split("/")[0]
        with pytest.raises(PublishFailed) as inward:
            await post(f"http://inward.example:{port}/", allow_private=False)
    assert server.received == []
    Resolver(monkeypatch, [])
    with pytest.raises(PublishFailed) as unknown:
        await post("http://unknown.example/", allow_private=False)
    assert str(inward.value) == str(unknown.value)
    assert inward.value.is_temporary == unknown.value.is_temporary


async def test_a_name_that_turns_inward_between_two_look_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt dials the address that was checked for it; the private one of the second answer, never."""
    resolver = Resolver(monkeypatch, ["93.184.215.14"], ["127.0.0.1"])
    dialled: list[str] = []

    async def refuse(request: httpx.Request) -> httpx.Response:
        dialled.append(request.url.host)
        raise httpx.ConnectError("not reached")

    with pytest.raises(PublishFailed):
        await post(
            "http://turning.example/",
            transport=CheckedTransport(allow_private=False, inner=httpx.MockTransport(refuse)),
        )
    assert dialled == ["93.184.215.14"]
    assert len(resolver.asked) == ATTEMPTS
