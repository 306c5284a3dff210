"""`python -m pair.child pair.postgres DATA_DIR DATABASE…` owns the embedded PostgreSQL until told to stop.

A process of its own, so that the server ends in order also when the pair is killed. It prints one line of
JSON once every database is there: {"notice": null or text, "dsns": {database: dsn}}. A server that is killed
is started again: the services come back by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path

import asyncpg

from service_chassis.embedded_postgres import EmbeddedPostgres

_RETRY_SECONDS = 0.2


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
        keeping = asyncio.create_task(_keep_up(server))
        waiting = asyncio.create_task(stopping.wait())
        await asyncio.wait([keeping, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not keeping.done():
            keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping
    finally:
        await server.stop()


async def _keep_up(server: EmbeddedPostgres) -> None:
    """Starts the server again, on the port that the services know, whenever it is gone."""
    port = server.port
    while True:
        lost = asyncio.Event()
        try:
            connection = await asyncpg.connect(server.dsn("postgres"), timeout=10)
        except OSError:  # nobody listens
            print("postgres: the server is gone and is started again", file=sys.stderr, flush=True)
            await server.stop()
            await server.start()
            if server.port != port:
                raise RuntimeError(f"port {port} was taken while the server was gone") from None
        except (asyncpg.PostgresError, TimeoutError):  # it replays its log
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            connection.add_termination_listener(lambda _: lost.set())  # noqa: B023 - awaited in this round
            try:
                await lost.wait()
            finally:
                connection.terminate()


if __name__ == "__main__":
    try:
        asyncio.run(_own(Path(sys.argv[1]), sys.argv[2:]))
    except (OSError, RuntimeError) as error:
        sys.exit(f"postgres: {error}")
