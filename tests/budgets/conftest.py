"""The governor of tests/governor, with helpers that set limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from governor_service.__main__ import running
from governor_service.settings import GovernorSettings
from infin8.governor.v1 import budget_pb2, budget_service_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from tests.governor.conftest import Governor, governor, new_id

__all__ = ["governor"]

HOLD = 2_400_000


@asynccontextmanager
async def serving(dsn: str, **settings: Any) -> AsyncIterator[Governor]:
    """One more governor on the same database."""
    made = GovernorSettings(database_url=dsn, port=0, price_list="document", **settings)
    async with running(made) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Governor(channel, dsn, organization_id=new_id(), workflow_id=new_id())


def at_time(dsn: str, time: str) -> str:
    """A DSN whose sessions' clock shows `time` at this moment and runs on from there."""
    offset = datetime.fromisoformat(time) - datetime.now(UTC)
    return f"{dsn}{'&' if '?' in dsn else '?'}governor.clock_offset={quote(f'{offset.total_seconds()} s')}"


async def until_it_waits_for_a_lock(governor: Governor, task: asyncio.Task[Any]) -> None:
    """Returns when a session of this database waits for a lock; fails if the task ends first."""
    async with asyncio.timeout(10):
        while True:
            assert not task.done()
            if await governor.sql(
                "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                return
            await asyncio.sleep(0.005)


async def set_budget(governor: Governor, **changes: Any) -> budget_pb2.BudgetStatus:
    return await governor.budgets.SetBudget(
        budget_service_pb2.SetBudgetRequest(organization_id=governor.organization_id, **changes)
    )


async def set_label_budget(
    governor: Governor, subject: str, period: budget_pb2.BudgetPeriod.ValueType, limit_nano_usd: int
) -> budget_pb2.BudgetStatus:
    return await set_budget(
        governor,
        scope=budget_pb2.BUDGET_SCOPE_LABEL,
        subject=subject,
        period=period,
        limit_nano_usd=limit_nano_usd,
    )


async def list_budgets(governor: Governor, **changes: Any) -> budget_service_pb2.ListBudgetsResponse:
    return await governor.budgets.ListBudgets(
        budget_service_pb2.ListBudgetsRequest(organization_id=governor.organization_id, **changes)
    )


async def get_organization(governor: Governor) -> budget_service_pb2.Organization:
    return await governor.budgets.GetOrganization(
        budget_service_pb2.GetOrganizationRequest(organization_id=governor.organization_id)
    )


async def set_organization(
    governor: Governor, *paths: str, request_id: str = "", **values: Any
) -> budget_service_pb2.Organization:
    return await governor.budgets.SetOrganization(
        budget_service_pb2.SetOrganizationRequest(
            organization=budget_service_pb2.Organization(organization_id=governor.organization_id, **values),
            update_mask=FieldMask(paths=paths) if paths else None,
            request_id=request_id,
        )
    )


async def set_tier(governor: Governor, request_id: str = "", **terms: Any) -> budget_service_pb2.Tier:
    return await governor.budgets.SetTier(
        budget_service_pb2.SetTierRequest(tier=budget_service_pb2.Tier(**terms), request_id=request_id)
    )


async def set_freeze(
    governor: Governor, frozen: bool = True, *, reason: str = "a runaway agent", **changes: Any
) -> budget_service_pb2.Freeze:
    return await governor.budgets.SetFreeze(
        budget_service_pb2.SetFreezeRequest(frozen=frozen, reason=reason, **changes)
    )


async def check_budget(governor: Governor, **changes: Any) -> governor_pb2.CheckBudgetResponse:
    """CheckBudget with the request that `governor.authorize` would send for these changes."""
    request = governor.authorize_request(**changes)
    request.ClearField("request_id")
    fields = {descriptor.name: value for descriptor, value in request.ListFields()}
    return await governor.stub.CheckBudget(governor_pb2.CheckBudgetRequest(**fields))
