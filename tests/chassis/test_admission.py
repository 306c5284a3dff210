"""A server bounds its calls and bytes: it answers OVERLOADED beyond a bound, and health still answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse

from service_chassis.refusal import Refusal
from service_chassis.rpc import admission
from service_chassis.rpc.admission import MESSAGE_BYTES_MAX
from service_chassis.rpc.bounds import Bounds
from service_chassis.rpc.errors import from_rpc_error
from service_chassis.rpc.server import GrpcServer, Service
from tests.chassis.callers import asking, health, unary, unary_call
from tests.chassis.conftest import DOMAIN, NAME, Tiny

LARGE = Bounds(message_bytes={"grpc.health.v1.HealthCheckRequest": MESSAGE_BYTES_MAX})

Serve = Callable[..., Awaitable[grpc.aio.Channel]]


@pytest.fixture
async def serve(tiny: Tiny) -> AsyncIterator[Serve]:
    """Starts a server with the given limits and connects to it."""
    async with AsyncExitStack() as stack:

        async def serve(**limits: Any) -> grpc.aio.Channel:
            return await stack.enter_async_context(_served(tiny, **limits))

        yield serve


@asynccontextmanager
async def _served(tiny: Tiny, **limits: Any) -> AsyncIterator[grpc.aio.Channel]:
    services = [Service(NAME, tiny.register, LARGE)]
    server = GrpcServer(host="127.0.0.1", port=0, services=services, error_domain=DOMAIN, **limits)
    port = await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(0)


async def outcome_of(call: Awaitable[Any]) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        refusal = from_rpc_error(error, domain=DOMAIN)
        if refusal is None:
            return f"bare {error.code().name}"
        assert refusal.retry_after_seconds is not None
        return refusal.reason
    return "OK"


async def overloaded(call: Awaitable[Any]) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    refusal = from_rpc_error(raised.value, domain=DOMAIN)
    assert refusal is not None
    assert (raised.value.code(), refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "OVERLOADED")
    assert refusal.retry_after_seconds == 1
    return refusal


async def test_calls_beyond_the_limit_are_refused(serve: Serve, tiny: Tiny) -> None:
    """A call beyond the limit is refused at once with RetryInfo; health is served and not counted."""
    channel = await serve(calls_max=2)
    running = [asyncio.create_task(unary(channel, asking("wait"))) for _ in range(2)]
    await tiny.started.wait()
    await asyncio.sleep(0.1)
    await overloaded(unary(channel, asking("")))
    assert (await health(channel, NAME)).status == HealthCheckResponse.SERVING
    tiny.go_on.set()
    await asyncio.gather(*running)
    await unary(channel, asking(""))


@pytest.mark.parametrize("ending", ["refuse", "raise", "not written"])
async def test_a_call_that_failed_is_no_longer_counted(serve: Serve, ending: str) -> None:
    """However a call ends, it is no longer counted."""
    channel = await serve(calls_max=1)
    for _ in range(3):
        assert await outcome_of(_without_details(unary(channel, asking(ending)))) != "OVERLOADED"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(unary(channel, asking("wait")), 0.2)
    await asyncio.sleep(0.2)
    await unary(channel, asking(""))


async def test_bytes_beyond_the_limit_are_refused(serve: Serve, tiny: Tiny) -> None:
    """The bytes of all running calls are bounded together; a small message that still fits is served."""
    channel = await serve(call_bytes_max=MESSAGE_BYTES_MAX)
    waiting = asking("wait") + b"\x7a\x80\x80\x80\x01" + bytes(2 << 20)  # an unknown field of 2 MiB
    running = asyncio.create_task(unary(channel, waiting))
    await tiny.started.wait()
    await overloaded(unary(channel, asking("x" * (3 << 20))))
    await unary(channel, asking(""))
    tiny.go_on.set()
    await running
    await unary(channel, asking("x" * (3 << 20)))


async def test_a_missing_message_blocks_no_other(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that sends no message is refused after a time, so that the calls behind it are served."""
    monkeypatch.setattr(admission, "_RECEIVE_SECONDS_MAX", 0.2)
    channel = await serve(call_bytes_max=MESSAGE_BYTES_MAX)
    silent: Any = channel.stream_unary(f"/{NAME}/Unary")(timeout=20)
    await silent.wait_for_connection()
    await asyncio.sleep(0.1)
    later = [unary(channel, asking("")) for _ in range(5)]
    assert (await health(channel, NAME)).status == HealthCheckResponse.SERVING
    await asyncio.gather(*later)
    assert "did not arrive" in (await overloaded(silent)).message


async def test_a_cancelled_call_does_not_block_those_behind_it(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that is cancelled before its message is received does not block the calls behind it."""
    monkeypatch.setattr(admission, "_RECEIVE_SECONDS_MAX", 600.0)
    channel = await serve(call_bytes_max=MESSAGE_BYTES_MAX)
    silent: Any = channel.stream_unary(f"/{NAME}/Unary")(timeout=20)
    await silent.wait_for_connection()
    await asyncio.sleep(0.1)
    waiting = [unary_call(channel, asking("")) for _ in range(6)]
    await asyncio.sleep(0.1)
    for call in waiting[::2]:
        call.cancel()
    await asyncio.sleep(0.1)
    silent.cancel()
    await asyncio.gather(*waiting[1::2])


async def test_thousands_of_calls_at_once_are_all_answered(serve: Serve) -> None:
    """Each call is served or OVERLOADED, none is ended by gRPC itself, and health does not wait."""
    channel = await serve(calls_max=50)
    outcomes: Counter[str] = Counter()
    answered_before_health = 0

    async def call() -> None:
        outcomes[await outcome_of(unary(channel, asking(""), seconds=60))] += 1

    async def ask() -> None:
        nonlocal answered_before_health
        await unary(channel, asking(""), method="/grpc.health.v1.Health/Check", seconds=60)
        answered_before_health = outcomes.total()

    await asyncio.gather(*(call() for _ in range(3000)), ask())
    assert outcomes.keys() <= {"OK", "OVERLOADED"}
    assert outcomes.total() == 3000
    assert answered_before_health < 2000


async def _without_details(call: Awaitable[Any]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    assert raised.value.code() is not grpc.StatusCode.UNAVAILABLE
