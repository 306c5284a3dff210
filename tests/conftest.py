"""A real PostgreSQL and a real governor for the tests.

How to choose what a test runs on:

- `governor`, and `client` of the workflow service, use databases that the tests of a worker process share.
  Each test gets an organization of its own, which no other test uses. Most tests need no more.
- Mark a test `own_world` if it changes or counts things that belong to all organizations: prices, tiers,
  freezes of a model or of everything, a sweeper's work, the schema, SQL that names no organization.
  The same fixtures then give it a database and a service of its own.
- `governor_dsn` and `workflow_dsn` are databases of the test's own, for a test that starts its services
  itself: with other settings, another clock or several processes. It needs no mark.
- The data is in memory (/dev/shm) where there is room. fsync and synchronous_commit stay on, and a killed
  process loses nothing; only the time of a real disk is saved. Mark a test `on_disk` if it is about commits,
  crashes or group commit: it gets its own world, on a server whose data is on disk.
- `own_postgres` (tests/chassis) is a server of the test's own, to be killed or frozen.

A test that changes shared things fails, and the tests after it get a new shared database.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from service_chassis.postgres.embedded import EmbeddedPostgres
from tests.shared_world import PREFIX, Administrator, SharedGovernor, remove_abandoned

MEMORY = Path("/dev/shm")  # noqa: S108 - a directory that only its owner can write to is made in it
MEMORY_NEEDED_BYTES = 2 << 30

# The tests connect thousands of times, so passwords are hashed with 1 iteration, not 4,096. The planner takes
# a table that was never analyzed for a large one, so it would compile every query: jit is off.
SETTINGS = {"scram_iterations": "1", "jit": "off", "max_wal_size": "256MB"}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints how to run the tests in the same order again, which `-q` leaves out."""
    seed = getattr(config.option, "randomly_seed", None)
    if seed is not None:
        terminalreporter.write_line(f"random order: ARGS='--randomly-seed={seed}' repeats it")


@contextmanager
def directory(*, on_disk: bool = False) -> Iterator[Path]:
    """A new directory, in memory where there is room, unless `on_disk`.

    Like tmp_path, but readable for PostgreSQL's account when the tests run as root.
    """
    in_memory = not on_disk and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_NEEDED_BYTES
    made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=MEMORY if in_memory else None))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)  # a killed process may not have ended yet


@contextmanager
def _administered(data_dir: Path) -> Iterator[Administrator]:
    administrator = Administrator(EmbeddedPostgres(data_dir, settings=SETTINGS))
    try:
        yield administrator
    finally:
        administrator.close()


@pytest.fixture
def scratch_dir() -> Iterator[Path]:
    """A directory for the data of servers that a test starts itself; in memory where there is room."""
    with directory() as made:
        yield made


@pytest.fixture
def scratch_dir_on_disk() -> Iterator[Path]:
    """Like `scratch_dir`, but on disk."""
    with directory(on_disk=True) as made:
        yield made


@pytest.fixture(scope="session")
def administrator() -> Iterator[Administrator]:
    """The administrator of this worker process's server, with data in memory where there is room."""
    if MEMORY.is_dir():
        remove_abandoned(MEMORY)
    with directory() as made, _administered(made) as administrator:
        yield administrator


@pytest.fixture(scope="session")
def administrator_on_disk() -> Iterator[Administrator]:
    """The administrator of this worker process's server with data on disk."""
    with directory(on_disk=True) as made, _administered(made) as administrator:
        yield administrator


@pytest.fixture(scope="session")
def postgres(administrator: Administrator) -> EmbeddedPostgres:
    """The server that the tests of this worker process share."""
    return administrator.postgres


@pytest.fixture(scope="session")
def governor_template(administrator: Administrator) -> str:
    """The governor's schema, migrated once."""
    return administrator.template("governor")


@pytest.fixture(scope="session")
def workflow_template(administrator: Administrator) -> str:
    """The workflow service's schema, migrated once."""
    return administrator.template("workflow")


@pytest.fixture
def governor_dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    """A governor's database for this test alone, as its role `governor`."""
    with _administrator_for(request).cloned("governor") as dsn:
        yield dsn


@pytest.fixture
def workflow_dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    """A workflow service's database for this test alone, as its role `workflow`."""
    with _administrator_for(request).cloned("workflow") as dsn:
        yield dsn


@pytest.fixture(scope="session")
def shared_governor(administrator: Administrator) -> Iterator[SharedGovernor]:
    """The governor shared by tests that use organizations of their own."""
    governor = SharedGovernor(administrator)
    yield governor
    governor.stop()


@pytest.fixture
def governor_world(request: pytest.FixtureRequest) -> Iterator[tuple[str, str | None]]:
    """The DSN of the governor's database, and the address of the shared governor or None in an own world."""
    if has_own_world(request):
        yield request.getfixturevalue("governor_dsn"), None
        return
    shared: SharedGovernor = request.getfixturevalue("shared_governor")
    shared.ensure_running()
    yield shared.dsn, shared.target
    shared.assert_unchanged()


@pytest.fixture(scope="session")
def shared_workflow_dsn(administrator: Administrator) -> Iterator[str]:
    """The workflow service's database shared by tests that use organizations of their own."""
    with administrator.cloned("workflow") as dsn:
        yield dsn


@pytest.fixture
def workflow_world(request: pytest.FixtureRequest) -> str:
    """The DSN of the workflow service's database: the shared one, unless the test has its own world."""
    dsn: str = request.getfixturevalue("workflow_dsn" if has_own_world(request) else "shared_workflow_dsn")
    return dsn


def has_own_world(request: pytest.FixtureRequest) -> bool:
    """Whether the requesting test has a database and services of its own."""
    asks = {"governor_dsn", "workflow_dsn"} & set(request.fixturenames)
    marks = [request.node.get_closest_marker(name) for name in ("own_world", "on_disk")]
    return bool(asks) or any(marks)


@asynccontextmanager
async def cloned(postgres: EmbeddedPostgres, template: str, role: str) -> AsyncIterator[str]:
    """A copy of the template, dropped afterwards even if sessions are still connected to it."""
    name = f"{role}_{uuid4().hex}"
    administrator = await asyncpg.connect(postgres.dsn("postgres"))
    try:
        await administrator.execute(
            f"CREATE DATABASE {name} TEMPLATE {template} OWNER {role} STRATEGY file_copy"
        )
        try:
            yield postgres.dsn(name, role)
        finally:
            await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await administrator.close()


def _administrator_for(request: pytest.FixtureRequest) -> Administrator:
    on_disk = request.node.get_closest_marker("on_disk") is not None
    name = "administrator_on_disk" if on_disk else "administrator"
    administrator: Administrator = request.getfixturevalue(name)
    return administrator
