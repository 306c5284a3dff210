"""A real PostgreSQL for the tests, and a fresh database for each test that asks for one."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import pytest

from service_chassis.postgres.database import Database
from service_chassis.postgres.embedded import EmbeddedPostgres
from service_chassis.postgres.migrate import migrate
from service_chassis.settings import DatabaseSettings
from workflow_service.app.record_matrix import record_matrix

T = TypeVar("T")


@pytest.fixture(scope="session")
def scratch_dir() -> Iterator[Path]:
    """Like tmp_path_factory's, but open to the account that PostgreSQL runs as when the tests run as root."""
    directory = Path(tempfile.mkdtemp(prefix="infin8-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres(scratch_dir: Path) -> Iterator[EmbeddedPostgres]:
    """One server for all tests, as durable as in production."""
    server = EmbeddedPostgres(scratch_dir / "shared")
    _outside_of_loops(server.start())
    yield server
    _outside_of_loops(server.stop())


@pytest.fixture(scope="session")
def governor_template(postgres: EmbeddedPostgres) -> str:
    """The governor's schema, migrated once."""
    return _outside_of_loops(_make_template(postgres, "governor"))


@pytest.fixture(scope="session")
def workflow_template(postgres: EmbeddedPostgres) -> str:
    """The workflow service's schema, migrated once."""
    return _outside_of_loops(_make_workflow_template(postgres))


@pytest.fixture
async def governor_dsn(postgres: EmbeddedPostgres, governor_template: str) -> AsyncIterator[str]:
    """A governor's database of this test's own, by its role `governor`."""
    async with cloned(postgres, governor_template, "governor") as dsn:
        yield dsn


@pytest.fixture
async def workflow_dsn(postgres: EmbeddedPostgres, workflow_template: str) -> AsyncIterator[str]:
    """A workflow service's database of this test's own, by its role `workflow`."""
    async with cloned(postgres, workflow_template, "workflow") as dsn:
        yield dsn


@asynccontextmanager
async def cloned(postgres: EmbeddedPostgres, template: str, role: str) -> AsyncIterator[str]:
    """A copy of the template that is gone afterwards, whoever is still connected to it."""
    name = f"{role}_{uuid4().hex}"
    administrator = await asyncpg.connect(postgres.dsn("postgres"))
    try:
        await administrator.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {role}")
        try:
            yield postgres.dsn(name, role)
        finally:
            await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await administrator.close()


async def _make_template(postgres: EmbeddedPostgres, name: str) -> str:
    template = f"{name}_template"
    await postgres.ensure_database(template, role=name)
    await migrate(postgres.dsn(template, role=name), files(f"migrations.{name}"))
    return template


async def _make_workflow_template(postgres: EmbeddedPostgres) -> str:
    """With the matrix of transitions, which the service writes when it starts."""
    template = await _make_template(postgres, "workflow")
    dsn = postgres.dsn(template, role="workflow")
    database = await Database.open(dsn, DatabaseSettings(), application_name="test")
    try:
        await record_matrix(database)
    finally:
        await database.close()
    return template


def _outside_of_loops(work: Coroutine[Any, Any, T]) -> T:
    """Runs it in a thread: a session's fixture must neither hold a loop nor disturb the one of a test."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(asyncio.run, work).result()
