"""PostgreSQL, the simulator, a governor and instances of the workflow service, to be killed and restarted."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from service_chassis.postgres.embedded import EmbeddedPostgres
from service_chassis.postgres.postmaster import Postmaster
from tests.acceptance.served_pair import REPOSITORY
from workflow_service.simulator.behaviours import Behaviour, BehaviourKind
from workflow_service.simulator.server import Simulator

CALL_DEADLINE_SECONDS = 4
_FAST = {
    "WORKFLOW_LEASE_SECONDS": "3",
    "WORKFLOW_LEASE_SECONDS_MIN": "1",
    "WORKFLOW_POLL_SECONDS": "0.3",
    "WORKFLOW_MODEL_CALL_DEADLINE_SECONDS": str(CALL_DEADLINE_SECONDS),
    # A step is killed again and again here, and the governor too.
    "WORKFLOW_TAKEOVERS_MAX": "1000",
    "WORKFLOW_STEP_ATTEMPTS_MAX": "1000",
}
_READY_SECONDS = 60.0
_STOP_SECONDS = 45.0


class Service:
    """A service that runs as a process of ours, always on the same port."""

    def __init__(self, module: str, environment: dict[str, str], log: Path) -> None:
        self.port = _free_port()
        self.is_ready = asyncio.Event()
        self._module = module
        prefix = "GOVERNOR" if module == "governor_service" else "WORKFLOW"
        self._environment = environment | {f"{prefix}_PORT": str(self.port)}
        self._log = log
        self._process: Process | None = None
        self._restarting = asyncio.Lock()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Returns when it is ready. It ends with us, even if we are killed."""
        with self._log.open("ab") as stderr:
            process = self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "service_chassis.processes.child", self._module),
                stdin=PIPE,
                stdout=PIPE,
                stderr=stderr,
                env=self._environment,
                cwd=REPOSITORY,
                start_new_session=True,
            )
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), _READY_SECONDS)
        if line.startswith(b"ready") and process is self._process:
            self.is_ready.set()

    async def kill(self) -> None:
        process, self._process = self._process, None
        self.is_ready.clear()
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def restart(self) -> None:
        """After a kill. A start that fails because something else was down, or is killed, is repeated."""
        async with self._restarting:
            while not self.is_ready.is_set():
                await self.start()
                if not self.is_ready.is_set():
                    await self.kill()
                    await asyncio.sleep(0.2)

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


class Cluster:
    def __init__(
        self,
        postgres: EmbeddedPostgres,
        simulator: Simulator,
        governor: Service,
        instances: list[Service],
    ) -> None:
        self.postgres = postgres
        self.simulator = simulator
        self.governor = governor
        self.instances = instances

    def kill_postgres(self) -> None:
        running = Postmaster.of(self.postgres.cluster)
        if running is not None:
            os.kill(running.pid, signal.SIGKILL)

    def slow_down(self, count: int, dice: random.Random) -> None:
        """The next calls take up to a second and a half each, so that some are always in flight."""
        self.simulator.misbehave(
            *(Behaviour(kind=BehaviourKind.SLOW, seconds=dice.uniform(0.05, 1.5)) for _ in range(count))
        )

    def instance_of(self, client_port: int) -> Service | None:
        """The instance that has a connection from this local port."""
        for instance in self.instances:
            if instance.pid is not None and client_port in _local_ports(instance.pid):
                return instance
        return None


@asynccontextmanager
async def running_cluster(directory: Path, *, instances: int) -> AsyncIterator[Cluster]:
    postgres = EmbeddedPostgres(directory / "data")
    await postgres.start()
    keeper = None
    services: list[Service] = []
    try:
        for name in ("governor", "workflow"):
            await postgres.ensure_database(name, role=name)
        keeper = asyncio.create_task(postgres.keep_running())
        async with Simulator() as simulator:
            common = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
            dsns = {
                f"{name.upper()}_DATABASE_URL": postgres.dsn(name, name) for name in ("governor", "workflow")
            }
            governor = Service("governor_service", common | dsns, directory / "governor.log")
            services.append(governor)
            await governor.start()
            fast = common | dsns | _FAST
            fast |= {
                "WORKFLOW_GOVERNOR_TARGET": governor.target,
                "OPENROUTER_API_KEY": "simulator",
                "OPENROUTER_BASE_URL": simulator.base_url,
                "WORKFLOW_PUBLISH_DIRECTORY": str(directory / "published"),
            }
            for number in range(instances):
                services.append(Service("workflow_service", fast, directory / f"workflow{number}.log"))
                await services[-1].start()
            yield Cluster(postgres, simulator, governor, services[1:])
    finally:
        await asyncio.gather(*(service.stop() for service in reversed(services)))
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        await postgres.stop()


def _free_port() -> int:
    """Below the ports that the kernel gives to connections, so that nobody takes it during a restart."""
    while True:
        with socket.socket() as listener, suppress(OSError):
            port = random.randint(15_000, 30_000)
            listener.bind(("127.0.0.1", port))
            return port


def _local_ports(pid: int) -> set[int]:
    """The local ports of a process's TCP connections."""
    sockets = set()
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                sockets.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return {int(line.split()[1].rpartition(":")[2], 16) for line in lines if line.split()[9] in sockets}
