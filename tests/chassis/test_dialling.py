"""A name is resolved once for a connection, each of its addresses is checked, and one of them is dialled."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from typing import Any

import httpx
import pytest

from service_chassis.dialling import CheckedTransport, NotDialled
from tests.chassis.test_addresses import Dialled, NeverDialled

PUBLIC, OTHER_PUBLIC, PRIVATE = "93.184.215.14", "93.184.215.15", "127.0.0.1"


class Resolver:
    """Stands in for the system's resolver: each look-up of a name has the next answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Iterable[str]) -> None:
        self._answers = [list(answer) for answer in answers]
        self._getaddrinfo = socket.getaddrinfo
        self.asked: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: Any, port: Any, *more: Any, **named: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        if not name.endswith(".example"):
            return list(self._getaddrinfo(host, port, *more, **named))
        self.asked.append(name)
        answer = self._answers[min(len(self.asked), len(self._answers)) - 1]
        if not answer:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port or 0),
            )
            for address in answer
        ]


async def get(
    url: str, *, allow_private: bool = False, inner: httpx.AsyncBaseTransport | None = None
) -> None:
    async with httpx.AsyncClient(
        transport=CheckedTransport(allow_private=allow_private, inner=inner)
    ) as client:
        await client.get(url)


async def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that turns to a private address after its look-up is dialled at the address that was checked."""
    resolver = Resolver(monkeypatch, [PUBLIC], [PRIVATE])
    inner = Dialled()
    await get("https://blog.example:8443/a?b=c", inner=inner)
    assert resolver.asked == ["blog.example"]
    (request,) = inner.requests
    assert str(request.url) == f"https://{PUBLIC}:8443/a?b=c"
    assert request.headers["host"] == "blog.example:8443"
    assert request.extensions["sni_hostname"] == "blog.example"


async def test_each_connection_is_looked_up_and_checked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to an earlier look-up does not count for the next connection."""
    Resolver(monkeypatch, [PUBLIC], [PRIVATE])
    inner = Dialled()
    async with httpx.AsyncClient(transport=CheckedTransport(allow_private=False, inner=inner)) as client:
        await client.get("http://blog.example/")
        with pytest.raises(NotDialled):
            await client.get("http://blog.example/")
    assert len(inner.requests) == 1


@pytest.mark.parametrize(
    "answer", [[], [PRIVATE], [PUBLIC, PRIVATE], [PUBLIC, "fe80::1%eth0"], ["::ffff:10.0.0.1"]]
)
async def test_an_answer_with_one_private_address_is_not_dialled(
    monkeypatch: pytest.MonkeyPatch, answer: list[str]
) -> None:
    """Nothing is dialled if any address is private, and no error says whether the name has an address."""
    Resolver(monkeypatch, answer)
    with pytest.raises(NotDialled):
        await get("http://blog.example/", inner=NeverDialled())


async def test_the_next_address_is_tried_if_one_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """The addresses are tried in the resolver's order, and only until one is connected."""
    Resolver(monkeypatch, [PUBLIC, OTHER_PUBLIC, "93.184.215.16"])
    dialled = []

    async def handle(request: httpx.Request) -> httpx.Response:
        dialled.append(request.url.host)
        if request.url.host == PUBLIC:
            raise httpx.ConnectError("refused")
        return httpx.Response(200)

    await get("http://blog.example/", inner=httpx.MockTransport(handle))
    assert dialled == [PUBLIC, OTHER_PUBLIC]


async def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment would look the name up itself, so it is not used."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    inner = Dialled()
    await get(f"http://{PUBLIC}/", inner=inner)
    assert [request.url.host for request in inner.requests] == [PUBLIC]


async def test_the_name_is_sent_in_the_handshake_over_a_real_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server at the checked address is told the URL's name, so its certificate is checked for that."""
    Resolver(monkeypatch, [PRIVATE])
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # without a certificate, so that the handshake fails
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    server = await asyncio.start_server(lambda _, writer: writer.close(), PRIVATE, 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(httpx.ConnectError):
        await get(f"https://blog.example:{port}/", allow_private=True)
    server.close()
    assert names == ["blog.example"]
