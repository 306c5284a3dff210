"""A broken call says whether the provider can have acted on it, and ends within one total deadline."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import replace

import pytest

from tests.models.http_server import REQUEST, answer, calling, completion, failure, serving
from workflow_service.clients.openrouter import ChargeKind, MaxPrice
from workflow_service.domain.error_class import ErrorClass

HEAD = b"HTTP/1.1 200 OK\r\nX-Generation-Id: gen-9\r\nContent-Length: 1000\r\n\r\n"


async def drip(writer: asyncio.StreamWriter) -> None:
    """Sends a byte of white space every 20 ms without end; each one would reset a read timeout."""
    writer.write(HEAD)
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def drip_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: 1\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def hang(writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


async def break_off(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b'{"id": "gen-9", "choices": [')
    await writer.drain()


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def test_a_server_that_drips_bytes_meets_one_total_deadline() -> None:
    """Bytes of body or headers do not extend the deadline; the cost is unknown, and the id is kept."""
    for behave, generation_id in ((drip, "gen-9"), (drip_headers, None)):
        async with serving(behave) as server, calling(server.base_url, deadline_seconds=0.3) as client:
            start = time.monotonic()
            failed = await failure(client)
            assert time.monotonic() - start < 5
        assert failed.error_class is ErrorClass.TIMEOUT
        assert (failed.charge.kind, failed.charge.generation_id) == (ChargeKind.UNKNOWN, generation_id)


async def test_a_server_that_never_answers() -> None:
    """TIMEOUT: the request was sent, so its cost is unknown."""
    async with serving(hang) as server, calling(server.base_url, deadline_seconds=0.2) as client:
        failed = await failure(client)
    assert (failed.error_class, failed.charge.kind) == (ErrorClass.TIMEOUT, ChargeKind.UNKNOWN)


async def test_a_refused_connection_costs_nothing() -> None:
    """Where nothing listens the call is CONNECTION_FAILED and NOT_CHARGED."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    async with calling(f"http://127.0.0.1:{port}/api/v1") as client:
        failed = await failure(client)
    assert (failed.error_class, failed.charge.kind) == (ErrorClass.CONNECTION_FAILED, ChargeKind.NOT_CHARGED)


async def test_a_deadline_before_the_request_left_costs_nothing() -> None:
    """TIMEOUT before the connection is accepted: the request was not sent, so nothing was charged."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        base_url = f"http://127.0.0.1:{full.getsockname()[1]}/api/v1"
        async with calling(base_url, deadline_seconds=0.2) as client:
            failed = await failure(client)
        for one in waiting:
            one.close()
    assert (failed.error_class, failed.charge.kind) == (ErrorClass.TIMEOUT, ChargeKind.NOT_CHARGED)


async def test_a_connection_cut_after_the_request_was_sent() -> None:
    """A cut before or inside the body leaves the cost unknown; an id that was received is kept."""
    for behave, generation_id in ((reset, None), (break_off, "gen-9")):
        async with serving(behave) as server, calling(server.base_url) as client:
            failed = await failure(client)
        assert failed.error_class is ErrorClass.CONNECTION_FAILED
        assert (failed.charge.kind, failed.charge.generation_id) == (ChargeKind.UNKNOWN, generation_id)


async def test_an_answer_that_is_not_http_is_a_failed_connection() -> None:
    """An answer that is not HTTP is CONNECTION_FAILED."""
    async with serving(b"SSH-2.0-OpenSSH_9.6\r\n\r\n") as server, calling(server.base_url) as client:
        assert (await failure(client)).error_class is ErrorClass.CONNECTION_FAILED


async def test_an_answer_without_end_is_not_read() -> None:
    """An answer above 4 MiB is MALFORMED_RESPONSE with unknown cost, so memory is bounded."""

    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            writer.write(b" " * 65536)
            await writer.drain()

    async with serving(flood) as server, calling(server.base_url) as client:
        failed = await failure(client)
    assert (failed.error_class, failed.charge.kind) == (ErrorClass.MALFORMED_RESPONSE, ChargeKind.UNKNOWN)
    assert str(failed) == "the answer is larger than 4194304 bytes"


async def test_a_redirect_is_not_followed() -> None:
    """The key and the prompt go to no other address, and nothing was charged."""
    async with serving(answer(200, completion())) as elsewhere:
        redirect = answer(307, b"", {"Location": f"{elsewhere.base_url}/chat/completions"})
        async with serving(redirect) as server, calling(server.base_url) as client:
            failed = await failure(client)
    assert elsewhere.received == []
    assert (failed.error_class, failed.charge.kind) == (ErrorClass.INVALID_REQUEST, ChargeKind.NOT_CHARGED)


async def test_calls_at_once_do_not_wait_for_each_other() -> None:
    """A call that hangs does not delay others; when it is cancelled it raises CancelledError."""
    arrived = asyncio.Event()

    async def hang_on_arrival(writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await writer.wait_closed()

    async with (
        serving(hang_on_arrival, answer(200, completion())) as server,
        calling(server.base_url, deadline_seconds=5) as client,
    ):
        hanging = asyncio.create_task(client.complete(REQUEST))
        await arrived.wait()
        other = replace(REQUEST, max_price=MaxPrice(1, 1, 1))
        completions = await asyncio.gather(*(client.complete(other) for _ in range(20)))
        assert {completed.text for completed in completions} == {"Hello."}
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
