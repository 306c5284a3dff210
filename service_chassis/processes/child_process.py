"""Child processes: each prints a line when it is ready, and is stopped with SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from typing import Self

_READY_SECONDS = 180.0  # after a crash, PostgreSQL first replays its log
_STOP_SECONDS = 45.0  # longer than a service's grace period plus the end of its database work


class ProcessEndedError(Exception):
    """A process ended, or did not become ready. The text is for people."""


class ChildProcess:
    """A running module in its own session: Ctrl-C reaches only the parent, which then stops the child."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.ready_line = ""
        """The first line of its stdout, once it is ready."""
        self._process = process
        self._copying: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, name: str, module: str, *arguments: str, environment: Mapping[str, str]) -> Self:
        """Returns when the child is ready. ProcessEndedError if it ends instead, or takes too long."""
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
        """Waits until the process ends; returns a line with its exit status."""
        return f"{self.name} ended with status {await self._process.wait()}"

    async def stop(self) -> None:
        """Sends SIGTERM, then SIGKILL if the process does not end in time."""
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
    """Reads on, since a full pipe would block the child. Our own stdout is kept for the ready line."""
    while block := await stream.read(4096):
        sys.stderr.buffer.write(block)
        sys.stderr.buffer.flush()
