"""Runs the simulator until SIGINT or SIGTERM: `python -m workflow_service.simulator --port 0`.

Prints one line on stdout once it listens: `ready simulator=BASE_URL control=CONTROL_URL`.
"""

import asyncio
import signal

from service_chassis.settings import CommandLine, require_free_address
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
    parser = CommandLine(prog="python -m workflow_service.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    arguments = parser.parse_args()
    if not 0 <= arguments.port <= 65535:
        parser.error("argument --port: must be from 0 to 65535")
    require_free_address("argument --host, --port", arguments.host, arguments.port)
    asyncio.run(_serve(arguments.host, arguments.port))


if __name__ == "__main__":
    main()
