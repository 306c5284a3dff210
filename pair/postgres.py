"""`python -m pair.postgres DATA_DIR DATABASE…` owns the embedded PostgreSQL until told to stop.

A process of its own, so that the server ends in order also when the pair is killed. It prints one line of
JSON once every database is there: {"notice": null or text, "dsns": {database: dsn}}. A server that is killed
is started again: the services come back by themselves.
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
