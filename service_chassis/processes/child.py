"""`python -m service_chassis.processes.child MODULE [ARGUMENT…]` runs a module that ends with its parent.

The parent holds the other end of stdin and writes nothing. The kernel closes it however the parent ends,
`kill -9` included; then this process gets the SIGTERM that the parent could not send.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

_LAST_SECONDS = 60
"""How long a process without a parent may take to end in order."""


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
