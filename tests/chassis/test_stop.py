"""A server stops in order: health first, running calls finish, later calls are refused, nothing remains."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse

from service_chassis.refusal import Refusal
from service_chassis.rpc.errors import from_rpc_error
from service_chassis.rpc.server import GrpcServer, Service
from tests.chassis.callers import asking, health, stream, stream_call, unary, watch_health
from tests.chassis.conftest import DOMAIN, NAME, Tiny


async def refusal_of(awaitable: Awaitable[object]) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await awaitable
    refusal = from_rpc_error(raised.value, domain=DOMAIN)
    assert refusal is not None
    return refusal


async def test_what_runs_finishes(server: GrpcServer, channel: grpc.aio.Channel, tiny: Tiny) -> None:
    """A running call gets its answer after the stop has begun; a new one gets SHUTTING_DOWN."""
    running = asyncio.create_task(unary(channel, asking("wait")))
    await tiny.started.wait()
    stopping = asyncio.create_task(server.stop(10))
    await asyncio.sleep(0)
    assert (await refusal_of(unary(channel, asking("")))).reason == "SHUTTING_DOWN"
    done, _ = await asyncio.wait({running, stopping}, timeout=0.3)
    assert not done
    tiny.go_on.set()
    assert (await running).status == HealthCheckResponse.SERVING
    await stopping
    assert tiny.finished == 1


async def test_health_says_so_first(server: GrpcServer, channel: grpc.aio.Channel, tiny: Tiny) -> None:
    """Watch and Check report NOT_SERVING while calls still run."""
    watch = aiter(watch_health(channel, NAME))
    assert (await anext(watch)).status == HealthCheckResponse.SERVING
    running = asyncio.create_task(unary(channel, asking("wait")))
    await tiny.started.wait()
    stopping = asyncio.create_task(server.stop(10))
    assert (await anext(watch)).status == HealthCheckResponse.NOT_SERVING
    for service in ("", NAME):
        assert (await health(channel, service)).status == HealthCheckResponse.NOT_SERVING
    assert not running.done()
    tiny.go_on.set()
    await asyncio.gather(running, stopping)


async def test_streams_are_ended(server: GrpcServer, channel: grpc.aio.Channel, tiny: Tiny) -> None:
    """A stream without an end ends at once with SHUTTING_DOWN, and its generator is closed."""
    following = asyncio.create_task(stream(channel, asking("follow")))
    await tiny.started.wait()
    began = time.monotonic()
    await server.stop(10)
    assert time.monotonic() - began < 2
    refusal = await refusal_of(following)
    assert (refusal.reason, refusal.retry_after_seconds) == ("SHUTTING_DOWN", 1)
    assert tiny.finished == 1


async def test_a_stream_that_nobody_reads_is_closed(
    server: GrpcServer, channel: grpc.aio.Channel, tiny: Tiny
) -> None:
    """A generator that waits at a yield because of flow control is closed too."""
    call = stream_call(channel, asking("flood"))
    await tiny.started.wait()
    await server.stop(0.2)
    assert tiny.finished == 1
    call.cancel()


async def test_what_does_not_finish_is_cancelled(
    server: GrpcServer, channel: grpc.aio.Channel, tiny: Tiny
) -> None:
    """After the grace a running handler is cancelled before stop() returns; its caller gets SHUTTING_DOWN."""
    running = asyncio.create_task(unary(channel, asking("wait")))
    await tiny.started.wait()
    began = time.monotonic()
    await server.stop(0.2)
    assert 0.2 <= time.monotonic() - began < 2
    assert tiny.cancelled == 1
    refusal = await refusal_of(running)
    assert (refusal.reason, refusal.retry_after_seconds) == ("SHUTTING_DOWN", 1)


async def test_callers_that_try_again_at_once_get_a_reason(
    server: GrpcServer, channel: grpc.aio.Channel, tiny: Tiny
) -> None:
    """Under load each call is served, gets SHUTTING_DOWN or finds no connection; none is just CANCELLED."""
    outcomes: Counter[str] = Counter()

    async def hammer() -> None:
        while True:
            try:
                await unary(channel, asking(""))
                outcomes["OK"] += 1
            except grpc.aio.AioRpcError as error:
                refusal = from_rpc_error(error, domain=DOMAIN)
                outcomes[refusal.reason if refusal else error.code().name] += 1
                if refusal is None:
                    return

    waiting = asyncio.create_task(unary(channel, asking("wait")))
    await tiny.started.wait()
    hammers = [asyncio.create_task(hammer()) for _ in range(200)]
    await asyncio.sleep(0.3)
    stopping = asyncio.create_task(server.stop(10))
    await asyncio.sleep(0.3)
    tiny.go_on.set()
    await asyncio.gather(waiting, stopping, *hammers)
    assert outcomes.keys() == {"OK", "SHUTTING_DOWN", "UNAVAILABLE"}
    assert outcomes["UNAVAILABLE"] == len(hammers)


async def test_a_port_is_served_by_one(tiny: Tiny) -> None:
    """A second server on the same port fails to start instead of sharing it silently."""
    services = [Service(NAME, tiny.register)]
    first = GrpcServer(host="127.0.0.1", port=0, services=services, error_domain=DOMAIN)
    port = await first.start()
    second = GrpcServer(host="127.0.0.1", port=port, services=services, error_domain=DOMAIN)
    with pytest.raises(RuntimeError):
        await second.start()
    await first.stop(0)
