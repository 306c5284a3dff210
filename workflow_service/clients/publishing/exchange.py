"""HTTP exchanges with receivers that strangers choose: bounded in time and size, without redirects."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import httpx
import stamina

from service_chassis.addresses import address_in
from service_chassis.dialling import CheckedTransport, NotDialled
from workflow_service.clients.publishing.delivery import PublishFailed

T = TypeVar("T")

DELIVERY_SECONDS: Final = 60.0
"""The total deadline of a delivery, with all its attempts and the waits between them."""
_EXCHANGE_SECONDS: Final = 20.0
_CONNECT_SECONDS: Final = 5.0
_ATTEMPTS_MAX: Final = 4
_WAIT_INITIAL_SECONDS: Final = 1.0
_WAIT_MAX_SECONDS: Final = 10.0
_TEMPORARY_STATUSES: Final = frozenset({408, 409, 425, 429})


class StatusRefused(PublishFailed):
    """The receiver answered with a status that is no success. People are told its class only."""

    def __init__(self, receiver: str, status: int) -> None:
        is_redirect = 300 <= status < 400
        suffix = ", a redirect, which is not followed" if is_redirect else ""
        super().__init__(
            f"{receiver} answered {status // 100}xx{suffix}",
            is_temporary=status >= 500 or status in _TEMPORARY_STATUSES,
        )
        self.status = status


@dataclass(frozen=True)
class Received:
    """A successful answer. `body` is cut off at the bound of the exchange."""

    location: str | None
    body: bytes


class Exchanges:
    """Dials only what may be dialled. An exchange has one deadline, whatever its receiver does."""

    def __init__(self, transport: CheckedTransport) -> None:
        self._client = httpx.AsyncClient(
            transport=transport,
            headers={"Accept-Encoding": "identity", "Connection": "close"},
            timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
            follow_redirects=False,
        )

    async def exchange(
        self,
        receiver: str,
        method: str,
        url: str,
        *,
        content: bytes | None,
        headers: Mapping[str, str],
        body_bytes_max: int,
    ) -> Received:
        """`receiver` is its name in errors. Raises PublishFailed, StatusRefused."""
        # `from None`: exceptions of httpx refer to the request, which has the credentials.
        try:
            request = self._client.build_request(method, url, content=content, headers=headers)
        except (httpx.InvalidURL, UnicodeError):
            raise PublishFailed("the publish target's URL is not valid", is_temporary=False) from None
        try:
            async with asyncio.timeout(_EXCHANGE_SECONDS):
                response = await self._client.send(request, stream=True)
                try:
                    body = await _beginning(response, body_bytes_max) if response.is_success else b""
                finally:
                    await response.aclose()
        except TimeoutError:
            raise PublishFailed(f"{receiver} did not answer in time", is_temporary=True) from None
        except NotDialled:
            # The answer for a name may be another one next time.
            is_name = address_in(request.url.host) is None
            message = f"{receiver} has no address that may be dialled"
            raise PublishFailed(message, is_temporary=is_name) from None
        except (httpx.TransportError, httpx.StreamError):
            raise PublishFailed(f"the connection to {receiver} failed", is_temporary=True) from None
        if not response.is_success:
            raise StatusRefused(receiver, response.status_code)
        return Received(response.headers.get("location"), body)

    async def close(self) -> None:
        await self._client.aclose()


async def deliver_in_time(receiver: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """Repeats the attempt while its failures are temporary, with growing waits, up to the total deadline.

    Raises PublishFailed, that of the last attempt.
    """
    try:
        async with asyncio.timeout(DELIVERY_SECONDS):
            async for trial in stamina.retry_context(
                on=_is_temporary,
                attempts=_ATTEMPTS_MAX,
                timeout=None,
                wait_initial=_WAIT_INITIAL_SECONDS,
                wait_max=_WAIT_MAX_SECONDS,
            ):
                with trial:
                    return await attempt()
    except TimeoutError:
        message = f"{receiver} did not take the article within {DELIVERY_SECONDS:g} s"
        raise PublishFailed(message, is_temporary=True) from None
    raise AssertionError("stamina lets the last exception through")


def _is_temporary(error: Exception) -> bool:
    return isinstance(error, PublishFailed) and error.is_temporary


async def _beginning(response: httpx.Response, bytes_max: int) -> bytes:
    body = bytearray()
    if bytes_max:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) >= bytes_max:
                break
    return bytes(body[:bytes_max])
