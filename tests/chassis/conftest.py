"""A small gRPC service with the health service's message types, so that no proto has to be written for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from service_chassis.deadline import seconds_left
from service_chassis.postgres.embedded import EmbeddedPostgres
from service_chassis.refusal import Refusal, invalid_field
from service_chassis.rpc.server import GrpcServer, Service

NAME = "chassis.test.Tiny"
DOMAIN = "tiny.infin8"


@dataclass
class Tiny:
    """`Unary` and `Stream` behave as the request's text says."""

    started: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    finished: int = 0
    cancelled: int = 0
    seconds_left_in_task: float | None = None

    async def unary(self, request: HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        match request.service:
            case "refuse":
                raise invalid_field("profile.name", "is required")
            case "unknown reason":
                raise Refusal("NO_SUCH_REASON", "boo")
            case "raise":
                raise ValueError("SELECT secret FROM prompts")
            case "wrong type":
                return "not a message"
            case "not written":
                raise NotImplementedError("Method not implemented!")
            case "inner cancel":
                inner = asyncio.get_running_loop().create_future()
                inner.cancel()
                await inner
            case "own status":
                await context.abort(grpc.StatusCode.DATA_LOSS, "gone")
            case "task":
                self.seconds_left_in_task = await asyncio.create_task(_seconds_left())
            case "wait":
                self.started.set()
                try:
                    await self.go_on.wait()
                except asyncio.CancelledError:
                    self.cancelled += 1
                    raise
        self.finished += 1
        return HealthCheckResponse(status=HealthCheckResponse.SERVING)

    async def stream(
        self, request: HealthCheckRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[HealthCheckResponse]:
        try:
            yield HealthCheckResponse(status=HealthCheckResponse.SERVING)
            if request.service == "raise":
                raise ValueError("SELECT secret FROM prompts")
            if request.service == "follow":
                self.started.set()
                await self.go_on.wait()
            while request.service == "flood":
                self.started.set()
                yield HealthCheckResponse.FromString(b"\x7a\x80\x80\x40" + bytes(1 << 20))  # an unknown field
        finally:
            self.finished += 1

    def register(self, server: grpc.aio.Server) -> None:
        wire = (HealthCheckRequest.FromString, HealthCheckResponse.SerializeToString)
        handlers: dict[str, Any] = {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary, *wire),
            "Stream": grpc.unary_stream_rpc_method_handler(self.stream, *wire),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, handlers),))


async def _seconds_left() -> float | None:
    return seconds_left()


@pytest.fixture
def tiny() -> Tiny:
    return Tiny()


@pytest.fixture
async def server(tiny: Tiny) -> AsyncIterator[GrpcServer]:
    """A server that the `channel` fixture starts; it is stopped after the test."""
    server = GrpcServer(
        host="127.0.0.1",
        port=0,
        services=[Service(NAME, tiny.register)],
        error_domain=DOMAIN,
        minimum_deadline_seconds=0.05,
    )
    yield server
    await server.stop(0)


@pytest.fixture
async def channel(server: GrpcServer) -> AsyncIterator[grpc.aio.Channel]:
    port = await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel


@pytest.fixture
async def own_postgres(scratch_dir: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A server for this test alone, which may be killed or frozen."""
    server = EmbeddedPostgres(scratch_dir / uuid4().hex)
    await server.start()
    await server.ensure_database("governor", "governor")
    yield server
    await server.stop()
