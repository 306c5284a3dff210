"""Processes that are started by another: each says when it is ready, and ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from typing import Self

_READY_SECONDS = 180.0  # a PostgreSQL that was killed replays its log first
_STOP_SECONDS = 45.0  # more than a service's grace and its database's last work


class ProcessEndedError(Exception):
    """A process ended, or never became ready. Its text is for people."""


class ChildProcess:
    """A running module, in a session of its own: Ctrl-C reaches its parent, which stops it in its turn."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.ready_line = ""
        """The first line of its stdout, once it is ready."""
        self._process = process
        self._copying: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, name: str, module: str, *arguments: str, environment: Mapping[str, str]) -> Self:
        """Returns once it says that it is ready. ProcessEndedError if it ends instead, or takes too long."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "service_chassis.processes.child", module, *arguments),
            stdin=asyncio.subprocess.PIPE,  # see service_chassis.processes.child
            stdout=asyncio.subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
        )
        child = cls(name, process)
        try:
            await child._become_ready()
        except BaseException:
            await child.stop()
            raise
        return child

    async def ended(self) -> str:
        """Waits for its end, and says how it came."""
        return f"{self.name} ended with status {await self._process.wait()}"

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL for what does not end by itself."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            print(f"{self.name} does not stop and is killed", file=sys.stderr)
            self._process.kill()
            await self._process.wait()
        if self._copying is not None:
            await self._copying

    async def _become_ready(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        try:
            async with asyncio.timeout(_READY_SECONDS):
                self.ready_line = (await stdout.readline()).decode().strip()
        except TimeoutError:
            raise ProcessEndedError(f"{self.name} was not ready within {_READY_SECONDS:g} s") from None
        if not self.ready_line:
            raise ProcessEndedError(f"{await self.ended()} before it was ready")
        self._copying = asyncio.create_task(_copy_to_stderr(stdout))


async def _copy_to_stderr(stream: asyncio.StreamReader) -> None:
    """Our own stdout has the one line that others read; a pipe that nobody reads would stop who writes."""
    while block := await stream.read(4096):
        sys.stderr.buffer.write(block)
        sys.stderr.buffer.flush()
