"""A gRPC server: services, health and reflection on one port, and a stop that loses no call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from service_chassis.rpc.admission import MESSAGE_BYTES_MAX
from service_chassis.rpc.bounds import Bounds
from service_chassis.rpc.calls import CallGuard, GuardedHandlers
from service_chassis.rpc.reflection import add_reflection

_LAST_CALLS_SECONDS: Final = 2.0
_QUIET_SECONDS: Final = 0.05
_GOODBYE_SECONDS: Final = 0.05

_HEALTH: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_NO_BOUND: Final = 2**31 - 1

_log = structlog.get_logger()


@dataclass(frozen=True)
class Service:
    """A service by its full name, the function that adds it to a server, and the bounds of its requests."""

    full_name: str
    register: Callable[[grpc.aio.Server], None]
    bounds: Bounds = field(default_factory=Bounds)


class GrpcServer:
    """A server that is started once and stopped once."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        services: Sequence[Service],
        error_domain: str,
        reflection: bool = True,
        minimum_deadline_seconds: float = 0.01,
        calls_max: int = 1000,
        call_bytes_max: int = 64 * 1024 * 1024,
        shares_port: bool = False,
    ) -> None:
        """`shares_port` is for the worker processes of one service; their parent reserves the port."""
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._services = tuple(services)
        self._reflection = reflection
        self._shares_port = shares_port
        self._guard = CallGuard(
            error_domain=error_domain,
            minimum_deadline_seconds=minimum_deadline_seconds,
            calls_max=calls_max,
            message_bytes_max=call_bytes_max,
        )
        self._health = health_aio.HealthServicer()
        self._server: grpc.aio.Server | None = None

    async def start(self) -> int:
        """Returns the port; for port 0 the one that was chosen. RuntimeError if the port is taken."""
        self._server = server = grpc.aio.server(
            options=[
                # Otherwise a second server could bind the same port unnoticed.
                ("grpc.so_reuseport", int(self._shares_port)),
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                # Otherwise gRPC ends calls with CANCELLED and no reason: some when a thousand wait to be
                # accepted, and any that has waited for half a minute. The guard refuses excess calls instead.
                ("grpc.server.max_pending_requests", _NO_BOUND),
                ("grpc.server.max_pending_requests_hard_limit", _NO_BOUND),
                ("grpc.server_max_unrequested_time_in_server", _NO_BOUND),
            ],
        )
        handlers = GuardedHandlers(self._guard)
        server.add_generic_rpc_handlers([handlers])
        guarded = cast("grpc.aio.Server", handlers)  # it has the methods that registering needs
        for service in self._services:
            handlers.bounds[service.full_name] = service.bounds
            service.register(guarded)
            await self._health.set(service.full_name, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, guarded)
        self._accept_health_by_itself(server, handlers)
        if self._reflection:
            add_reflection(guarded, [*(service.full_name for service in self._services), _HEALTH])
        port = server.add_insecure_port(self._address)
        if port == 0:
            raise RuntimeError(f"cannot listen on {self._address}")
        await server.start()
        return port

    async def stop(self, grace_seconds: float) -> None:
        """Health reports NOT_SERVING, new calls and streams get SHUTTING_DOWN, and running calls finish.

        Calls that still run after `grace_seconds` are cancelled and get SHUTTING_DOWN too.
        """
        if self._server is None:
            return
        end = time.monotonic() + grace_seconds
        await self._health.enter_graceful_shutdown()
        # While other calls run, new ones are refused by the guard: once grpcio stops, it answers them with
        # CANCELLED and no reason.
        self._guard.drain()
        # Streams watch something and would never end on their own. Their clients can resume.
        self._guard.cut(self._guard.running(streams=True, infrastructure=False))
        calls = self._guard.running(infrastructure=False)
        if calls:
            _, left = await asyncio.wait(calls, timeout=grace_seconds)
            self._guard.cut(left)
            await self._hold_refusals()
        # Last, so that clients that watch health have received NOT_SERVING.
        self._guard.cut(self._guard.running(streams=True, infrastructure=True))
        stopping = asyncio.create_task(self._server.stop(max(_LAST_CALLS_SECONDS, end - time.monotonic())))
        await asyncio.sleep(_GOODBYE_SECONDS if calls else 0)
        self._guard.release_refusals()
        await stopping
        left = self._guard.running()  # grpcio may return from stop while handlers still run
        if left:
            _, undone = await asyncio.wait(left, timeout=_LAST_CALLS_SECONDS)
            if undone:
                _log.warning("calls_left_running", count=len(undone))
        self._guard.close()

    async def _hold_refusals(self) -> None:
        """Holds back the refusals of new calls, until no new calls arrive.

        A client that retries immediately would always have a call under way when gRPC stops, and gRPC ends
        such a call with CANCELLED and no reason. So the refusals are sent after gRPC has told the clients to
        close their connections. A retry then needs a new connection, and fails with UNAVAILABLE.
        """
        end = time.monotonic() + _LAST_CALLS_SECONDS
        self._guard.hold_refusals()
        refused_count = -1
        while refused_count != self._guard.refused_count and time.monotonic() < end:
            refused_count = self._guard.refused_count
            await asyncio.sleep(_QUIET_SECONDS)

    def _accept_health_by_itself(self, server: grpc.aio.Server, handlers: GuardedHandlers) -> None:
        """Makes the health check a registered method, since gRPC keeps a separate queue for each of those.

        All other calls share one queue, and a health check must not wait behind thousands of them.
        """
        handler = handlers.guarded[f"/{_HEALTH}/Check"]
        cast("Any", server).add_registered_method_handlers(_HEALTH, {"Check": handler})
