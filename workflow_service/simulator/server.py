"""Starts and stops the simulator: a socket with a uvicorn server on it."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from workflow_service.simulator.api import SimulatorApi
from workflow_service.simulator.behaviours import Behaviour
from workflow_service.simulator.documents import Call
from workflow_service.simulator.prices import PRICES, ModelPrice

# Longer than clients keep idle connections. The client closes first, so no call meets a closing socket.
_KEEP_ALIVE_SECONDS: Final = 60
_STOP_SECONDS: Final = 5


class Simulator:
    """`async with Simulator() as simulator:` serves on 127.0.0.1 until the block ends."""

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, prices: Mapping[str, ModelPrice] = PRICES
    ) -> None:
        self._address = (host, port)
        self._api = SimulatorApi(prices)
        self._origin = ""

    @property
    def base_url(self) -> str:
        """What a client of OpenRouter takes for OPENROUTER_BASE_URL."""
        return f"{self._origin}/api/v1"

    @property
    def control_url(self) -> str:
        return f"{self._origin}/control"

    @property
    def calls(self) -> Sequence[Call]:
        """Received since the start or the last reset, oldest first."""
        return tuple(self._api.calls)

    def misbehave(self, *behaviours: Behaviour) -> None:
        """Adds to the script; the same as POST /control/script."""
        self._api.script.add(behaviours)

    def reset(self) -> None:
        self._api.reset()

    async def __aenter__(self) -> Self:
        # asyncio switches Nagle's algorithm off only if the protocol is named. With it, an answer on a reused
        # connection takes 40 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(self._address)
        listener.listen()
        host, port = listener.getsockname()[:2]
        self._origin = f"http://{host}:{port}"
        config = uvicorn.Config(
            self._api.app,
            http=_Protocol,
            lifespan="off",
            log_config=None,
            log_level="critical",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        self._server = _Server(config)
        # The socket listens already. Connections wait in its backlog until uvicorn accepts them.
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._api.stopping.set()
        self._server.should_exit = True
        await self._serving


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Installs no handlers: signals are for the surrounding process."""
        yield


class _Protocol(H11Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        # A handler that has to cut the connection uses request.state.transport.
        self.app_state: dict[str, Any] = {**self.app_state, "transport": transport}
