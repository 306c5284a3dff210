"""A gRPC server's life: services, health and reflection on one port, and an end that loses nothing."""

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
    """A service by its full name, how its servicer is added to a server, and what its requests may hold."""

    full_name: str
    register: Callable[[grpc.aio.Server], None]
    bounds: Bounds = field(default_factory=Bounds)


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
        calls_max: int = 1000,
        call_bytes_max: int = 64 * 1024 * 1024,
        shares_port: bool = False,
    ) -> None:
        """`shares_port` is for worker processes of one service, whose parent holds the port for them."""
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
        """Returns the bound port, a free one for port 0. RuntimeError if the port is taken."""
        self._server = server = grpc.aio.server(
            options=[
                # Else a second server binds the same port, and nobody notices.
                ("grpc.so_reuseport", int(self._shares_port)),
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                # Else gRPC ends calls with a bare CANCELLED: some when a thousand wait to be accepted, and
                # any that has waited for half a minute. The guard refuses what is too much, and says so.
                ("grpc.server.max_pending_requests", _NO_BOUND),
                ("grpc.server.max_pending_requests_hard_limit", _NO_BOUND),
                ("grpc.server_max_unrequested_time_in_server", _NO_BOUND),
            ],
        )
        handlers = GuardedHandlers(self._guard)
        server.add_generic_rpc_handlers([handlers])
        guarded = cast("grpc.aio.Server", handlers)  # which it is as far as registering goes
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
        """Health says NOT_SERVING, new calls and streams hear SHUTTING_DOWN, the calls that run finish.

        What still runs after `grace_seconds` hears SHUTTING_DOWN, too, and is cancelled.
        """
        if self._server is None:
            return
        end = time.monotonic() + grace_seconds
        await self._health.enter_graceful_shutdown()
        # Calls are refused here for as long as others run, since grpcio, once it stops, answers new ones with
        # a bare CANCELLED.
        self._guard.drain()
        # Streams follow something and would not end by themselves; who reads them resumes where they ended.
        self._guard.cut(self._guard.running(streams=True, infrastructure=False))
        calls = self._guard.running(infrastructure=False)
        if calls:
            _, left = await asyncio.wait(calls, timeout=grace_seconds)
            self._guard.cut(left)
            await self._hold_refusals()
        # Last, so that who watches health has heard NOT_SERVING.
        self._guard.cut(self._guard.running(streams=True, infrastructure=True))
        stopping = asyncio.create_task(self._server.stop(max(_LAST_CALLS_SECONDS, end - time.monotonic())))
        await asyncio.sleep(_GOODBYE_SECONDS if calls else 0)
        self._guard.release_refusals()
        await stopping
        left = self._guard.running()  # grpcio's stop can leave handlers running
        if left:
            _, undone = await asyncio.wait(left, timeout=_LAST_CALLS_SECONDS)
            if undone:
                _log.warning("calls_left_running", count=len(undone))
        self._guard.close()

    async def _hold_refusals(self) -> None:
        """Lets new calls wait for their refusal, until no more of them come.

        A caller that tries again at once would always have a call on its way when gRPC stops, which ends it
        with a bare CANCELLED. So all are answered after gRPC has told the connections to go away: a call that
        is tried again then makes a new connection, and is told that there is none.
        """
        end = time.monotonic() + _LAST_CALLS_SECONDS
        self._guard.hold_refusals()
        refused_count = -1
        while refused_count != self._guard.refused_count and time.monotonic() < end:
            refused_count = self._guard.refused_count
            await asyncio.sleep(_QUIET_SECONDS)

    def _accept_health_by_itself(self, server: grpc.aio.Server, handlers: GuardedHandlers) -> None:
        """As a registered method, which gRPC keeps a queue of its own for.

        All other calls are in one queue; a health check must not wait until thousands of them are accepted.
        """
        handler = handlers.guarded[f"/{_HEALTH}/Check"]
        cast("Any", server).add_registered_method_handlers(_HEALTH, {"Check": handler})
