"""A server that answers with any bytes, also those that no well-behaved server sends, and a client of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from workflow_service.clients.openrouter import (
    CompletionRequest,
    MaxPrice,
    ModelCallFailed,
    OpenRouterClient,
)

API_KEY = "a-key-0123456789abcdef"
REQUEST = CompletionRequest(
    model="perplexity/sonar",
    messages=({"role": "user", "content": "Describe the ideal customer of the Acme corporation."},),
    max_tokens=700,
    max_price=MaxPrice(1_000_000_000, 1_000_000_000, 12_000_000),
)


@dataclass
class Received:
    """One request, as it was received."""

    head: str
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        lines = (line.partition(":") for line in self.head.split("\r\n")[1:] if line)
        return {name.strip().lower(): value.strip() for name, _, value in lines}


@dataclass
class RawServer:
    base_url: str = ""
    received: list[Received] = field(default_factory=list)


Behave = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(*answers: bytes | Behave) -> AsyncIterator[RawServer]:
    """Answers the requests with `answers` in turn and repeats the last one; one request a connection."""
    server = RawServer()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            received = Received(head, b"")
            received.body = await reader.readexactly(int(received.headers.get("content-length", 0)))
            answer = answers[min(len(server.received), len(answers) - 1)]
            server.received.append(received)
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, which some tests want
        finally:
            writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    server.base_url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/api/v1"
    try:
        yield server
    finally:
        listener.close()
        await listener.wait_closed()


def answer(status: int, body: bytes | Mapping[str, Any], headers: Mapping[str, str] | None = None) -> bytes:
    """An HTTP answer with this body, which is encoded as JSON unless it is bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def completion(**changes: Any) -> dict[str, Any]:
    """A good answer of OpenRouter with some top-level fields changed; None removes a field."""
    document: dict[str, Any] = {
        "id": "gen-1",
        "model": "perplexity/sonar",
        "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "cost": 0.012015},
    }
    document |= changes
    return {name: value for name, value in document.items() if value is not None}


@asynccontextmanager
async def calling(base_url: str, **options: Any) -> AsyncIterator[OpenRouterClient]:
    client = OpenRouterClient(base_url, API_KEY, **options)
    try:
        yield client
    finally:
        await client.close()


async def failure(client: OpenRouterClient, request: CompletionRequest = REQUEST) -> ModelCallFailed:
    """The failure of a call; fails if the call succeeds."""
    try:
        await client.complete(request)
    except ModelCallFailed as failed:
        return failed
    raise AssertionError("the call succeeded")
