"""What make does not tell its children.

It passes SIGTERM on, but not SIGINT, for which it relies on a terminal that signals the whole group, and not,
of course, SIGKILL. It waits for its children all the same: `kill -INT` of make alone would wait forever.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

_POLL_SECONDS = 0.2


async def stopped_by_make() -> None:
    """Returns once the make that started this process has been told to stop, or is gone.

    Waits forever where no make did, or the system does not tell (no /proc).
    """
    parent = os.getppid()
    if "MAKELEVEL" not in os.environ or not _catches_sigint(parent):
        await asyncio.Event().wait()
    # Its handler puts the default back before it waits.
    while os.getppid() == parent and _catches_sigint(parent):  # noqa: ASYNC110 - of another process
        await asyncio.sleep(_POLL_SECONDS)


def _catches_sigint(pid: int) -> bool:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1)
    return False
