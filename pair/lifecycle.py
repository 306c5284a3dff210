"""Starts PostgreSQL, the simulator, the governor and the workflow service, in this order.

They stop in the opposite order. So the workflow service can still settle its calls at the governor, and both
can still commit to the database.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pydantic import SecretStr

from pair.settings import PairSettings
from service_chassis.processes.child_process import ChildProcess, ProcessEndedError

# A process gets only the secrets that it needs: its own database, and the provider's key if it uses it.
_SECRETS = ("GOVERNOR_DATABASE_URL", "WORKFLOW_DATABASE_URL", "OPENROUTER_API_KEY")
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound


@dataclass(frozen=True)
class Pair:
    """A running pair. `governor` and `workflow` are the addresses that they listen on, HOST:PORT."""

    governor: str
    workflow: str
    model_provider: str
    """The name of the model provider, for people."""
    published: Path
    """The directory of publish targets of kind DIRECTORY."""
    children: Sequence[ChildProcess]

    @property
    def targets(self) -> tuple[str, str]:
        """The addresses that a client on this machine dials: the governor's, the workflow service's."""
        return _target(self.governor), _target(self.workflow)

    async def until_one_ends(self) -> NoReturn:
        """Waits until a process ends, which is an error. Raises ProcessEndedError with its name."""
        waiting = [asyncio.create_task(child.ended()) for child in self.children]
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            raise ProcessEndedError(done.pop().result())
        finally:
            for task in waiting:
                task.cancel()


class _Children:
    """The processes that were started. They stop in the opposite order, when `stack` unwinds."""

    def __init__(self, environment: Mapping[str, str], stack: AsyncExitStack) -> None:
        self.processes: list[ChildProcess] = []
        self._environment = dict(environment)
        self._stack = stack

    async def start(self, name: str, module: str, *arguments: str, **variables: str) -> ChildProcess:
        """`variables` go over the common environment. Returns when the process is ready."""
        environment = self._environment | variables
        process = await ChildProcess.start(name, module, *arguments, environment=environment)
        self._stack.push_async_callback(process.stop)
        self.processes.append(process)
        return process


@asynccontextmanager
async def running_pair(settings: PairSettings, overrides: Mapping[str, str]) -> AsyncIterator[Pair]:
    """Yields the pair when it is ready. `overrides` replace variables in its services' environment.

    Raises ProcessEndedError if a process does not become ready. The others are stopped in that case.
    """
    data_dir = settings.data_dir.resolve()
    published = (settings.workflow_publish_directory or data_dir / "published").resolve()
    environment = {name: value for name, value in os.environ.items() if name not in _SECRETS}
    async with AsyncExitStack() as stack:
        children = _Children(environment | dict(overrides), stack)
        dsns = await _databases(children, settings, data_dir)
        provider, provider_variables = await _model_provider(children, settings)
        governor = await children.start(
            "governor", "governor_service", GOVERNOR_DATABASE_URL=dsns["governor"]
        )
        governor_address = governor.ready_line.removeprefix("ready governor=")
        workflow = await children.start(
            "workflow",
            "workflow_service",
            WORKFLOW_DATABASE_URL=dsns["workflow"],
            WORKFLOW_PUBLISH_DIRECTORY=str(published),
            WORKFLOW_GOVERNOR_TARGET=_target(governor_address),
            **provider_variables,
        )
        workflow_address = workflow.ready_line.removeprefix("ready workflow=")
        yield Pair(governor_address, workflow_address, provider, published, children.processes)


async def _databases(children: _Children, settings: PairSettings, data_dir: Path) -> dict[str, str]:
    """The DSN of each service's database. Those that are not set are on the embedded PostgreSQL."""
    dsns = {
        "governor": _secret(settings.governor_database_url),
        "workflow": _secret(settings.workflow_database_url),
    }
    embedded = [database for database, dsn in dsns.items() if not dsn]
    if embedded:
        postgres = await children.start("postgres", "pair.postgres", str(data_dir), *embedded)
        answer = json.loads(postgres.ready_line)
        dsns |= answer["dsns"]
        if answer["notice"]:
            _say(answer["notice"])
    return dsns


async def _model_provider(children: _Children, settings: PairSettings) -> tuple[str, dict[str, str]]:
    """The provider's name for people, and the variables that lead the workflow service to it."""
    if api_key := _secret(settings.openrouter_api_key):
        return "OpenRouter", {"OPENROUTER_API_KEY": api_key}
    simulator = await children.start("simulator", "workflow_service.simulator")
    said = dict(part.split("=", 1) for part in simulator.ready_line.split()[1:])
    _say(
        "OPENROUTER_API_KEY is not set: the local simulator answers in place of the models; "
        f"it is told what to do at {said['control']}"
    )
    return (
        "the local simulator",
        {"OPENROUTER_API_KEY": "simulator", "OPENROUTER_BASE_URL": said["simulator"]},
    )


def _target(address: str) -> str:
    """The address that a client on this machine dials for a service that listens on `address`, HOST:PORT."""
    host, _, port = address.rpartition(":")
    host = _ANY_ADDRESS.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _secret(value: SecretStr | None) -> str:
    return value.get_secret_value() if value is not None else ""


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
