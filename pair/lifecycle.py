"""The pair's life: PostgreSQL, the simulator, the governor and the workflow service, started in this order.

They are stopped in the opposite one, so that nobody loses what he still needs: the workflow service ends its
calls at a governor that is there, and both commit to a database that is there.
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

# A child is told what concerns it: no other service's database, and the provider's key where it is used.
_SECRETS = ("GOVERNOR_DATABASE_URL", "WORKFLOW_DATABASE_URL", "OPENROUTER_API_KEY")
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound


@dataclass(frozen=True)
class Pair:
    """A pair that is up. `governor` and `workflow` are HOST:PORT, as they listen."""

    governor: str
    workflow: str
    model_provider: str
    """Who answers model calls, for people."""
    published: Path
    """Where a publish target's directory lies."""
    children: Sequence[ChildProcess]

    @property
    def targets(self) -> tuple[str, str]:
        """What a client on this machine dials: the governor, the workflow service."""
        return _target(self.governor), _target(self.workflow)

    async def until_one_ends(self) -> NoReturn:
        """Raises ProcessEndedError, naming the first that ends: none does while all is well."""
        waiting = [asyncio.create_task(child.ended()) for child in self.children]
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            raise ProcessEndedError(done.pop().result())
        finally:
            for task in waiting:
                task.cancel()


@asynccontextmanager
async def running_pair(settings: PairSettings, overrides: Mapping[str, str]) -> AsyncIterator[Pair]:
    """Yields the pair when it is ready. `overrides` go over the environment that its services are given.

    ProcessEndedError if one of them does not come up; whatever was started is stopped then.
    """
    data_dir = settings.data_dir.resolve()
    published = (settings.workflow_publish_directory or data_dir / "published").resolve()
    environment = {name: value for name, value in os.environ.items() if name not in _SECRETS}
    environment |= overrides
    async with AsyncExitStack() as running:
        children: list[ChildProcess] = []

        async def start(name: str, module: str, *arguments: str, **variables: str) -> ChildProcess:
            child = await ChildProcess.start(name, module, *arguments, environment=environment | variables)
            running.push_async_callback(child.stop)
            children.append(child)
            return child

        dsns = {
            "governor": _secret(settings.governor_database_url),
            "workflow": _secret(settings.workflow_database_url),
        }
        embedded = [database for database, dsn in dsns.items() if not dsn]
        if embedded:
            postgres = await start("postgres", "pair.postgres", str(data_dir), *embedded)
            answer = json.loads(postgres.ready_line)
            dsns |= answer["dsns"]
            if answer["notice"]:
                _say(answer["notice"])

        provider = {"OPENROUTER_API_KEY": _secret(settings.openrouter_api_key)}
        model_provider = "OpenRouter"
        if not provider["OPENROUTER_API_KEY"]:
            simulator = await start("simulator", "workflow_service.simulator")
            said = dict(part.split("=", 1) for part in simulator.ready_line.split()[1:])
            provider = {"OPENROUTER_API_KEY": "simulator", "OPENROUTER_BASE_URL": said["simulator"]}
            model_provider = "the local simulator"
            _say(
                "OPENROUTER_API_KEY is not set: the local simulator answers in place of the models; "
                f"it is told what to do at {said['control']}"
            )

        governor = await start("governor", "governor_service", GOVERNOR_DATABASE_URL=dsns["governor"])
        governor_address = governor.ready_line.removeprefix("ready governor=")
        workflow = await start(
            "workflow",
            "workflow_service",
            WORKFLOW_DATABASE_URL=dsns["workflow"],
            WORKFLOW_PUBLISH_DIRECTORY=str(published),
            WORKFLOW_GOVERNOR_TARGET=_target(governor_address),
            **provider,
        )
        workflow_address = workflow.ready_line.removeprefix("ready workflow=")
        yield Pair(governor_address, workflow_address, model_provider, published, children)


def _target(address: str) -> str:
    """What a client on this machine dials for a service that listens on `address`, HOST:PORT."""
    host, _, port = address.rpartition(":")
    host = _ANY_ADDRESS.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _secret(value: SecretStr | None) -> str:
    return value.get_secret_value() if value is not None else ""


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
