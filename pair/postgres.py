"""`python -m pair.postgres DATA_DIR DATABASE…` owns the embedded PostgreSQL until told to stop.

It is a process of its own, so that the server stops in order even if the pair is killed. When the databases
exist, it prints one line of JSON: {"notice": null or text, "dsns": {database: dsn}}. It restarts a server
that was killed, and the services reconnect by themselves.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from service_chassis.postgres.embedded import EmbeddedPostgres


async def _own(data_dir: Path, databases: list[str]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    server = EmbeddedPostgres(data_dir)
    await server.start()
    try:
        for database in databases:
            await server.ensure_database(database, role=database)
        dsns = {database: server.dsn(database, role=database) for database in databases}
        print(json.dumps({"notice": server.notice, "dsns": dsns}), flush=True)
        keeping = asyncio.create_task(server.keep_running())
        await stopping.wait()
        keeping.cancel()
    finally:
        await server.stop()


if __name__ == "__main__":
    try:
        asyncio.run(_own(Path(sys.argv[1]), sys.argv[2:]))
    except (OSError, RuntimeError) as error:
        sys.exit(f"postgres: {error}")
