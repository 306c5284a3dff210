"""A governor on a real database, over a real socket, with the document's prices.

perplexity/sonar costs 1,000 nano-USD an input token and 2,000 an output token, openai/gpt-4o-mini 150 and
600: a hold of 1,000 + 700 tokens of sonar is 2,400,000 nano-USD.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import pytest

from governor_service.__main__ import running
from governor_service.settings import GovernorSettings
from infin8.governor.v1 import (
    authorization_pb2,
    budget_pb2,
    budget_service_pb2,
    budget_service_pb2_grpc,
    entry_pb2,
    governor_service_pb2_grpc,
    ledger_service_pb2,
    ledger_service_pb2_grpc,
    pricing_service_pb2_grpc,
)
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from service_chassis.refusal import Refusal
from service_chassis.rpc.errors import from_rpc_error

SONAR, MINI = "perplexity/sonar", "openai/gpt-4o-mini"


# The arguments of authorize_set_based for a call of sonar with one token each way: $1 is the organization, $2
# every other id.
ONE_SMALL_CALL = """
p_organization_ids => ARRAY[$1::uuid],
p_authorization_ids => ARRAY[$2::uuid], p_request_ids => ARRAY[$2::uuid],
p_request_hashes => '{a}', p_workflow_ids => ARRAY[$2::uuid], p_input_tokens_max => '{1}',
p_output_tokens_max => '{1}', p_requests_max => '{1}', p_cache_write_tokens_max => '{NULL}',
p_cache_write_1h_tokens_max => '{NULL}', p_other_units_max => ARRAY[NULL::jsonb],
p_price_contexts => ARRAY[NULL::jsonb], p_hold_durations => '{1 min}', p_on_expiry => '{RELEASE}',
p_labels => ARRAY['{}'::jsonb], p_candidates => '{perplexity/sonar}', p_denies_unknown => false,
p_lock_timeout_milliseconds => 3000
"""


def new_id() -> str:
    return str(uuid4())


@dataclass
class Governor:
    """Stubs of every service, and helpers for what most tests do."""

    channel: grpc.aio.Channel
    dsn: str
    organization_id: str
    workflow_id: str
    target: str = ""

    def __post_init__(self) -> None:
        self.stub = governor_service_pb2_grpc.GovernorServiceStub(self.channel)
        self.budgets = budget_service_pb2_grpc.BudgetServiceStub(self.channel)
        self.ledger = ledger_service_pb2_grpc.LedgerServiceStub(self.channel)
        self.prices = pricing_service_pb2_grpc.PricingServiceStub(self.channel)

    def authorize_request(self, **changes: Any) -> governor_pb2.AuthorizeRequest:
        """1,000 input and 700 output tokens of sonar: a hold of 2,400,000 nano-USD."""
        fields: dict[str, Any] = {
            "organization_id": self.organization_id,
            "workflow_id": self.workflow_id,
            "request_id": new_id(),
            "models": [SONAR],
            "input_tokens_max": 1000,
            "output_tokens_max": 700,
        }
        return governor_pb2.AuthorizeRequest(**(fields | changes))

    async def authorize(self, **changes: Any) -> authorization_pb2.Authorization:
        return await self.stub.Authorize(self.authorize_request(**changes))

    async def settle(
        self,
        authorization: authorization_pb2.Authorization,
        usage: entry_pb2.Usage | None = None,
        **changes: Any,
    ) -> governor_pb2.Settlement:
        """Settles with the usage, or as unknown if there is none."""
        outcome: dict[str, Any] = (
            {"usage": usage} if usage else {"unknown_outcome": governor_pb2.UnknownOutcome()}
        )
        return await self.stub.Settle(
            governor_pb2.SettleRequest(
                organization_id=self.organization_id,
                authorization_id=authorization.authorization_id,
                **outcome,
                **changes,
            )
        )

    async def void(self, authorization: authorization_pb2.Authorization) -> authorization_pb2.Authorization:
        return await self.stub.Void(
            governor_pb2.VoidRequest(
                organization_id=self.organization_id,
                authorization_id=authorization.authorization_id,
                reason="never sent",
            )
        )

    async def workflow_budget(self) -> budget_pb2.BudgetStatus:
        return await self.budgets.GetBudget(
            budget_service_pb2.GetBudgetRequest(
                organization_id=self.organization_id,
                scope=budget_pb2.BUDGET_SCOPE_WORKFLOW,
                subject=self.workflow_id,
            )
        )

    async def month_budget(self) -> budget_pb2.BudgetStatus:
        return await self.budgets.GetBudget(
            budget_service_pb2.GetBudgetRequest(
                organization_id=self.organization_id, scope=budget_pb2.BUDGET_SCOPE_ORGANIZATION
            )
        )

    async def set_workflow_limit(self, limit_nano_usd: int) -> None:
        await self.budgets.SetBudget(
            budget_service_pb2.SetBudgetRequest(
                organization_id=self.organization_id,
                scope=budget_pb2.BUDGET_SCOPE_WORKFLOW,
                subject=self.workflow_id,
                limit_nano_usd=limit_nano_usd,
            )
        )

    async def entries(self) -> list[entry_pb2.LedgerEntry]:
        answer = await self.ledger.ListEntries(
            ledger_service_pb2.ListEntriesRequest(organization_id=self.organization_id, page_size=1000)
        )
        return list(answer.entries)

    async def price(self, model: str, nano_usd_per_mtok: int, *, since: str = "2000-01-01") -> None:
        """Adds a price that is the same for input and output."""
        await self.sql(
            "INSERT INTO prices (model, effective_time, input_nano_usd_per_mtok, output_nano_usd_per_mtok,"
            " source, author) VALUES ($1, $2::text::timestamptz, $3, $3, 'test', 'test')",
            model,
            since,
            nano_usd_per_mtok,
        )

    async def sql(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()


class GovernorOfOneOrganization(Governor):
    """A governor on a shared database, whose SQL must name the organization."""

    async def sql(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        names_it = "organization_id" in statement or {self.organization_id, self.workflow_id} & {
            *map(str, arguments)
        }
        assert names_it, "this statement is about all organizations: mark the test own_world"
        return await super().sql(statement, *arguments)


@pytest.fixture
async def governor(governor_world: tuple[str, str | None]) -> AsyncIterator[Governor]:
    """With an organization of its own; on a database of its own if the test is marked `own_world`."""
    dsn, target = governor_world
    ids = {"organization_id": new_id(), "workflow_id": new_id()}
    if target is not None:
        async with grpc.aio.insecure_channel(target) as channel:
            yield GovernorOfOneOrganization(channel, dsn, **ids, target=target)
        return
    settings = GovernorSettings(database_url=dsn, port=0, price_list="document")
    async with (
        running(settings) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Governor(channel, dsn, **ids, target=f"127.0.0.1:{port}")


async def refusal(call: Any) -> Refusal:
    """The refusal that a call raises; fails if the call succeeds."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    refused = from_rpc_error(caught.value)
    assert refused is not None, caught.value
    return refused
