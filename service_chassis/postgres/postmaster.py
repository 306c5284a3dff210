"""Which server is running on a cluster, according to its pid file and /proc."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Postmaster:
    """A server that is running. `is_ready`: it accepts connections."""

    pid: int
    port: int
    is_ready: bool

    @classmethod
    def of(cls, cluster: Path) -> Postmaster | None:
        """None without a server, even if its pid file remains and another process now has its pid."""
        pid_file = cluster / "postmaster.pid"
        pid = _pid_in(pid_file)
        if pid is None or not _is_alive(pid) or not _is_postmaster(pid, cluster):
            return None
        with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
            lines = pid_file.read_text().splitlines()
            return cls(pid, int(lines[3]), is_ready=len(lines) > 7 and lines[7].strip() == "ready")
        return None


def forget_reused_pid(cluster: Path) -> None:
    """Removes the pid file if another program now has the pid, for example after a reboot.

    PostgreSQL would take that program for its own server, and would not start. But the file also prevents a
    start while the last processes of a killed server still run, so it is kept if a process uses the cluster.
    """
    pid_file = cluster / "postmaster.pid"
    pid = _pid_in(pid_file)
    if pid is not None and _is_alive(pid) and not _is_postmaster(pid, cluster):
        others = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())
        if not any(_may_work_in(other, cluster) for other in others):
            pid_file.unlink()


def _pid_in(pid_file: Path) -> int | None:
    with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
        return int(pid_file.read_text().splitlines()[0])
    return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _is_postmaster(pid: int, cluster: Path) -> bool:
    """Whether the process is the server of the cluster. A zombie is not.

    True on a system without /proc: there the pid file is trusted.
    """
    if not _PROC.exists():
        return True
    with contextlib.suppress(OSError):
        arguments = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
        return str(cluster).encode() in arguments and _owner(pid) == cluster.stat().st_uid
    return False


def _may_work_in(pid: int, cluster: Path) -> bool:
    """Whether the process has the cluster as its working directory, as all processes of PostgreSQL have.

    True if we may not see that, as happens to root in a container."""
    try:
        if _owner(pid) != cluster.stat().st_uid:
            return False
        return (_PROC / str(pid) / "cwd").readlink() == cluster
    except PermissionError:
        return True
    except OSError:
        return False


def _owner(pid: int) -> int:
    return (_PROC / str(pid)).stat().st_uid
