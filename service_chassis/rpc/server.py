"""A gRPC server's life: services, health and reflection on one port, and an end that loses nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from service_chassis.rpc.calls import CallGuard, GuardedHandlers
from service_chassis.rpc.reflection import add_reflection

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
_LAST_CALLS_SECONDS = 2.0

_log = structlog.get_logger()


@dataclass(frozen=True)
class Service:
    """A service by its full name, and how its servicer is added to a server."""

    full_name: str
    register: Callable[[grpc.aio.Server], None]


class GrpcServer:
    """Serves once: started, then stopped."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        services: Sequence[Service],
        error_domain: str,
        reflection: bool = True,
        minimum_deadline_seconds: float = 0.01,
        shares_port: bool = False,
    ) -> None:
        """`shares_port` is for worker processes of one service, whose parent holds the port for them."""
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._services = tuple(services)
        self._reflection = reflection
        self._shares_port = shares_port
        self._guard = CallGuard(error_domain=error_domain, minimum_deadline_seconds=minimum_deadline_seconds)
        self._health = health_aio.HealthServicer()
        self._server: grpc.aio.Server | None = None

    async def start(self) -> int:
        """Returns the bound port, a free one for port 0. RuntimeError if the port is taken."""
        self._server = server = grpc.aio.server(
            options=[
                # Else a second server binds the same port, and nobody notices.
                ("grpc.so_reuseport", int(self._shares_port)),
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ],
        )
        handlers = GuardedHandlers(self._guard)
        server.add_generic_rpc_handlers([handlers])
        guarded = cast("grpc.aio.Server", handlers)  # which it is as far as registering goes
        for service in self._services:
            service.register(guarded)
            await self._health.set(service.full_name, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, guarded)
        if self._reflection:
            health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
            add_reflection(guarded, [*(service.full_name for service in self._services), health_name])
        port = server.add_insecure_port(self._address)
        if port == 0:
            raise RuntimeError(f"cannot listen on {self._address}")
        await server.start()
        return port

    async def stop(self, grace_seconds: float) -> None:
        """Health says NOT_SERVING, new calls and streams hear SHUTTING_DOWN, the calls that run finish.

        What still runs after `grace_seconds` is cancelled.
        """
        if self._server is None:
            return
        end = time.monotonic() + grace_seconds
        await self._health.enter_graceful_shutdown()
        # Calls are refused here for as long as others run, since grpcio, once it stops, answers some of the
        # new ones with a bare CANCELLED.
        self._guard.drain()
        # Streams follow something and would not end by themselves; who reads them resumes where they ended.
        self._guard.cut(self._guard.running(streams=True, infrastructure=False))
        calls = self._guard.running(infrastructure=False)
        if calls:
            await asyncio.wait(calls, timeout=grace_seconds)
        # Last, so that who watches health has heard NOT_SERVING.
        self._guard.cut(self._guard.running(streams=True, infrastructure=True))
        await self._server.stop(max(0.0, end - time.monotonic()))
        left = self._guard.running()  # grpcio's stop can leave handlers running
        if left:
            _, undone = await asyncio.wait(left, timeout=_LAST_CALLS_SECONDS)
            if undone:
                _log.warning("calls_left_running", count=len(undone))
