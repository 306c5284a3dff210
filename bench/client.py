"""`python -m bench.client LOAD` is the load client: a process that prints its measurements as JSON.

The same code calls the governor and the echo server, so that its own cost is the same on both sides of a
ratio. It checks that each call succeeds, but not the answer.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from itertools import cycle
from typing import Literal, TypeAlias

import grpc
import uvloop

from bench import traffic
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from infin8.governor.v1 import ledger_service_pb2 as ledger_pb2

_GOVERNOR = "/infin8.governor.v1.GovernorService/"
_MONTHLY_COST = "/infin8.governor.v1.LedgerService/GetOrganizationMonthlyCost"
_DEADLINE_SECONDS = 30.0

Method: TypeAlias = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]


@dataclass(frozen=True)
class Load:
    """The load that one client puts on one server."""

    address: str
    organization_ids: tuple[str, ...]
    seconds: float
    warm_up_seconds: float = 1.0
    in_flight: int = 64
    unit: Literal["pair", "batches", "monthly_cost"] = "pair"
    """Authorize + Settle; BatchAuthorize + BatchSettle; or GetOrganizationMonthlyCost."""
    workflows: int = 50
    """The number of workflows of each organization."""
    connections: int = 1
    """Calls use them in turn. Each connection stays with one of the server's worker processes."""
    batch_items: int = 200
    units_per_second: float | None = None
    """None: as many as possible with `in_flight` at a time."""


@dataclass
class Measured:
    """The result of a load, without the time of warming up."""

    pairs: int = 0
    """Pairs of Authorize and Settle, single or in batches; for monthly costs, answers."""
    unit_seconds: list[float] = field(default_factory=list)
    """The duration of each unit: of all its calls together."""
    cpu_seconds: float = 0.0
    """Processor time of the client, including warming up."""
    errors: Counter[str] = field(default_factory=Counter)


class Stub:
    """The methods of one connection, from bytes to bytes."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.authorize: Method = channel.unary_unary(f"{_GOVERNOR}Authorize")
        self.settle: Method = channel.unary_unary(f"{_GOVERNOR}Settle")
        self.batch_authorize: Method = channel.unary_unary(f"{_GOVERNOR}BatchAuthorize")
        self.batch_settle: Method = channel.unary_unary(f"{_GOVERNOR}BatchSettle")
        self.monthly_cost: Method = channel.unary_unary(_MONTHLY_COST)


class Client:
    """Puts one load on one server."""

    def __init__(self, load: Load, channels: Sequence[grpc.aio.Channel]) -> None:
        self._load = load
        self._stubs = cycle([Stub(channel) for channel in channels])
        self._unit = {"pair": self._pair, "batches": self._batches, "monthly_cost": self._report}[load.unit]
        self._calls = traffic.calls(load.organization_ids, load.workflows)
        self._reports = [
            ledger_pb2.GetOrganizationMonthlyCostRequest(organization_id=each).SerializeToString()
            for each in load.organization_ids
        ]
        self._begin = self._end = 0.0
        self._measured = Measured()

    async def run(self) -> Measured:
        """Runs the load until its time has passed."""
        begin_cpu_seconds = time.process_time()
        self._begin = time.perf_counter() + self._load.warm_up_seconds
        self._end = self._begin + self._load.seconds
        if self._load.units_per_second is None:
            await asyncio.gather(*(self._keep_busy() for _ in range(self._load.in_flight)))
        else:
            await self._pace(1 / self._load.units_per_second)
        self._measured.cpu_seconds = time.process_time() - begin_cpu_seconds
        return self._measured

    async def _keep_busy(self) -> None:
        while (now := time.perf_counter()) < self._end:
            end = await self._do(self._unit)
            if self._begin <= end < self._end:
                self._measured.unit_seconds.append(end - now)

    async def _pace(self, interval_seconds: float) -> None:
        """Begins each unit when it is due, even if earlier ones still run, and measures from its due time."""
        running: set[asyncio.Task[None]] = set()
        due = time.perf_counter()
        while due < self._end:
            await asyncio.sleep(due - time.perf_counter())
            task = asyncio.create_task(self._do_due(due))
            running.add(task)
            task.add_done_callback(running.discard)
            due += interval_seconds
        if running:
            await asyncio.wait(running)

    async def _do_due(self, due: float) -> None:
        end = await self._do(self._unit)
        if self._begin <= due:
            self._measured.unit_seconds.append(end - due)

    async def _do(self, unit: Callable[[], Awaitable[int]]) -> float:
        """Runs a unit; the time at which it ended."""
        try:
            pairs = await unit()
        except grpc.aio.AioRpcError as error:
            self._measured.errors[f"{error.code().name}: {error.details()}"] += 1
            return time.perf_counter()
        end = time.perf_counter()
        if self._begin <= end < self._end:
            self._measured.pairs += pairs
        return end

    async def _pair(self) -> int:
        stub = next(self._stubs)
        call = random.choice(self._calls)  # noqa: S311 - no secret
        authorization = await stub.authorize(call.authorize(), timeout=_DEADLINE_SECONDS)
        await stub.settle(call.settle(authorization), timeout=_DEADLINE_SECONDS)
        return 1

    async def _batches(self) -> int:
        stub = next(self._stubs)
        calls = random.choices(self._calls, k=self._load.batch_items)  # noqa: S311 - no secret
        answer = await stub.batch_authorize(
            _repeated([call.authorize() for call in calls]), timeout=_DEADLINE_SECONDS
        )
        authorized = governor_pb2.BatchAuthorizeResponse.FromString(answer).results
        settles = [
            call.settle_hold(item.result.authorization_id.encode())
            for call, item in zip(calls, authorized, strict=True)
            if self._succeeded(item)
        ]
        answer = await stub.batch_settle(_repeated(settles), timeout=_DEADLINE_SECONDS)
        settled = governor_pb2.BatchSettleResponse.FromString(answer).results
        return sum(self._succeeded(item) for item in settled)

    async def _report(self) -> int:
        request = random.choice(self._reports)  # noqa: S311 - no secret
        await next(self._stubs).monthly_cost(request, timeout=_DEADLINE_SECONDS)
        return 1

    def _succeeded(self, item: governor_pb2.BatchAuthorizeResult | governor_pb2.BatchSettleResult) -> bool:
        if item.WhichOneof("outcome") == "result":
            return True
        self._measured.errors[f"of an item: {item.error.message}"] += 1
        return False


def _repeated(items: list[bytes]) -> bytes:
    """A message with these items in its repeated field 1, as in both batch requests."""
    return b"".join(b"\x0a" + _varint(len(item)) + item for item in items)


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _varint(value >> 7)


async def _main(load: Load) -> Measured:
    async with AsyncExitStack() as stack:
        channels = [
            # Otherwise channels of one process share a connection.
            grpc.aio.insecure_channel(load.address, options=[("grpc.use_local_subchannel_pool", 1)])
            for _ in range(load.connections)
        ]
        for channel in channels:
            await stack.enter_async_context(channel)
            await channel.channel_ready()
        return await Client(load, channels).run()


if __name__ == "__main__":
    json.dump(asdict(uvloop.run(_main(Load(**json.loads(sys.argv[1]))))), sys.stdout)
