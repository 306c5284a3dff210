"""How much processor time the processes that we started have used: what a busy machine hardly moves."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def cpu_seconds(module: str) -> float | None:
    """Of our child that runs the module, with all of its descendants that still run.

    None where the system does not tell (it is Linux that does).
    """
    if not (_PROC / "self" / "stat").exists():
        return None
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    roots: set[int] = set()
    for directory in _PROC.glob("[0-9]*"):
        try:
            # The name, in parentheses, may hold anything. The field after it is the third of proc(5).
            fields = (directory / "stat").read_text().rpartition(")")[2].split()
            arguments = (directory / "cmdline").read_text().split("\0")
        except OSError:
            continue  # it has ended
        pid = int(directory.name)
        parents[pid] = int(fields[1])
        seconds[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        if module in arguments and parents[pid] == os.getpid():
            roots.add(pid)
    return sum(used for pid, used in seconds.items() if roots & _line(pid, parents))


def _line(pid: int, parents: dict[int, int]) -> set[int]:
    """A process and those it descends from."""
    line = set()
    while pid in parents and pid not in line:
        line.add(pid)
        pid = parents[pid]
    return line
