"""Composition root of the workflow service: `python -m workflow_service`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.resources import files

import uvloop

from governor_client import GovernorClient
from infin8.workflow.v1 import workflow_service_pb2_grpc
from service_chassis.dialling import CheckedTransport
from service_chassis.logs import set_up_logs
from service_chassis.postgres.database import Database
from service_chassis.postgres.migrate import migrate
from service_chassis.rpc.server import GrpcServer, Service
from service_chassis.settings import database_of, load_settings, refuse_setting, require_free_address
from workflow_service.api.bounds import BOUNDS
from workflow_service.api.workflow_servicer import WorkflowServicer
from workflow_service.app.breakers import Breakers
from workflow_service.app.call_slots import CallSlots
from workflow_service.app.changes import Changes
from workflow_service.app.driver import Driver, Slots
from workflow_service.app.execute_step import StepExecutor
from workflow_service.app.model_call import ModelCaller
from workflow_service.app.publish_articles import Publishing
from workflow_service.app.record_matrix import record_matrix
from workflow_service.app.relay import Relay
from workflow_service.app.run_step import StepRunner
from workflow_service.app.run_workflow import WorkflowRunner
from workflow_service.app.step_worker import Executor, StepWorker
from workflow_service.app.waiting import Waiting
from workflow_service.app.watch import Watch
from workflow_service.clients.openrouter import OpenRouterClient
from workflow_service.clients.publishing.publishers import Publishers
from workflow_service.domain.breaker import BreakerPolicy
from workflow_service.domain.driving import Patience
from workflow_service.settings import WorkflowSettings
from workflow_service.store.deliveries import Deliveries
from workflow_service.store.invocations import Invocations

ERROR_DOMAIN = "workflow.infin8"
SERVICE_NAME = "infin8.workflow.v1.WorkflowService"


@asynccontextmanager
async def serving(database: Database, executor: Executor, settings: WorkflowSettings) -> AsyncIterator[int]:
    """Serves the RPCs, drives what is due, and yields the port. At the end it waits for running steps, up to
    the grace, and gives the others back.
    """
    relay = Relay(database, poll_seconds=settings.poll_seconds)
    changes = Changes(database, poll_seconds=settings.poll_seconds, told=relay.wake)
    driver = Driver(
        database,
        StepWorker(database, executor, lease_duration=settings.lease_duration),
        changes,
        slots=Slots(settings.runs_max, settings.organization_runs_max),
        patience=Patience(settings.takeovers_max, settings.step_attempts_max),
        poll_seconds=settings.poll_seconds,
    )
    waiting = Waiting(database, changes, driver)

    def changed() -> None:
        driver.wake()
        relay.wake()

    servicer = WorkflowServicer(
        database,
        StepRunner(database, driver, waiting),
        WorkflowRunner(database, driver, waiting),
        Watch(database, changes, relay),
        changed=changed,
        lease_duration=settings.lease_duration,
        lease_duration_min=settings.lease_duration_min,
        takeovers_max=settings.takeovers_max,
        allow_private_targets=settings.may_dial_private_targets,
    )
    server = GrpcServer(
        host=settings.host,
        port=settings.port,
        services=[
            Service(
                SERVICE_NAME,
                partial(workflow_service_pb2_grpc.add_WorkflowServiceServicer_to_server, servicer),
                BOUNDS,
            )
        ],
        error_domain=ERROR_DOMAIN,
        reflection=settings.reflection,
        minimum_deadline_seconds=settings.minimum_deadline_seconds,
        calls_max=settings.calls_max,
        call_bytes_max=settings.call_bytes_max,
    )
    port = await server.start()
    driver.start()
    relay.start()
    try:
        yield port
    finally:
        # Both at once: callers wait for steps, and some steps have no caller.
        await asyncio.gather(server.stop(settings.grace_seconds), driver.stop(settings.grace_seconds))
        await relay.close()
        await changes.close()


@asynccontextmanager
async def executing(database: Database, settings: WorkflowSettings) -> AsyncIterator[Executor]:
    """The built-in executor with its clients.

    At the end it waits, up to the grace, until running model calls are settled. The journal has those that
    are not, for the next holder of the step.
    """
    if settings.openrouter_api_key is None:
        refuse_setting("OPENROUTER_API_KEY", "is not set; `make serve` runs the pair on a local simulator")
    provider = OpenRouterClient(
        settings.openrouter_base_url,
        settings.openrouter_api_key.get_secret_value(),
        deadline_seconds=settings.model_call_deadline_seconds,
        first_data_seconds=settings.model_call_first_data_seconds,
        silence_seconds=settings.model_call_silence_seconds,
        calls_max=settings.model_calls_max,
    )
    publishers = Publishers(
        settings.publish_directory,
        transport=CheckedTransport(allow_private=settings.may_dial_private_targets),
        webhook_secret=settings.webhook_secret.get_secret_value() or None,
        wordpress_accounts=settings.all_wordpress_accounts,
    )
    governor = GovernorClient.connect(settings.governor_target)
    journal = Invocations(database)
    caller = ModelCaller(
        journal,
        governor,
        provider,
        route=settings.route,
        slots=CallSlots(
            calls_max=settings.model_calls_max,
            organization_calls_max=settings.organization_model_calls_max,
        ),
        breakers=Breakers(settings.models, BreakerPolicy()),
        call_deadline_seconds=settings.model_call_deadline_seconds,
    )
    true_ups = asyncio.create_task(caller.true_ups.run())
    try:
        yield StepExecutor(
            caller,
            journal,
            Publishing(Deliveries(database), publishers.publish),
            calls_at_once=settings.step_model_calls_max,
            deadline_seconds=settings.step_deadline_seconds,
        )
    finally:
        true_ups.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.grace_seconds):
                await caller.finish()
        await governor.close()
        await publishers.close()
        await provider.close()


@asynccontextmanager
async def running(settings: WorkflowSettings) -> AsyncIterator[int]:
    """Migrates the database, starts the service and yields its port."""
    if settings.database_url is None:
        refuse_setting(
            "WORKFLOW_DATABASE_URL", "is not set; `make serve` starts the pair on an embedded PostgreSQL"
        )
    dsn = settings.database_url.get_secret_value()
    with database_of("WORKFLOW_DATABASE_URL"):
        await migrate(dsn, files("migrations.workflow"))
    database = await Database.open(dsn, settings, application_name="workflow_service")
    try:
        await record_matrix(database)
        async with (
            executing(database, settings) as executor,
            serving(database, executor, settings) as port,
        ):
            yield port
    finally:
        await database.close()


async def main(settings: WorkflowSettings) -> None:
    """Serves until SIGINT or SIGTERM, then stops in order."""
    set_up_logs(settings, service="workflow")
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with running(settings) as port:
        print(f"ready workflow={settings.host}:{port}", flush=True)
        await stopping.wait()


if __name__ == "__main__":
    _settings = load_settings(WorkflowSettings)
    require_free_address("WORKFLOW_HOST, WORKFLOW_PORT", _settings.host, _settings.port)
    uvloop.run(main(_settings))
