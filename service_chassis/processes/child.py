"""`python -m service_chassis.processes.child MODULE [ARGUMENT…]` runs a module that ends with its parent.

The parent keeps the other end of stdin open and writes nothing. The kernel closes it when the parent ends,
even by `kill -9`. Then this process sends itself SIGTERM.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

_LAST_SECONDS = 60
"""How long a process without a parent may take to stop cleanly."""


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_LAST_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
