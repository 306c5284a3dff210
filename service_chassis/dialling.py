"""An HTTP transport for addresses that strangers choose. It dials only what it has looked up and checked.

A name is resolved once for each connection. Every address of the answer is checked, and the connection goes
to one of them, so a second look-up, whose answer may differ, never takes place. Host header, SNI and the name
that the certificate must have stay those of the URL.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

import httpx

from service_chassis.addresses import IpAddress, address_in, is_public

_ADDRESSES_TRIED_MAX: Final = 4


class NotDialled(httpx.ConnectError):
    """No connection was tried: the host has no address, or one that may not be dialled.

    The two are not told apart, so that nobody learns which names an internal resolver knows.
    """


class CheckedTransport(httpx.AsyncBaseTransport):
    """Uses no proxy, which would resolve the name itself, and no connection twice.

    Connections are not kept, because a pool knows them by their address: two names with one address would
    share a connection whose certificate was checked for one of them.
    """

    def __init__(self, *, allow_private: bool, inner: httpx.AsyncBaseTransport | None = None) -> None:
        """`allow_private` dials any address. `inner` makes the connections, by default over sockets."""
        self._allow_private = allow_private
        self._inner = inner or httpx.AsyncHTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises NotDialled; otherwise as the inner transport."""
        host = request.url.raw_host.decode("ascii")
        extensions = dict(request.extensions)
        if address_in(host) is None:
            extensions["sni_hostname"] = host
        failed: httpx.TransportError | None = None
        for address in (await self._addresses(host))[:_ADDRESSES_TRIED_MAX]:
            dialled = httpx.Request(
                request.method,
                request.url.copy_with(host=str(address)),
                headers=request.headers,
                stream=request.stream,
                extensions=extensions,
            )
            try:
                return await self._inner.handle_async_request(dialled)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:  # nothing was sent
                failed = error
        raise failed or NotDialled("the host has no address")

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _addresses(self, host: str) -> Sequence[IpAddress]:
        """The host's addresses, in the resolver's order. One that may not be dialled spoils the answer."""
        try:
            answers = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise NotDialled("the host has no address") from None
        addresses = list(dict.fromkeys(ipaddress.ip_address(answer[4][0]) for answer in answers))
        if not self._allow_private and not all(is_public(address) for address in addresses):
            raise NotDialled("the host has an address that is not public")
        return addresses
