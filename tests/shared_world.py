"""The PostgreSQL that the tests of a worker process share, and their governor in its own process."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from service_chassis.postgres.database import Database
from service_chassis.postgres.embedded import SUPERUSER, EmbeddedPostgres
from service_chassis.postgres.migrate import migrate
from service_chassis.postgres.postmaster import Postmaster
from service_chassis.settings import DatabaseSettings
from workflow_service.app.record_matrix import record_matrix

T = TypeVar("T")

PREFIX = "infin8-tests-"

_STOP_SECONDS = 30.0

# State that belongs to all organizations: settings, and the schema by the versions of its rows.
_SHARED_STATE = """
SELECT json_build_array(
    (SELECT json_agg(p ORDER BY p.price_id) FROM prices AS p),
    (SELECT json_agg(t ORDER BY t.tier) FROM tiers AS t),
    (SELECT json_agg(f ORDER BY f.model) FROM freezes AS f WHERE f.organization_id = every_organization()),
    (SELECT json_agg(f.xmin ORDER BY f.oid) FROM pg_proc AS f WHERE f.pronamespace = 'public'::regnamespace),
    (SELECT json_agg(t.xmin ORDER BY t.oid) FROM pg_trigger AS t)
)::text
"""


class Administrator:
    """Starts one PostgreSQL, and creates and drops its databases.

    Its event loop is in its own thread, since a test may run another loop.
    """

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self.postgres = postgres
        self._templates: set[str] = set()
        self._runner = asyncio.Runner()
        self._thread = ThreadPoolExecutor(max_workers=1)
        self.run(postgres.start())
        self._connection = self.run(self._connect())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._thread.submit(self._runner.run, work).result()

    def close(self) -> None:
        self.run(self._connection.close())
        self.run(self.postgres.stop())
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()

    def template(self, service: str) -> str:
        """The name of a database with that service's schema, which is migrated once."""
        template = f"{service}_template"
        if template not in self._templates:
            self.run(self._make_template(template, service))
            self._templates.add(template)
        return template

    @contextmanager
    def cloned(self, service: str) -> Iterator[str]:
        """The DSN of a new database with that service's schema, dropped at the end even if it is in use."""
        name = f"{service}_{uuid4().hex}"
        template = self.template(service)
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {service} STRATEGY file_copy")
        try:
            yield self.postgres.dsn(name, service)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        self.run(self._connection.execute(statement))

    async def _connect(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(self.postgres.dsn("postgres"))
        # initdb has hashed the password with other settings.
        password = urlsplit(self.postgres.dsn("postgres")).password
        await connection.execute(f"ALTER ROLE {SUPERUSER} PASSWORD '{password}'")
        return connection

    async def _make_template(self, template: str, service: str) -> None:
        await self.postgres.ensure_database(template, role=service)
        dsn = self.postgres.dsn(template, role=service)
        await migrate(dsn, files(f"migrations.{service}"))
        if service == "workflow":  # the service writes its matrix of transitions when it starts
            database = await Database.open(dsn, DatabaseSettings(), application_name="test")
            try:
                await record_matrix(database)
            finally:
                await database.close()


class SharedGovernor:
    """A governor with the document's prices, in its own process. It does not sweep."""

    def __init__(self, administrator: Administrator) -> None:
        self._administrator = administrator
        self._resources = ExitStack()
        self._process: subprocess.Popen[str] | None = None
        self._state: object = None
        self.dsn = ""
        self.target = ""

    def ensure_running(self) -> None:
        """Starts the governor on a new database, unless it is running."""
        if self._process is not None and self._process.poll() is None:
            return
        self.stop()
        self.dsn = self._resources.enter_context(self._administrator.cloned("governor"))
        environment = os.environ | {
            "GOVERNOR_DATABASE_URL": self.dsn,
            "GOVERNOR_PORT": "0",
            "GOVERNOR_PRICE_LIST": "document",
            "GOVERNOR_SWEEP_INTERVAL_SECONDS": "86400",
        }
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "service_chassis.processes.child", "governor_service"],
            stdin=subprocess.PIPE,  # see service_chassis.processes.child
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
            start_new_session=True,
        )
        self._resources.callback(self._end, process)
        assert process.stdout is not None
        ready = process.stdout.readline().strip()
        assert ready.startswith("ready governor="), f"the shared governor is not ready: {ready!r}"
        self.target = ready.partition("=")[2]
        self._state = self._shared_state()

    def assert_unchanged(self) -> None:
        """Fails, and drops this governor, if it ended or if shared state was changed."""
        assert self._process is not None
        try:
            assert self._process.poll() is None, "the shared governor ended"
            assert self._shared_state() == self._state, (
                "this changes state that all tests share: mark the test own_world"
            )
        except BaseException:
            self.stop()
            raise

    def execute(self, statement: str) -> None:
        """Executes a statement as the governor's role."""
        self._administrator.run(self._on_database(statement))

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        self._resources.close()
        self._process = None

    def _shared_state(self) -> object:
        return self._administrator.run(self._on_database(_SHARED_STATE))

    async def _on_database(self, statement: str) -> object:
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def remove_abandoned(parent: Path) -> None:
    """Ends servers whose tests were killed, and removes their data, which may be in memory."""
    for users in parent.glob(f"{PREFIX}*/postgres.users"):
        with suppress(OSError), users.open() as lock:  # each process that uses the server holds this lock
            flock(lock, LOCK_EX | LOCK_NB)
            server = Postmaster.of(users.parent / "postgres")
            if server is not None:
                os.kill(server.pid, signal.SIGKILL)
            shutil.rmtree(users.parent, ignore_errors=True)
