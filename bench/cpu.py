"""Processor time of the processes that we started. A busy machine hardly changes it."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def cpu_seconds(module: str) -> float | None:
    """Processor time of our child process that runs the module, and of its descendants that still run.

    None on a system without Linux's /proc.
    """
    if not (_PROC / "self" / "stat").exists():
        return None
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    roots: set[int] = set()
    for directory in _PROC.glob("[0-9]*"):
        try:
            # The name, in parentheses, may contain anything. The next field is the third one of proc(5).
            fields = (directory / "stat").read_text().rpartition(")")[2].split()
            arguments = (directory / "cmdline").read_text().split("\0")
        except OSError:
            continue  # the process has ended
        pid = int(directory.name)
        parents[pid] = int(fields[1])
        seconds[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        if module in arguments and parents[pid] == os.getpid():
            roots.add(pid)
    return sum(used for pid, used in seconds.items() if roots & _line(pid, parents))


def _line(pid: int, parents: dict[int, int]) -> set[int]:
    """A process and its ancestors."""
    line = set()
    while pid in parents and pid not in line:
        line.add(pid)
        pid = parents[pid]
    return line
