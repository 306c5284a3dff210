"""Sends hostile requests to a running pair, and reports the faults."""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor

from infin8.governor.v1 import (  # noqa: F401 - imported so that their descriptors are in the pool
    budget_service_pb2,
    governor_service_pb2,
    ledger_service_pb2,
    pricing_service_pb2,
)
from infin8.workflow.v1 import workflow_service_pb2  # noqa: F401
from service_chassis.rpc.errors import from_rpc_error
from tests.fuzz.hostile import BYTES_MAX, Hostile

GOVERNOR = tuple(f"infin8.governor.v1.{name}Service" for name in ("Governor", "Pricing", "Budget", "Ledger"))
WORKFLOW = ("infin8.workflow.v1.WorkflowService",)

CALL_SECONDS = 60.0
_STREAM_SECONDS = 1.0
_AT_ONCE = 40
_BYTES_AT_ONCE = 64 * 1024 * 1024
_ROUND = 400
"""Calls between two bursts."""

_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NEVER = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED})


@dataclass
class Report:
    """The outcomes. `faults` must be empty; it has the first fault of each kind."""

    calls: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def methods(services: tuple[str, ...]) -> list[MethodDescriptor]:
    """Every RPC of the services, from the descriptors."""
    pool = descriptor_pool.Default()
    return [method for name in services for method in pool.FindServiceByName(name).methods]


class Campaign:
    """Requests for one or both services, until `count` are sent or `seconds` have passed."""

    def __init__(self, targets: dict[str, str], *, seed: int) -> None:
        """`targets` are addresses, by the service's full name."""
        self._targets = targets
        self._hostile = Hostile(seed)
        self._random = random.Random(seed)
        self.report = Report()

    async def run(self, *, count: int, seconds: float) -> Report:
        began = time.monotonic()
        async with self._channels() as channels:
            every = [
                (method, channels[target])
                for service, target in self._targets.items()
                for method in methods((service,))
            ]
            plan = self._plan(every)
            while self.report.calls < count and time.monotonic() - began < seconds:
                await self._round(plan, min(_ROUND, count - self.report.calls))
                if self.report.calls < count and time.monotonic() - began < seconds:
                    await self._burst(every)
        self.report.seconds = time.monotonic() - began
        return self.report

    @asynccontextmanager
    async def _channels(self) -> AsyncIterator[dict[str, grpc.aio.Channel]]:
        channels = {
            target: grpc.aio.insecure_channel(target, options=[("grpc.enable_retries", 0)])
            for target in self._targets.values()
        }
        yield channels
        for channel in channels.values():
            await channel.close()

    def _plan(
        self, every: list[tuple[MethodDescriptor, grpc.aio.Channel]]
    ) -> Iterator[tuple[MethodDescriptor, grpc.aio.Channel, str]]:
        """Every method with every kind, in random order, repeated without end."""
        cases = [(method, channel, kind) for method, channel in every for kind in self._hostile.kinds]
        while True:
            self._random.shuffle(cases)
            yield from cases

    async def _round(
        self, plan: Iterator[tuple[MethodDescriptor, grpc.aio.Channel, str]], count: int
    ) -> None:
        sent: set[asyncio.Task[None]] = set()
        bytes_sent = 0
        for _ in range(count):
            method, channel, kind = next(plan)
            raw = self._hostile.request(method.input_type, kind)
            sent.add(asyncio.create_task(self._call(channel, method, raw, kind)))
            bytes_sent += len(raw)
            if len(sent) >= _AT_ONCE or bytes_sent > _BYTES_AT_ONCE:
                await asyncio.wait(sent)
                sent.clear()
                bytes_sent = 0
        if sent:
            await asyncio.wait(sent)

    async def _burst(self, every: list[tuple[MethodDescriptor, grpc.aio.Channel]]) -> None:
        """Sends one kind to one method, many at once: thousands of small requests, or 50 of the largest."""
        method, channel = self._random.choice(every)
        kind = self._random.choice(self._hostile.kinds)
        if self._random.random() < 0.5:
            size, count = BYTES_MAX, 50
        else:
            size, count = self._random.choice((100, 4000)), 3000
        raws = [self._hostile.request(method.input_type, kind, size) for _ in range(5)]
        burst = (self._call(channel, method, self._random.choice(raws), kind) for _ in range(count))
        await asyncio.gather(*burst)

    async def _call(self, channel: grpc.aio.Channel, method: MethodDescriptor, raw: bytes, kind: str) -> None:
        path = f"/{method.containing_service.full_name}/{method.name}"
        self.report.calls += 1
        outcome = "OK"
        try:
            if method.server_streaming:
                stream: Any = channel.unary_stream(path)
                await self._read_some(stream(raw, timeout=CALL_SECONDS))
            else:
                unary: Any = channel.unary_unary(path)
                self._learn(await unary(raw, timeout=CALL_SECONDS))
        except grpc.aio.AioRpcError as error:
            refusal = from_rpc_error(error)
            outcome = f"{error.code().name} {refusal.reason if refusal else '(bare)'}"
            if error.code() in _NEVER or refusal is None:
                fault = f"{kind}, {len(raw)} bytes, {raw[:60]!r}: {error.details()}"
                self.report.faults.setdefault(f"{method.name}: {outcome}", fault)
        self.report.answers[outcome] += 1

    async def _read_some(self, stream: Any) -> None:
        """Reads some messages and cancels, since a stream may have no end."""
        with suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(_STREAM_SECONDS):
                for _ in range(100):
                    if await stream.read() is grpc.aio.EOF:
                        break
        stream.cancel()

    def _learn(self, answer: bytes) -> None:
        found = _UUID.findall(answer[:5000])
        self._hostile.known.extend(each.decode() for each in found[:5])


@asynccontextmanager
async def asking_for_health(targets: set[str]) -> AsyncIterator[dict[str, Any]]:
    """The dictionary is filled at the end: by target, `longest_seconds`, `checks` and `failures`."""
    process: Process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fuzz.health", *targets, stdin=PIPE, stdout=PIPE
    )
    waited: dict[str, Any] = {}
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield waited
    finally:
        output, _ = await process.communicate(b"")  # closes its input, which ends it
        waited.update(json.loads(output))


def resident_bytes(pid: int) -> tuple[int, int]:
    """A process's resident memory now, and at its peak."""
    status = Path(f"/proc/{pid}/status").read_text()
    now, peak = (re.search(rf"{name}:\s+(\d+) kB", status) for name in ("VmRSS", "VmHWM"))
    assert now is not None
    assert peak is not None
    return int(now[1]) * 1024, int(peak[1]) * 1024
