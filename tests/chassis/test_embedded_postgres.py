"""The embedded server: the first process on a data directory starts it, all share it, the last stops it."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from service_chassis.postgres import embedded as embedded_postgres
from service_chassis.postgres import unprivileged
from service_chassis.postgres.embedded import EmbeddedPostgres
from service_chassis.postgres.postmaster import Postmaster
from tests.chassis.processes import (
    let_stop,
    owner_of,
    processes_of,
    program_of,
    start_owner,
    wait_for_server,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root alone starts servers under another account")


@pytest.fixture
def data_dir(scratch_dir: Path) -> Path:
    return scratch_dir / uuid4().hex


async def test_a_second_start_on_the_same_data_finds_everything(data_dir: Path) -> None:
    """Data that was committed before a stop is there after the next start, and no process remains."""
    for count in (1, 2):
        server = EmbeddedPostgres(data_dir)
        await server.start()
        await server.ensure_database("governor", "governor")
        connection = await asyncpg.connect(server.dsn("governor", "governor"))
        await connection.execute("CREATE TABLE IF NOT EXISTS seen (at timestamptz DEFAULT now())")
        await connection.execute("INSERT INTO seen DEFAULT VALUES")
        assert await connection.fetchval("SELECT count(*) FROM seen") == count
        await connection.close()
        await server.stop()
        assert not processes_of(data_dir)


async def test_it_is_durable_and_sorts_by_byte(own_postgres: EmbeddedPostgres) -> None:
    """fsync and synchronous_commit are on, the collation is C, the encoding UTF8, the time zone UTC."""
    connection = await asyncpg.connect(own_postgres.dsn("governor", "governor"))
    try:
        for name, value in {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "server_encoding": "UTF8",
            "TimeZone": "UTC",
            "listen_addresses": "127.0.0.1",
            "data_checksums": "on",
        }.items():
            assert await connection.fetchval("SELECT current_setting($1)", name) == value
        assert await connection.fetchval("SELECT 'Z' < 'a' AND 'z' < 'ä'")
    finally:
        await connection.close()


async def test_nobody_comes_in_without_a_password(own_postgres: EmbeddedPostgres) -> None:
    """A local user without the password gets no access, and a service cannot open the other's database."""
    await own_postgres.ensure_database("workflow", "workflow")
    port = own_postgres.port
    stolen = own_postgres.dsn("workflow", "workflow").replace("//workflow:", "//governor:")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://postgres:guess@127.0.0.1:{port}/postgres")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(stolen)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(own_postgres.dsn("governor", "workflow"))
    assert (own_postgres.data_dir / "postgres.password").stat().st_mode & 0o077 == 0


async def test_ensure_database_may_be_called_by_all_at_once(own_postgres: EmbeddedPostgres) -> None:
    """Services that start together find one database, which is created once."""
    await asyncio.gather(*(own_postgres.ensure_database("one", "one_role") for _ in range(5)))
    connection = await asyncpg.connect(own_postgres.dsn("one", "one_role"))
    await connection.close()


async def test_two_first_starts_at_once_share_one_server(data_dir: Path) -> None:
    """One start creates the cluster, the other waits and shares it; the last one to stop ends the server."""
    (first, first_dsn), (second, second_dsn) = await asyncio.gather(
        start_owner(data_dir), start_owner(data_dir)
    )
    assert first_dsn == second_dsn
    assert len(processes_of(data_dir)) == 1
    await let_stop(first)
    connection = await asyncpg.connect(second_dsn)
    await connection.close()
    await let_stop(second)
    assert not processes_of(data_dir)


async def test_the_server_of_a_killed_owner_is_replaced(data_dir: Path) -> None:
    """After kill -9 of an owner the next start takes over the data directory, and stops cleanly."""
    owner, _ = await start_owner(data_dir)
    (orphan,) = processes_of(data_dir)
    owner.kill()
    await owner.communicate()
    server = EmbeddedPostgres(data_dir, settings={"max_connections": "17"})
    await server.start()
    assert processes_of(data_dir) != [orphan]
    connection = await asyncpg.connect(server.dsn("governor", "governor"))
    assert await connection.fetchval("SHOW max_connections") == "17"
    await connection.close()
    await server.stop()
    assert not processes_of(data_dir)


async def test_a_cluster_half_made_is_made_anew(data_dir: Path) -> None:
    """A cluster whose creation was killed half-way is created again by the next start."""
    (data_dir / "postgres.unfinished" / "base").mkdir(parents=True)
    server = EmbeddedPostgres(data_dir)
    await server.start()
    await server.stop()
    assert (data_dir / "postgres" / "PG_VERSION").read_text() == "18\n"


async def test_a_pid_file_that_names_a_stranger_is_not_believed(data_dir: Path) -> None:
    """A pid file whose pid another process has by now does not stop the start, and that process lives."""
    server = EmbeddedPostgres(data_dir)
    await server.start()
    pid_file = server.cluster / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    owner = pid_file.stat()
    await server.stop()
    stranger = await asyncio.create_subprocess_exec("sleep", "60", user=owner.st_uid, group=owner.st_gid)
    try:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        os.chown(pid_file, owner.st_uid, owner.st_gid)
        await server.start()
        await server.stop()
        assert stranger.returncode is None
    finally:
        stranger.kill()
        await stranger.wait()


async def test_keep_running_starts_a_killed_server_anew(own_postgres: EmbeddedPostgres) -> None:
    """After kill -9 the server is back on the same port, with all acknowledged data."""
    keeper = asyncio.create_task(own_postgres.keep_running())
    try:
        connection = await asyncpg.connect(own_postgres.dsn("governor", "governor"))
        await connection.execute("CREATE TABLE acknowledged ()")
        before = Postmaster.of(own_postgres.cluster)
        assert before is not None
        os.kill(before.pid, signal.SIGKILL)
        connection.terminate()
        now = await asyncio.to_thread(wait_for_server, own_postgres.cluster, other_than=before)
        assert now.port == before.port
        connection = await asyncpg.connect(own_postgres.dsn("governor", "governor"))
        assert await connection.fetchval("SELECT count(*) FROM acknowledged") == 0
        await connection.close()
    finally:
        keeper.cancel()


@as_root
async def test_root_runs_it_as_somebody_else(own_postgres: EmbeddedPostgres) -> None:
    """PostgreSQL does not run as root: the process and its files belong to another account."""
    (pid,) = processes_of(own_postgres.data_dir)
    assert owner_of(pid) == own_postgres.cluster.stat().st_uid != 0


@as_root
async def test_an_ordinary_user_runs_it_as_himself(data_dir: Path) -> None:
    """An ordinary user can run it, and root later uses the same data under that user's account."""
    nobody = pwd.getpwnam("nobody")
    data_dir.mkdir()  # noqa: ASYNC240 - a fast local call
    os.chown(data_dir, nobody.pw_uid, nobody.pw_gid)
    owner, _ = await start_owner(data_dir, nobody.pw_uid, nobody.pw_gid)
    await let_stop(owner)
    server = EmbeddedPostgres(data_dir)
    await server.start()
    assert server.cluster.stat().st_uid == nobody.pw_uid
    connection = await asyncpg.connect(server.dsn("governor", "governor"))
    await connection.close()
    await server.stop()


@as_root
async def test_data_the_account_cannot_reach_goes_elsewhere_with_a_notice(
    scratch_dir: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No directory's permissions are widened; the data goes to another place, which the notice names."""
    monkeypatch.setattr(embedded_postgres, "FALLBACK_PARENT", scratch_dir / "fallback")
    closed = data_dir
    closed.mkdir(mode=0o700)
    first = EmbeddedPostgres(closed / "data")
    await first.start()
    await first.stop()
    assert first.cluster.is_relative_to(scratch_dir / "fallback")
    assert first.notice is not None
    assert str(first.cluster) in first.notice
    assert closed.stat().st_mode & 0o777 == 0o700
    second = EmbeddedPostgres(closed / "data")
    await second.start()
    await second.stop()
    assert second.cluster == first.cluster


@as_root
async def test_binaries_the_account_cannot_reach_are_copied(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Binaries in a closed directory (a venv in root's home) are copied to where the account can run them."""
    can_run = unprivileged.Account.can_run

    def not_in_the_wheel(account: unprivileged.Account, command: list[str | Path]) -> bool:
        return "site-packages" not in str(command[0]) and can_run(account, command)

    monkeypatch.setattr(unprivileged.Account, "can_run", not_in_the_wheel)
    server = EmbeddedPostgres(data_dir)
    await server.start()
    (pid,) = processes_of(data_dir)
    assert program_of(pid).is_relative_to(data_dir)
    await server.stop()
