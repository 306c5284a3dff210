"""Several governor processes on one database (S34): no overspend, no double charge, no deadlock."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest

from infin8.governor.v1 import entry_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from infin8.governor.v1.governor_service_pb2_grpc import GovernorServiceStub
from service_chassis.processes.child_process import ChildProcess
from tests.governor.conftest import SONAR, new_id

pytestmark = pytest.mark.on_disk

PROCESSES = 3
HOLD = 2_400_000
USAGE = entry_pb2.Usage(input_tokens=600, output_tokens=100, requests=1)
COST = 800_000
ROOM = 416  # holds of 2,400,000 that fit into 1.00 USD


@asynccontextmanager
async def governors(dsn: str, *arguments: str, processes: int = 1) -> AsyncIterator[list[str]]:
    """The addresses of the governors."""
    environment = os.environ | {
        "GOVERNOR_DATABASE_URL": dsn,
        "GOVERNOR_PORT": "0",
        "GOVERNOR_PRICE_LIST": "document",
    }
    started: list[ChildProcess] = []
    try:
        for number in range(processes):
            child = await ChildProcess.start(
                f"governor {number}", "governor_service", *arguments, environment=environment
            )
            started.append(child)
        yield [child.ready_line.partition("=")[2] for child in started]
    finally:
        await asyncio.gather(*(child.stop() for child in started))


async def violations(dsn: str) -> tuple[list[asyncpg.Record], int]:
    """The rows of verify.sql, and the number of deadlocks in this database."""
    connection = await asyncpg.connect(dsn)
    try:
        verify = files("governor_service.store").joinpath("verify.sql").read_text(encoding="utf-8")
        found = await connection.fetch(verify)
        deadlocks = await connection.fetchval(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
    finally:
        await connection.close()
    return list(found), deadlocks


@pytest.mark.parametrize(
    ("organizations", "workflows"), [(40, 3), (1, 1), (1, 40)], ids=["spread", "workflow", "organization"]
)
async def test_hammered_with_batches_at_once(governor_dsn: str, organizations: int, workflows: int) -> None:
    """Batches that repeat each other's items go through every process at once."""
    names = [(new_id(), [new_id() for _ in range(workflows)]) for _ in range(organizations)]

    def request() -> governor_pb2.AuthorizeRequest:
        organization_id, ids = random.choice(names)
        return governor_pb2.AuthorizeRequest(
            organization_id=organization_id,
            workflow_id=random.choice(ids),
            request_id=new_id(),
            models=[SONAR],
            input_tokens_max=1000,
            output_tokens_max=700,
        )

    requests = [request() for _ in range(1200)]
    async with AsyncExitStack() as stack:
        addresses = await stack.enter_async_context(governors(governor_dsn, processes=PROCESSES))
        stubs = [
            GovernorServiceStub(await stack.enter_async_context(grpc.aio.insecure_channel(address)))
            for address in addresses
        ]

        async def authorize(stub: Any, chunk: list[governor_pb2.AuthorizeRequest]) -> list[Any]:
            answer = await stub.BatchAuthorize(governor_pb2.BatchAuthorizeRequest(items=chunk))
            return list(answer.results)

        # Each request is sent twice, through two processes, in batches of different order.
        calls = []
        for turn in range(2):
            shuffled = random.sample(requests, len(requests))
            calls += [
                authorize(stubs[(turn + place // 60) % PROCESSES], shuffled[place : place + 60])
                for place in range(0, len(shuffled), 60)
            ]
        results = [result for answer in await asyncio.gather(*calls) for result in answer]
        granted = {
            result.result.authorization_id: result.result
            for result in results
            if result.WhichOneof("outcome") == "result"
        }
        replays = sum(result.result.replayed for result in results if result.HasField("result"))
        assert replays == sum(result.HasField("result") for result in results) - len(granted)
        if (organizations, workflows) == (1, 1):
            assert len(granted) == ROOM

        settlements = [
            governor_pb2.SettleRequest(
                organization_id=hold.organization_id, authorization_id=hold.authorization_id, usage=USAGE
            )
            for hold in granted.values()
        ]

        async def settle(stub: Any, chunk: list[governor_pb2.SettleRequest]) -> list[Any]:
            answer = await stub.BatchSettle(governor_pb2.BatchSettleRequest(items=chunk))
            return list(answer.results)

        settled = await asyncio.gather(
            *(
                settle(stub, shuffled[place : place + 100])
                for stub in stubs
                for shuffled in [random.sample(settlements, len(settlements))]
                for place in range(0, len(shuffled), 100)
            )
        )
        outcomes = [result for answer in settled for result in answer]
        assert all(result.result.entry.cost_nano_usd == COST for result in outcomes)
        assert sum(not result.result.replayed for result in outcomes) == len(granted)

    assert await violations(governor_dsn) == ([], 0)


def listeners(port: int) -> int:
    """How many sockets listen on a port; gRPC listens on IPv6, also for an IPv4 address."""
    listening, suffix = "0A", f":{port:04X}"
    tables = [Path("/proc/net", name).read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table]
    return sum(row[1].endswith(suffix) and row[3] == listening for row in rows)


async def test_workers_share_a_port(governor_dsn: str) -> None:
    """Each worker listens on the port, every connection is answered, and a stop ends all workers."""
    async with governors(governor_dsn, "--workers", "2") as (address,):
        port = int(address.rpartition(":")[2])
        assert listeners(port) == 2
        for _ in range(20):
            # A separate channel each time, since gRPC would share the connection.
            async with grpc.aio.insecure_channel(
                address, options=[("grpc.use_local_subchannel_pool", 1)]
            ) as channel:
                held = await GovernorServiceStub(channel).Authorize(
                    governor_pb2.AuthorizeRequest(
                        organization_id=new_id(),
                        workflow_id=new_id(),
                        request_id=new_id(),
                        models=[SONAR],
                        input_tokens_max=1000,
                        output_tokens_max=700,
                    )
                )
                assert held.held_nano_usd == HOLD
    assert listeners(port) == 0
