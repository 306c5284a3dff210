"""`python -m pair.prices [ARGUMENT…]` compares the pair's price book with a price list: `make prices`.

It runs `python -m governor_service.price_lists` with these arguments on the governor's database, which it
finds, or starts, as `make psql` does. The exit status is that command's.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from pair.psql import dsn_of
from pair.settings import PairSettings
from service_chassis.settings import load_settings


async def prices(settings: PairSettings, arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit status. RuntimeError or OSError if the server does not start."""
    async with dsn_of(settings, "governor") as dsn:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "governor_service.price_lists", *arguments),
            env=os.environ | {"GOVERNOR_DATABASE_URL": dsn},
        )
        loop = asyncio.get_running_loop()
        # The command gets Ctrl-C too. This process must not end before it, because it owns the server.
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        loop.add_signal_handler(signal.SIGTERM, process.terminate)
        return await process.wait()


if __name__ == "__main__":
    settings = load_settings(PairSettings)
    try:
        sys.exit(asyncio.run(prices(settings, sys.argv[1:])))
    except (OSError, RuntimeError) as error:
        sys.exit(f"prices: {error}")
