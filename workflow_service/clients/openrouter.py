"""The client of OpenRouter's API, which the local simulator speaks as well.

One call sends one request. The caller waits, retries and changes the model, because each attempt needs its
own hold. The API key is in one header and nowhere else: in no error, no repr and no log line.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import httpx

from workflow_service.clients.openrouter_reading import (
    HttpAnswer,
    charge_of,
    read_completion,
    read_generation,
    read_streamed,
)
from workflow_service.clients.openrouter_stream import EventReader, StreamedAnswer, is_event_stream
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
# After the last event, for the end of the answer: only then the connection can be used again.
_END_SECONDS: Final = 0.5
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
# A compressed answer could be small on the wire and enormous in memory.
_HEADERS: Final = {"Accept": "text/event-stream, application/json", "Accept-Encoding": "identity"}


class _Exchange:
    """One request, and what has come of its answer. What a failure may have cost follows from that."""

    def __init__(self, confidential: Confidential, clock: Callable[[], datetime]) -> None:
        self.sent = False
        """Some of the request's body was sent. Before that no server can have acted on the request."""
        self.head: HttpAnswer | None = None
        """The answer's status and headers."""
        self.body = bytearray()
        self.streamed: StreamedAnswer | None = None
        """Set if the answer says that it is a stream of events."""
        self._confidential = confidential
        self._clock = clock
        self._events = EventReader()

    async def trace(self, event: str, _: Mapping[str, Any]) -> None:
        if event == "http11.send_request_body.started":
            self.sent = True

    @property
    def generation_id(self) -> str | None:
        if self.head is None:
            return None
        named = self._confidential.name(self.streamed.generation_id) if self.streamed else None
        return self.head.generation_id(self._confidential) or named

    @property
    def charge(self) -> Charge:
        if self.head is None or self.streamed is None:
            return Charge(ChargeKind.UNKNOWN, generation_id=self.generation_id) if self.sent else NOT_CHARGED
        return charge_of(self.head, self.streamed.document, self._confidential)

    @property
    def is_answered(self) -> bool:
        """The answer's text is whole, whatever happens to the connection."""
        return self.streamed is not None and self.streamed.is_whole

    @property
    def answer(self) -> HttpAnswer:
        assert self.head is not None
        return replace(self.head, body=bytes(self.body))

    def begin(self, response: httpx.Response) -> None:
        # httpx joins repeated headers, and gives their names in lower case.
        self.head = HttpAnswer(response.status_code, dict(response.headers), b"", self._clock())
        if response.is_success and is_event_stream(response.headers.get("content-type", ""), b""):
            self.streamed = StreamedAnswer()

    def add(self, chunk: bytes) -> bool:
        """Whether the model has said something: comments and white space only keep a connection alive."""
        assert self.head is not None
        self.body += chunk
        if len(self.body) > _ANSWER_BYTES_MAX:
            raise ModelCallFailed(
                ErrorClass.MALFORMED_RESPONSE,
                f"the answer is larger than {_ANSWER_BYTES_MAX} bytes",
                charge=self.charge,
                http_status=self.head.status,
            )
        if self.streamed is None:
            return not chunk.isspace()
        return self._add_events(self.streamed, self._events.feed(chunk))

    def end(self) -> None:
        """The whole body has come. It is a stream if it is one, whatever its type says."""
        assert self.head is not None
        if self.streamed is not None:
            self._add_events(self.streamed, self._events.end())
            if self.streamed.is_empty:
                self.streamed = None
        elif 200 <= self.head.status < 300 and is_event_stream("", bytes(self.body)):
            self.streamed = StreamedAnswer()
            self._add_events(self.streamed, [*self._events.feed(bytes(self.body)), *self._events.end()])

    def _add_events(self, streamed: StreamedAnswer, events: list[bytes]) -> bool:
        for data in events:
            if not streamed.is_done:
                streamed.add(data)
        return bool(events)


class OpenRouterClient:
    """One per process. Calls may run concurrently. Close it at the end."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        deadline_seconds: float = 120.0,
        first_data_seconds: float = 60.0,
        silence_seconds: float = 30.0,
        calls_max: int = 100,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`base_url` ends before `/chat/completions`.

        `deadline_seconds` bounds a whole call, with its body. It includes a wait for a connection, so no more
        than `calls_max` calls should run at once. Look-ups have connections of their own.

        `first_data_seconds` bounds the time until the model says something, and `silence_seconds` the time
        until it says more. What only keeps the connection alive does not count.
        """
        if not (api_key.isascii() and api_key.isprintable() and api_key):
            # The error of httpx would contain the key.
            raise ValueError("the API key is empty or has characters that no HTTP header can carry")
        self._api_key = api_key
        self._deadline_seconds = deadline_seconds
        self._first_data_seconds = first_data_seconds
        self._silence_seconds = silence_seconds
        self._clock = clock
        self._calls = _http_client(base_url, api_key, connections_max=calls_max)
        self._lookups = _http_client(base_url, api_key, connections_max=_LOOKUPS_MAX)
        self._lookup_slots = asyncio.Semaphore(_LOOKUPS_MAX)

    async def complete(
        self, request: CompletionRequest, *, note_generation: Callable[[str], object] | None = None
    ) -> Completion:
        """Sends the request once. Raises ModelCallFailed unless there is a whole answer.

        `note_generation` is told the provider's id of the call as soon as it is known. A cancelled call may
        have been charged. Its caller treats the charge as UNKNOWN.
        """
        prompts = [content for message in request.messages for content in message.values()]
        confidential = Confidential(self._api_key, prompts)
        http_request = self._calls.build_request(
            "POST",
            "chat/completions",
            content=_body(request),
            headers={"Content-Type": "application/json"},
        )
        exchange = _Exchange(confidential, self._clock)
        await self._run(self._calls, http_request, exchange, self._deadline_seconds, note_generation)
        if exchange.streamed is not None:
            return read_streamed(
                exchange.answer,
                exchange.streamed,
                requested_model=request.model,
                confidential=confidential,
            )
        return read_completion(exchange.answer, requested_model=request.model, confidential=confidential)

    async def generation(self, generation_id: str) -> GenerationRecord | None:
        """The provider's record of a call; None if it has none, or none yet.

        Raises ModelCallFailed if the provider gives no answer. The failure's `charge` means nothing here.
        """
        confidential = Confidential(self._api_key, ())
        http_request = self._lookups.build_request("GET", "generation", params={"id": generation_id})
        async with self._lookup_slots:
            exchange = _Exchange(confidential, self._clock)
            await self._run(self._lookups, http_request, exchange, _LOOKUP_SECONDS)
        return read_generation(exchange.answer, generation_id=generation_id, confidential=confidential)

    async def close(self) -> None:
        await self._calls.aclose()
        await self._lookups.aclose()

    async def _run(
        self,
        http: httpx.AsyncClient,
        request: httpx.Request,
        exchange: _Exchange,
        deadline_seconds: float,
        note_generation: Callable[[str], object] | None = None,
    ) -> None:
        """Ends when the answer is there. An answer whose text is whole is one, whatever happens after it."""
        request.extensions["trace"] = exchange.trace
        silence = asyncio.timeout(self._first_data_seconds)
        # `from None`: exceptions of httpx refer to the request, which has the key and the prompt.
        try:
            async with asyncio.timeout(deadline_seconds), silence:
                await self._read(http, request, exchange, silence, note_generation)
        except TimeoutError:
            if exchange.is_answered:
                return
            raise ModelCallFailed(
                ErrorClass.TIMEOUT,
                "the provider was silent for too long"
                if silence.expired()
                else f"no whole answer from the provider within {deadline_seconds:g} s",
                charge=exchange.charge,
            ) from None
        except httpx.TransportError as error:
            if exchange.is_answered:
                return
            what = "broke before the answer was whole" if exchange.sent else "could not be made"
            raise ModelCallFailed(
                ErrorClass.CONNECTION_FAILED,
                f"the connection to the provider {what} ({type(error).__name__})",
                charge=exchange.charge,
            ) from None

    async def _read(
        self,
        http: httpx.AsyncClient,
        request: httpx.Request,
        exchange: _Exchange,
        silence: asyncio.Timeout,
        note_generation: Callable[[str], object] | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        response = await http.send(request, stream=True)
        try:
            exchange.begin(response)
            async for chunk in response.aiter_raw():
                has_data = exchange.add(chunk)
                if note_generation is not None and (generation_id := exchange.generation_id) is not None:
                    note_generation(generation_id)
                    note_generation = None
                if exchange.streamed is not None and exchange.streamed.is_done:
                    silence.reschedule(loop.time() + _END_SECONDS)
                elif has_data:
                    silence.reschedule(loop.time() + self._silence_seconds)
        finally:
            await response.aclose()
        exchange.end()


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
        "stream": True,
        # OpenRouter reads `usage`, other servers of the same API `stream_options`.
        "usage": {"include": True},
        "stream_options": {"include_usage": True},
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
