"""A workflow under lease on a real database, with the real governor and the simulator over sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest

from governor_client import GovernorClient
from infin8.governor.v1.budget_pb2 import BUDGET_SCOPE_WORKFLOW, BudgetStatus
from infin8.governor.v1.budget_service_pb2 import GetBudgetRequest, SetBudgetRequest
from infin8.governor.v1.budget_service_pb2_grpc import BudgetServiceStub
from infin8.governor.v1.entry_pb2 import EntryFlag, EntryKind, LedgerEntry
from infin8.governor.v1.ledger_service_pb2 import ListEntriesRequest
from infin8.governor.v1.ledger_service_pb2_grpc import LedgerServiceStub
from service_chassis.dialling import CheckedTransport
from service_chassis.postgres.database import Database
from service_chassis.settings import DatabaseSettings
from tests.executor.examples import ICP, INPUTS
from tests.governor.conftest import Governor, governor
from workflow_service.app.breakers import Breakers
from workflow_service.app.call_slots import CallSlots
from workflow_service.app.execute_step import StepExecutor
from workflow_service.app.model_call import ModelCaller
from workflow_service.app.publish_articles import Publishing
from workflow_service.clients.openrouter import OpenRouterClient
from workflow_service.clients.publishing.publishers import Publishers
from workflow_service.domain.breaker import BreakerPolicy
from workflow_service.domain.routing import Route
from workflow_service.domain.states import PROCESSING, WORKING_STEPS, Step, WorkflowState, processing
from workflow_service.domain.steps import StepInput
from workflow_service.domain.workflow import Lease, Profile, PublishKind, PublishTarget
from workflow_service.simulator.prices import ModelPrice
from workflow_service.simulator.server import Simulator
from workflow_service.store import workflows
from workflow_service.store.deliveries import Deliveries
from workflow_service.store.invocations import Invocation, Invocations

__all__ = ["governor"]

CALL_DEADLINE_SECONDS = 1.0
AUTHORIZE_TIMEOUT_SECONDS = 1.0
SONAR, MINI = "perplexity/sonar", "openai/gpt-4o-mini"

# The document's prices, which the governor uses here too, so both sides rate alike.
PRICES = {
    SONAR: ModelPrice(1_000_000_000, 2_000_000_000),
    MINI: ModelPrice(150_000_000, 600_000_000),
    f"{MINI}-2024-07-18": ModelPrice(150_000_000, 600_000_000),
}

_PROFILE = Profile(
    organization_name="Acme",
    organization_url="https://acme.example",
    linkedin_url="",
    competitor_urls=("https://one.example", "https://two.example"),
)


@dataclass
class WorkflowDatabase:
    """Puts workflows into a state by SQL; claiming and completing steps are not tested here."""

    database: Database
    dsn: str

    @property
    def journal(self) -> Invocations:
        return Invocations(self.database)

    @property
    def deliveries(self) -> Deliveries:
        return Deliveries(self.database)

    async def sql(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()

    async def lease(
        self,
        step: Step,
        step_input: StepInput | None = None,
        *,
        publish_target: PublishTarget = PublishTarget(PublishKind.DIRECTORY, ""),  # noqa: B008 - frozen
    ) -> Lease:
        """The lease of a new workflow whose `step` is in X_PROCESSING."""
        organization_id, workflow_id = uuid4(), uuid4()
        async with self.database.read() as connection:
            await workflows.insert_workflow(
                connection,
                organization_id,
                workflow_id,
                display_name="Test",
                profile=_PROFILE,
                publish_target=publish_target,
            )
        ids = (organization_id, workflow_id)
        for state in _way_to(processing(step)):
            await self.sql(
                "UPDATE intent_workflows SET state = $3, version = version + 1, icp = "
                "CASE WHEN $3 IN ('ICP_PENDING', 'ICP_PROCESSING') THEN NULL ELSE $4::jsonb END, "
                "lease_token = CASE WHEN $5 THEN gen_random_uuid() END, "
                "lease_epoch = lease_epoch + $5::boolean::integer, "
                "lease_expire_time = CASE WHEN $5 THEN now() + interval '1 hour' END "
                "WHERE organization_id = $1 AND id = $2",
                *ids,
                state.value,
                ICP.model_dump_json(),
                state in PROCESSING,
            )
        return await self._present_lease(ids, step, step_input or INPUTS[step])

    async def take_over(self, lease: Lease) -> Lease:
        """A lease on the same step, at the next epoch."""
        await self.sql(
            "UPDATE intent_workflows SET lease_epoch = lease_epoch + 1, lease_token = gen_random_uuid() "
            "WHERE organization_id = $1 AND id = $2",
            lease.organization_id,
            lease.workflow_id,
        )
        return await self._present_lease((lease.organization_id, lease.workflow_id), lease.step, lease.input)

    async def fail_and_claim(self, lease: Lease) -> Lease:
        """The step ends in X_FAILED and is claimed again."""
        ids = (lease.organization_id, lease.workflow_id)
        await self.sql(
            "UPDATE intent_workflows SET state = $3, version = version + 1, lease_token = NULL, "
            "lease_expire_time = NULL, error_class = 'INTERNAL', error_reason = '', error_message = '' "
            "WHERE organization_id = $1 AND id = $2",
            *ids,
            f"{lease.step}_FAILED",
        )
        await self.sql(
            "UPDATE intent_workflows SET state = $3, version = version + 1, lease_epoch = lease_epoch + 1, "
            "lease_token = gen_random_uuid(), lease_expire_time = now() + interval '1 hour', "
            "error_class = NULL, error_reason = NULL, error_message = NULL "
            "WHERE organization_id = $1 AND id = $2",
            *ids,
            processing(lease.step).value,
        )
        return await self._present_lease(ids, lease.step, lease.input)

    async def cancel(self, lease: Lease) -> None:
        await self.sql(
            "UPDATE intent_workflows SET state = 'CANCELLED', version = version + 1, lease_token = NULL, "
            "lease_expire_time = NULL WHERE organization_id = $1 AND id = $2",
            lease.organization_id,
            lease.workflow_id,
        )

    async def calls(self, lease: Lease) -> list[Invocation]:
        return await self.journal.of_step(lease.organization_id, lease.workflow_id, lease.step)

    async def _present_lease(self, ids: tuple[UUID, UUID], step: Step, step_input: StepInput) -> Lease:
        [row] = await self.sql("SELECT * FROM intent_workflows WHERE organization_id = $1 AND id = $2", *ids)
        async with self.database.read() as connection:
            workflow = await workflows.get_workflow(connection, *ids)
        assert workflow is not None
        return Lease(
            organization_id=ids[0],
            workflow_id=ids[1],
            step=step,
            lease_token=row["lease_token"],
            epoch=row["lease_epoch"],
            expire_time=row["lease_expire_time"],
            workflow=workflow,
            input=step_input,
        )


def _way_to(target: WorkflowState) -> list[WorkflowState]:
    way: list[WorkflowState] = []
    for state in WorkflowState:
        if state.value.endswith("_FAILED") or state is WorkflowState.CREATED:
            continue
        way.append(state)
        if state is target:
            return way
    raise AssertionError(f"{target} is no state of a step of {WORKING_STEPS}")


@pytest.fixture
async def workflow_database(workflow_world: str) -> AsyncIterator[WorkflowDatabase]:
    """A database for one test if it is marked `own_world`; each workflow has an organization of its own."""
    database = await Database.open(workflow_world, DatabaseSettings(), application_name="test")
    yield WorkflowDatabase(database, workflow_world)
    await database.close()


@dataclass
class Bench:
    """The executor and everything that it uses."""

    workflows: WorkflowDatabase
    simulator: Simulator
    client: GovernorClient
    provider: OpenRouterClient
    publishers: Publishers
    waits_seconds: list[float]
    channel: grpc.aio.Channel

    def __post_init__(self) -> None:
        self.ledger = LedgerServiceStub(self.channel)
        self.budgets = BudgetServiceStub(self.channel)
        self.caller = self.another_caller()
        self.executor = self.another_executor(self.caller)

    def another_caller(
        self,
        *,
        client: GovernorClient | None = None,
        provider: OpenRouterClient | None = None,
        journal: Invocations | None = None,
        route: Route = Route(),  # noqa: B008 - frozen
        call_deadline_seconds: float = CALL_DEADLINE_SECONDS,
        slots: CallSlots | None = None,
        breakers: Breakers | None = None,
    ) -> ModelCaller:
        """A caller that does not wait: it records its waits in `waits_seconds`."""

        async def note_wait(seconds: float) -> None:
            self.waits_seconds.append(seconds)

        return ModelCaller(
            journal or self.workflows.journal,
            client or self.client,
            provider or self.provider,
            route=route,
            slots=slots or CallSlots(calls_max=100, organization_calls_max=100),
            breakers=breakers or Breakers(route.models, BreakerPolicy()),
            call_deadline_seconds=call_deadline_seconds,
            authorize_timeout_seconds=AUTHORIZE_TIMEOUT_SECONDS,
            sleep=note_wait,
            jitter=lambda: 0.0,
        )

    def another_executor(self, caller: ModelCaller) -> StepExecutor:
        publishing = Publishing(self.workflows.deliveries, self.publishers.publish)
        return StepExecutor(caller, self.workflows.journal, publishing)

    def publishers_with(self, **settings: Any) -> Publishers:
        """Other publishers, which the test closes."""
        return Publishers(Path("unused"), transport=CheckedTransport(allow_private=True), **settings)

    async def entries(self, lease: Lease) -> list[LedgerEntry]:
        answer = await self.ledger.ListEntries(
            ListEntriesRequest(
                organization_id=str(lease.organization_id), workflow_id=str(lease.workflow_id), page_size=1000
            )
        )
        return list(answer.entries)

    async def budget(self, lease: Lease) -> BudgetStatus:
        return await self.budgets.GetBudget(
            GetBudgetRequest(
                organization_id=str(lease.organization_id),
                scope=BUDGET_SCOPE_WORKFLOW,
                subject=str(lease.workflow_id),
            )
        )

    async def set_limit(self, lease: Lease, limit_nano_usd: int) -> None:
        await self.budgets.SetBudget(
            SetBudgetRequest(
                organization_id=str(lease.organization_id),
                scope=BUDGET_SCOPE_WORKFLOW,
                subject=str(lease.workflow_id),
                limit_nano_usd=limit_nano_usd,
            )
        )

    async def assert_books_agree(self, lease: Lease) -> None:
        """Journal, ledger and budget agree to the nano-dollar, and nothing is held any more."""
        entries = await self.entries(lease)
        calls = await self.workflows.calls(lease)
        cost_nano_usd = sum(entry.cost_nano_usd for entry in entries)
        assert sum(call.cost_nano_usd or 0 for call in calls) == cost_nano_usd
        budget = await self.budget(lease)
        assert (budget.spent_nano_usd, budget.held_nano_usd) == (cost_nano_usd, 0)
        assert {call.state.value for call in calls} <= {"SETTLED", "VOIDED"}
        [row] = await self.workflows.sql(
            "SELECT total_ai_cost_nano_usd FROM intent_workflows WHERE id = $1", lease.workflow_id
        )
        assert row["total_ai_cost_nano_usd"] == cost_nano_usd


def kinds(entries: Sequence[LedgerEntry]) -> list[str]:
    return [EntryKind.Name(entry.kind).removeprefix("ENTRY_KIND_") for entry in entries]


def flags(entry: LedgerEntry) -> set[str]:
    return {EntryFlag.Name(flag).removeprefix("ENTRY_FLAG_") for flag in entry.flags}


@pytest.fixture
async def bench(
    workflow_database: WorkflowDatabase, governor: Governor, tmp_path: Path
) -> AsyncIterator[Bench]:
    async with (
        GovernorClient.connect(governor.target) as client,
        Simulator(prices=PRICES) as simulator,
    ):
        provider = OpenRouterClient(simulator.base_url, "test-key", deadline_seconds=CALL_DEADLINE_SECONDS)
        publishers = Publishers(tmp_path, transport=CheckedTransport(allow_private=True))
        bench = Bench(
            workflow_database,
            simulator,
            client,
            provider,
            publishers,
            waits_seconds=[],
            channel=governor.channel,
        )
        yield bench
        await bench.caller.finish()
        await provider.close()
        await publishers.close()
