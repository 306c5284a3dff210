"""Runs the simulator until SIGINT or SIGTERM: `python -m workflow_service.simulator --port 0`.

Prints one line on stdout once it listens: `ready simulator=BASE_URL control=CONTROL_URL`.
"""

import asyncio
import signal
from argparse import ArgumentParser

from workflow_service.simulator.server import Simulator


async def _serve(host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Simulator(host=host, port=port) as simulator:
        print(f"ready simulator={simulator.base_url} control={simulator.control_url}", flush=True)
        await stop.wait()


def main() -> None:
    parser = ArgumentParser(prog="python -m workflow_service.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.host, arguments.port))


if __name__ == "__main__":
    main()
