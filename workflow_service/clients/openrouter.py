"""The client of OpenRouter's API, which the local simulator speaks as well.

One call sends one request. The caller waits, retries and changes the model, because each attempt needs its
own hold. The API key is in one header and nowhere else: in no error, no repr and no log line.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import httpx

from workflow_service.clients.openrouter_reading import HttpAnswer, read_completion, read_generation
from workflow_service.clients.openrouter_types import (
    NOT_CHARGED,
    UNKNOWN,
    Charge,
    ChargeKind,
    Completion,
    CompletionRequest,
    GenerationRecord,
    MaxPrice,
    ModelCallFailed,
    TokenUsage,
)
from workflow_service.clients.provider_text import Confidential
from workflow_service.domain.error_class import ErrorClass

__all__ = [
    "NOT_CHARGED",
    "UNKNOWN",
    "Charge",
    "ChargeKind",
    "Completion",
    "CompletionRequest",
    "GenerationRecord",
    "MaxPrice",
    "ModelCallFailed",
    "OpenRouterClient",
    "TokenUsage",
]

_ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
_CONNECT_SECONDS: Final = 10.0
_LOOKUP_SECONDS: Final = 15.0
_LOOKUPS_MAX: Final = 10
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
# A compressed answer could be small on the wire and enormous in memory.
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}


@dataclass
class _Progress:
    """How far an exchange has come. What its failure may have cost follows from that."""

    confidential: Confidential
    sent: bool = False
    """Some of the request's body was sent. Before that no server can have acted on the request."""
    generation_id: str | None = None

    async def trace(self, event: str, _: Mapping[str, Any]) -> None:
        if event == "http11.send_request_body.started":
            self.sent = True

    @property
    def charge(self) -> Charge:
        return Charge(ChargeKind.UNKNOWN, generation_id=self.generation_id) if self.sent else NOT_CHARGED


class OpenRouterClient:
    """One per process. Calls may run concurrently. Close it at the end."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        deadline_seconds: float = 120.0,
        calls_max: int = 100,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`base_url` ends before `/chat/completions`.

        `deadline_seconds` bounds a whole call, with its body. It includes a wait for a connection, so no more
        than `calls_max` calls should run at once. Look-ups have connections of their own.
        """
        if not (api_key.isascii() and api_key.isprintable() and api_key):
            # The error of httpx would contain the key.
            raise ValueError("the API key is empty or has characters that no HTTP header can carry")
        self._api_key = api_key
        self._deadline_seconds = deadline_seconds
        self._clock = clock
        self._calls = _http_client(base_url, api_key, connections_max=calls_max)
        self._lookups = _http_client(base_url, api_key, connections_max=_LOOKUPS_MAX)
        self._lookup_slots = asyncio.Semaphore(_LOOKUPS_MAX)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Sends the request once. Raises ModelCallFailed unless there is a whole answer.

        A cancelled call may have been charged. Its caller treats the charge as UNKNOWN.
        """
        prompts = [content for message in request.messages for content in message.values()]
        confidential = Confidential(self._api_key, prompts)
        http_request = self._calls.build_request(
            "POST",
            "chat/completions",
            content=_body(request),
            headers={"Content-Type": "application/json"},
        )
        answer = await self._exchange(self._calls, http_request, confidential, self._deadline_seconds)
        return read_completion(answer, requested_model=request.model, confidential=confidential)

    async def generation(self, generation_id: str) -> GenerationRecord | None:
        """The provider's record of a call; None if it has none, or none yet.

        Raises ModelCallFailed if the provider gives no answer. The failure's `charge` means nothing here.
        """
        confidential = Confidential(self._api_key, ())
        http_request = self._lookups.build_request("GET", "generation", params={"id": generation_id})
        async with self._lookup_slots:
            answer = await self._exchange(self._lookups, http_request, confidential, _LOOKUP_SECONDS)
        return read_generation(answer, generation_id=generation_id, confidential=confidential)

    async def close(self) -> None:
        await self._calls.aclose()
        await self._lookups.aclose()

    async def _exchange(
        self,
        http: httpx.AsyncClient,
        request: httpx.Request,
        confidential: Confidential,
        deadline_seconds: float,
    ) -> HttpAnswer:
        progress = _Progress(confidential)
        request.extensions["trace"] = progress.trace
        # `from None`: exceptions of httpx refer to the request, which has the key and the prompt.
        try:
            async with asyncio.timeout(deadline_seconds):
                return await self._read(http, request, progress)
        except TimeoutError:
            raise ModelCallFailed(
                ErrorClass.TIMEOUT,
                f"no whole answer from the provider within {deadline_seconds:g} s",
                charge=progress.charge,
            ) from None
        except httpx.TransportError as error:
            what = "broke before the answer was whole" if progress.sent else "could not be made"
            raise ModelCallFailed(
                ErrorClass.CONNECTION_FAILED,
                f"the connection to the provider {what} ({type(error).__name__})",
                charge=progress.charge,
            ) from None

    async def _read(
        self, http: httpx.AsyncClient, request: httpx.Request, progress: _Progress
    ) -> HttpAnswer:
        response = await http.send(request, stream=True)
        try:
            # httpx joins repeated headers, and gives their names in lower case.
            head = HttpAnswer(response.status_code, dict(response.headers), b"", self._clock())
            progress.generation_id = head.generation_id(progress.confidential)
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > _ANSWER_BYTES_MAX:
                    raise ModelCallFailed(
                        ErrorClass.MALFORMED_RESPONSE,
                        f"the answer is larger than {_ANSWER_BYTES_MAX} bytes",
                        charge=progress.charge,
                        http_status=head.status,
                    )
        finally:
            await response.aclose()
        return HttpAnswer(head.status, head.headers, bytes(body), head.received_time)


def _http_client(base_url: str, api_key: str, *, connections_max: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=base_url.rstrip("/") + "/",
        headers={**_HEADERS, "Authorization": f"Bearer {api_key}"},
        # asyncio.timeout gives the total deadline: httpx has none, and restarts its read timeout at each
        # byte.
        timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=connections_max),
        follow_redirects=False,
        # A simulator on this machine is not reached through the environment's proxy.
        trust_env=httpx.URL(base_url).host not in _LOOPBACK,
    )


def _body(request: CompletionRequest) -> bytes:
    document: dict[str, Any] = {
        "model": request.model,
        "messages": list(request.messages),
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "usage": {"include": True},
    }
    if request.response_format is not None:
        document["response_format"] = request.response_format
    if request.user is not None:
        document["user"] = request.user
    # `json` writes fractions only from floats, so the prices are inserted as text.
    text = json.dumps(document, separators=(",", ":"))
    return f'{text[:-1]},"provider":{{"max_price":{_max_price(request.max_price)}}}}}'.encode()


def _max_price(price: MaxPrice) -> str:
    """A JSON object in OpenRouter's units: USD per million tokens, and USD per request."""
    prompt = _usd(price.input_nano_usd_per_mtok)
    completion = _usd(price.output_nano_usd_per_mtok)
    return f'{{"prompt":{prompt},"completion":{completion},"request":{_usd(price.request_nano_usd)}}}'


def _usd(nano_usd: int) -> str:
    """The exact amount, as a JSON number without an exponent."""
    return f"{Decimal(nano_usd).scaleb(-9):f}"
