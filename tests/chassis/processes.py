"""Programs that tests start as processes, and helpers that look for their processes afterwards."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from service_chassis.postgres.postmaster import Postmaster

OWNER = """
import asyncio, concurrent.futures.thread, encodings.idna, os, sys
from pathlib import Path
from service_chassis.postgres.embedded import EmbeddedPostgres

if len(sys.argv) > 2:  # the interpreter itself may lie where only root gets to
    uid, gid = int(sys.argv[2]), int(sys.argv[3])
    os.setgroups([]), os.setgid(gid), os.setuid(uid)

async def main():
    server = EmbeddedPostgres(Path(sys.argv[1]))
    await server.start()
    await server.ensure_database("governor", "governor")
    print(server.dsn("governor", "governor"), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await server.stop()

asyncio.run(main())
"""
"""Starts a server, prints its DSN, and stops at the first line (or the end) of its input."""


async def start_owner(data_dir: Path, *account: int) -> tuple[Process, str]:
    """The process that owns a server, and the DSN that it printed. `account` is the uid and gid to run as."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, data_dir, *map(str, account), stdin=PIPE, stdout=PIPE
    )
    assert process.stdout is not None
    dsn = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
    return process, dsn


async def let_stop(process: Process) -> None:
    await asyncio.wait_for(process.communicate(b"\n"), 60)
    assert process.returncode == 0


def processes_of(data_dir: Path) -> list[int]:
    """Live servers whose cluster is in the directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"bin/postgres\0" in arguments and str(data_dir).encode() in arguments:
                found.append(int(entry.name))
    return found


def owner_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def program_of(pid: int) -> Path:
    return Path(f"/proc/{pid}/exe").readlink()


def wait_for_server(cluster: Path, *, other_than: Postmaster | None = None) -> Postmaster:
    """Polls until the cluster has a server that takes connections and is not `other_than`.

    AssertionError after a minute.
    """
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        running = Postmaster.of(cluster)
        is_another = running is not None and (other_than is None or running.pid != other_than.pid)
        if running is not None and is_another and running.is_ready:
            return running
        time.sleep(0.05)
    raise AssertionError("no server came up")


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
