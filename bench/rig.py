"""Starts the processes that are measured: the embedded PostgreSQL, governors and the echo server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import uuid4

import asyncpg
import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from bench.baseline import make_baseline
from bench.client import Load
from bench.cpu import cpu_seconds
from bench.samples import LoadFailedError, Sample
from infin8.governor.v1 import budget_service_pb2 as budget_pb2
from infin8.governor.v1 import budget_service_pb2_grpc
from service_chassis.postgres.embedded import EmbeddedPostgres
from service_chassis.processes.child_process import ChildProcess

ORGANIZATIONS = 200
_ECHO_ANSWER_BYTES = 505  # an Authorization of these calls has 504, a Settlement 506
_LIMIT_NANO_USD = 10**17
_STATISTICS_SECONDS = 1.1  # a backend publishes its counts at most once a second


@dataclass(frozen=True)
class Server:
    """Where a governor or the echo server listens, and its module and DSN if we started it."""

    address: str
    module: str | None = None
    dsn: str | None = None


@dataclass
class Rig:
    """Everything that one run needs."""

    postgres: EmbeddedPostgres
    echo: Server
    stack: AsyncExitStack
    workers: int
    """The number of worker processes of each governor."""
    organization_ids: tuple[str, ...] = field(
        default_factory=lambda: tuple(str(uuid4()) for _ in range(ORGANIZATIONS))
    )

    async def database(self, name: str) -> str:
        """Creates an empty database; returns the superuser's DSN for it."""
        await self.postgres.ensure_database(name, role=name)
        return self.postgres.dsn(name)

    async def governor(self, database: str) -> Server:
        """Starts a governor with the GOVERNOR_… variables. Creates its database if it is missing."""
        await self.postgres.ensure_database(database, role=database)
        dsn = self.postgres.dsn(database, role=database)
        process = await ChildProcess.start(
            f"the governor of {database}",
            "governor_service",
            f"--workers={self.workers}",
            environment={
                **os.environ,
                "GOVERNOR_DATABASE_URL": dsn,
                "GOVERNOR_HOST": "127.0.0.1",
                "GOVERNOR_PORT": "0",
            },
        )
        self.stack.push_async_callback(process.stop)
        return Server(process.ready_line.rpartition("=")[2], "governor_service", dsn)

    async def baseline(self) -> str:
        """Creates a database with the document's function; returns its DSN."""
        dsn = await self.database("baseline")
        await make_baseline(dsn)
        return dsn

    async def settings(self) -> dict[str, str]:
        """PostgreSQL's settings that affect speed and durability."""
        connection = await asyncpg.connect(self.postgres.dsn("postgres"))
        try:
            rows = await connection.fetch(
                "SELECT name, current_setting(name) AS value FROM pg_settings WHERE name = ANY ($1)",
                [
                    *("server_version", "fsync", "synchronous_commit", "full_page_writes", "max_connections"),
                    *("shared_buffers", "max_wal_size"),
                ],
            )
        finally:
            await connection.close()
        return {row["name"]: row["value"] for row in rows}


@contextmanager
def _open_directory() -> Iterator[Path]:
    """A directory that PostgreSQL's account can enter if we are root."""
    with tempfile.TemporaryDirectory(prefix="infin8-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


@asynccontextmanager
async def running_rig(workers: int) -> AsyncIterator[Rig]:
    """PostgreSQL with durable settings in a temporary directory, and the echo server. All end afterwards."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(_open_directory())
        # Another process owns the server too, and stops it if this process is killed.
        owner = await ChildProcess.start(
            "PostgreSQL", "pair.postgres", str(directory), environment={**os.environ}
        )
        stack.push_async_callback(owner.stop)
        postgres = EmbeddedPostgres(directory)
        await postgres.start()
        stack.push_async_callback(postgres.stop)
        echo = await ChildProcess.start(
            "the echo", "bench.echo", str(_ECHO_ANSWER_BYTES), environment={**os.environ}
        )
        stack.push_async_callback(echo.stop)
        yield Rig(postgres, Server(echo.ready_line.rpartition("=")[2], "bench.echo"), stack, workers)


async def lift_limits(server: Server, organization_ids: Sequence[str]) -> None:
    """Sets limits that no load reaches: denials cost less than holds, and would improve the figures."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        budgets = budget_service_pb2_grpc.BudgetServiceStub(channel)
        for organization_id in organization_ids:
            await budgets.SetOrganization(
                budget_pb2.SetOrganizationRequest(
                    organization=budget_pb2.Organization(
                        organization_id=organization_id,
                        workflow_limit_nano_usd=_LIMIT_NANO_USD,
                        monthly_quota_nano_usd=_LIMIT_NANO_USD,
                    ),
                    update_mask=FieldMask(paths=["workflow_limit_nano_usd", "monthly_quota_nano_usd"]),
                ),
                timeout=10,
            )


async def measure(server: Server, load: Load) -> Sample:
    """Puts a load on a server. LoadFailedError if any call fails."""
    transactions = await _transactions(server)
    cpu, postgres_cpu = _cpu_seconds(server)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.client", json.dumps(asdict(load))), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise LoadFailedError(f"the load client ended with status {process.returncode}")
    result = json.loads(output)
    if result["errors"]:
        raise LoadFailedError(f"calls failed: {Counter(result['errors']).most_common(3)}")
    if not result["unit_seconds"]:
        raise LoadFailedError("not one call came back in time")
    # Processor time and commits are known only for the whole load, including warming up.
    pairs = result["pairs"] * (load.warm_up_seconds + load.seconds) / load.seconds
    cpu_after, postgres_cpu_after = _cpu_seconds(server)
    transactions_after = await _transactions(server)
    seconds = sorted(result["unit_seconds"])
    return Sample(
        pairs_per_second=result["pairs"] / load.seconds,
        p50_seconds=seconds[len(seconds) // 2],
        p99_seconds=seconds[len(seconds) * 99 // 100],
        server_cpu_us=_each(cpu, cpu_after, pairs),
        postgres_cpu_us=_each(postgres_cpu, postgres_cpu_after, pairs),
        client_cpu_us=result["cpu_seconds"] / pairs * 1e6,
        calls_per_transaction=(
            2 * pairs / (transactions_after - transactions)
            if transactions is not None
            and transactions_after is not None
            and transactions_after > transactions
            and load.unit != "monthly_cost"
            else None
        ),
    )


def _cpu_seconds(server: Server) -> tuple[float | None, float | None]:
    return (
        cpu_seconds(server.module) if server.module else None,
        cpu_seconds("pair.postgres") if server.dsn else None,
    )


def _each(before: float | None, after: float | None, pairs: float) -> float | None:
    return None if before is None or after is None else (after - before) / pairs * 1e6


async def _transactions(server: Server) -> int | None:
    """The number of transactions committed in the server's database."""
    if server.dsn is None:
        return None
    await asyncio.sleep(_STATISTICS_SECONDS)
    connection = await asyncpg.connect(server.dsn)
    try:
        count: int = await connection.fetchval(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        )
    finally:
        await connection.close()
    return count
