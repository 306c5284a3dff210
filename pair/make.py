"""Notices that make was told to stop.

make passes SIGTERM on to its children, but not SIGINT: it relies on the terminal, which signals the whole
process group. Since make waits for its children, `kill -INT` of make alone would wait forever. SIGKILL cannot
be passed on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

_POLL_SECONDS = 0.2


async def stopped_by_make() -> None:
    """Returns when the make that started this process was told to stop, or has ended.

    Waits forever if no make started it, or if the system has no /proc.
    """
    parent = os.getppid()
    if "MAKELEVEL" not in os.environ or not _catches_sigint(parent):
        await asyncio.Event().wait()
    # make's handler restores the default action before make waits for its children.
    while os.getppid() == parent and _catches_sigint(parent):  # noqa: ASYNC110 - of another process
        await asyncio.sleep(_POLL_SECONDS)


def _catches_sigint(pid: int) -> bool:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1)
    return False
