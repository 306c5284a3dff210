"""Several processes of one service on one port; the kernel distributes connections among them.

They are new processes, not forks, since gRPC does not work after a fork.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable

from service_chassis.processes.child_process import ChildProcess, ProcessEndedError


async def run_workers(
    module: str, workers: int, *, prefix: str, host: str, port: int, ready: Callable[[int], None]
) -> int:
    """Runs the workers until cancelled. If one of them ends, stops the others and returns exit status 1.

    `prefix` is the prefix of the service's settings. `ready` is called with the port when all workers serve.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as holder:
        # This socket never listens, so it gets no connections. It reserves the port, or a free one for 0.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((host, port))
        port = holder.getsockname()[1]
        environment = os.environ | {f"{prefix}PORT": str(port), f"{prefix}SHARES_PORT": "true"}
        children: list[ChildProcess] = []
        try:
            # One after another: the first one migrates the database.
            for number in range(1, workers + 1):
                child = await ChildProcess.start(f"{module} {number}", module, environment=environment)
                children.append(child)
            ready(port)
            ends = [asyncio.create_task(child.ended()) for child in children]
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            print(*(end.result() for end in done), sep="\n", file=sys.stderr)
        except ProcessEndedError as error:
            print(error, file=sys.stderr)
        finally:
            await asyncio.gather(*(child.stop() for child in children))
    return 1
