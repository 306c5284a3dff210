"""Composition root of the governor: `python -m governor_service`. Settings come from GOVERNOR_… variables."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from importlib.resources import files

import uvloop

from governor_service.api.bounds import BOUNDS
from governor_service.api.budget_servicer import BudgetServicer
from governor_service.api.governor_servicer import GovernorServicer
from governor_service.api.ledger_servicer import LedgerServicer
from governor_service.api.pricing_servicer import PricingServicer
from governor_service.app.load_price_list import load_price_list
from governor_service.app.sweep import keep_sweeping
from governor_service.app.watch_price_list import keep_watching_price_list
from governor_service.settings import GovernorSettings
from governor_service.store.holds import HoldStore, connections_of_lanes
from infin8.governor.v1 import (
    budget_service_pb2_grpc,
    governor_service_pb2_grpc,
    ledger_service_pb2_grpc,
    pricing_service_pb2_grpc,
)
from service_chassis.logs import set_up_logs
from service_chassis.postgres.database import Database
from service_chassis.postgres.migrate import migrate
from service_chassis.processes.workers import run_workers
from service_chassis.rpc.server import GrpcServer, Service
from service_chassis.settings import (
    CommandLine,
    database_of,
    load_settings,
    refuse_setting,
    require_free_address,
)

ERROR_DOMAIN = "governor.infin8"


def services(database: Database, holds: HoldStore, *, denies_unknown: bool) -> list[Service]:
    """The gRPC services of the governor."""
    return [
        Service(
            "infin8.governor.v1.GovernorService",
            partial(
                governor_service_pb2_grpc.add_GovernorServiceServicer_to_server,
                GovernorServicer(holds, database),
            ),
            BOUNDS,
        ),
        Service(
            "infin8.governor.v1.PricingService",
            partial(pricing_service_pb2_grpc.add_PricingServiceServicer_to_server, PricingServicer(database)),
            BOUNDS,
        ),
        Service(
            "infin8.governor.v1.BudgetService",
            partial(
                budget_service_pb2_grpc.add_BudgetServiceServicer_to_server,
                BudgetServicer(database, denies_unknown=denies_unknown),
            ),
            BOUNDS,
        ),
        Service(
            "infin8.governor.v1.LedgerService",
            partial(ledger_service_pb2_grpc.add_LedgerServiceServicer_to_server, LedgerServicer(database)),
            BOUNDS,
        ),
    ]


@asynccontextmanager
async def running(settings: GovernorSettings) -> AsyncIterator[int]:
    """Yields the port of a running governor. Its schema is current and its price book is not empty."""
    if settings.database_url is None:
        refuse_setting(
            "GOVERNOR_DATABASE_URL", "is not set; `make serve` starts the pair on an embedded PostgreSQL"
        )
    dsn = settings.database_url.get_secret_value()
    with database_of("GOVERNOR_DATABASE_URL"):
        await migrate(dsn, files("migrations.governor"))
    database = await Database.open(
        dsn, settings, application_name="governor_service", reserved=connections_of_lanes(settings)
    )
    try:
        await load_price_list(database, settings.price_list)
        denies_unknown = settings.denies_unknown_organizations
        holds = HoldStore(database, settings, denies_unknown=denies_unknown)
        server = GrpcServer(
            host=settings.host,
            port=settings.port,
            services=services(database, holds, denies_unknown=denies_unknown),
            error_domain=ERROR_DOMAIN,
            reflection=settings.reflection,
            minimum_deadline_seconds=settings.minimum_deadline_seconds,
            calls_max=settings.calls_max,
            call_bytes_max=settings.call_bytes_max,
            shares_port=settings.shares_port,
        )
        port = await server.start()
        sweeper = asyncio.create_task(
            keep_sweeping(
                holds, timedelta(seconds=settings.hold_retention_seconds), settings.sweep_interval_seconds
            )
        )
        watcher = asyncio.create_task(keep_watching_price_list(database))
        try:
            yield port
        finally:
            sweeper.cancel()
            watcher.cancel()
            await server.stop(settings.grace_seconds)
    finally:
        await database.close()


async def main(settings: GovernorSettings, workers: int) -> int:
    """Serves until SIGINT or SIGTERM, then finishes what is running. Returns the exit status."""
    serving = asyncio.create_task(_serve(settings) if workers == 1 else _serve_by(workers, settings))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    try:
        return await serving
    except asyncio.CancelledError:
        return 0


async def _serve(settings: GovernorSettings) -> int:
    set_up_logs(settings, service="governor")
    async with running(settings) as port:
        # Objects that exist now live as long as the process: the garbage collector may skip them.
        gc.freeze()
        _say_ready(settings, port)
        await asyncio.Event().wait()
    return 0


async def _serve_by(workers: int, settings: GovernorSettings) -> int:
    return await run_workers(
        "governor_service",
        workers,
        prefix="GOVERNOR_",
        host=settings.host,
        port=settings.port,
        ready=partial(_say_ready, settings),
    )


def _say_ready(settings: GovernorSettings, port: int) -> None:
    print(f"ready governor={settings.host}:{port}", flush=True)


if __name__ == "__main__":
    parser = CommandLine(prog="python -m governor_service", description=__doc__)
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes on the same port")
    workers = max(1, parser.parse_args().workers)
    settings = load_settings(GovernorSettings)
    if not settings.shares_port:
        require_free_address("GOVERNOR_HOST, GOVERNOR_PORT", settings.host, settings.port)
    sys.exit(uvloop.run(main(settings, workers)))
