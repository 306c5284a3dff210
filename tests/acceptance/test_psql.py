"""`make psql` reaches the pair's databases, whether or not a pair is serving."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.served_pair import REPOSITORY, ServedPair, pair_environment

_SECONDS = 60
_WHO = "select current_user, current_database(), count(*) from schema_migrations"


def _psql(data_dir: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        env=pair_environment(data_dir) | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("database", ["governor", "workflow"])
def test_beside_a_pair_that_serves(pair: ServedPair, database: str) -> None:
    """psql connects as the role that owns the database and gets ARGS, and the pair keeps running."""
    make = ("make", "-o", ".venv/.installed", "psql")
    done = _psql(pair.data_dir, *make, f"DATABASE={database}", f'ARGS=-At -c "{_WHO}"')
    assert done.returncode == 0, done.stderr
    user, name, migrations = done.stdout.strip().split("|")
    assert (user, name) == (database, database)
    assert int(migrations) > 0
    assert pair.process.poll() is None
    assert pair.pid_of("bin/postgres")


def test_without_a_running_pair(scratch_dir: Path) -> None:
    """Without a running pair, the command starts the server for one session and stops it afterwards."""
    data_dir = scratch_dir / "psql_alone"
    sent = ("-At", "-c", "select pg_postmaster_start_time()")
    command = (sys.executable, "-m", "pair.psql", "postgres", *sent)
    first, second = (_psql(data_dir, *command) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert first.stdout != second.stdout, "each session had a server of its own"
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


def test_psql_messages_and_status_are_passed_on(pair: ServedPair) -> None:
    """psql's messages and exit status are passed on."""
    done = _psql(pair.data_dir, sys.executable, "-m", "pair.psql", "governor", "-c", "select no_such_thing")
    assert done.returncode == 1
    assert "no_such_thing" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_of_your_own(scratch_dir: Path, governor_dsn: str) -> None:
    """The command opens GOVERNOR_DATABASE_URL, and its password is not among psql's arguments."""
    data_dir = scratch_dir / "psql_unused"
    shell = "\\! tr '\\0' ' ' < /proc/$PPID/cmdline"
    sent = ("-At", "-c", "select current_database()", "-c", shell)
    done = _psql(
        data_dir, sys.executable, "-m", "pair.psql", "governor", *sent, GOVERNOR_DATABASE_URL=governor_dsn
    )
    assert done.returncode == 0, done.stderr
    name, arguments = done.stdout.splitlines()[:2]
    assert governor_dsn.partition("?")[0].endswith(f"/{name}")
    password = governor_dsn.partition("@")[0].rpartition(":")[2]
    assert "--dbname=postgresql://governor@" in arguments
    assert password not in arguments
    assert not data_dir.exists()
