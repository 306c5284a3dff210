"""Limits, tiers and freezes change while calls are in flight: I1 holds, and there is no deadlock."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from infin8.governor.v1 import authorization_pb2, budget_pb2
from service_chassis.rpc.errors import from_rpc_error
from tests.budgets.conftest import HOLD, set_freeze, set_label_budget, set_organization, set_tier
from tests.governor.conftest import Governor, new_id

LOW, HIGH = 5 * HOLD, 20 * HOLD


async def attempt(governor: Governor, **changes: Any) -> authorization_pb2.Authorization | None:
    """The authorization, or None if a budget denied it."""
    try:
        return await governor.authorize(**changes)
    except grpc.aio.AioRpcError as error:
        refused = from_rpc_error(error)
        assert refused is not None
        assert refused.reason in ("BUDGET_EXCEEDED", "FROZEN"), refused
        return None


@pytest.mark.parametrize("last", [LOW, HIGH])
async def test_raised_and_lowered_with_fifty_on_their_way(governor: Governor, last: int) -> None:
    """I1: each grant fits the limit at that instant, and the total fits the highest limit there was."""
    await governor.set_workflow_limit(LOW)

    async def move() -> None:
        for limit in (HIGH, LOW, 12 * HOLD, LOW, HIGH, LOW, last):
            await governor.set_workflow_limit(limit)

    mover = asyncio.create_task(move())
    granted = [held for held in await asyncio.gather(*(attempt(governor) for _ in range(50))) if held]
    await mover
    for held in granted:
        workflow = held.budgets[-1]
        assert workflow.scope == budget_pb2.BUDGET_SCOPE_WORKFLOW
        assert workflow.spent_nano_usd + workflow.held_nano_usd <= workflow.limit_nano_usd
    assert 5 <= len(granted) <= 20
    budget = await governor.workflow_budget()
    assert (budget.held_nano_usd, budget.limit_nano_usd) == (len(granted) * HOLD, last)
    assert budget.available_nano_usd == max(0, last - budget.held_nano_usd)
    # From here on, the last limit decides.
    assert (await attempt(governor) is None) == (budget.available_nano_usd < HOLD)


@pytest.mark.own_world
async def test_everything_changes_at_once(governor: Governor) -> None:
    """Limits of months, labels and workflows, tiers, overrides and freezes change for three organizations."""
    organizations = [new_id() for _ in range(3)]
    parts = []
    for organization_id in organizations:
        part = Governor(governor.channel, governor.dsn, organization_id, governor.workflow_id)
        await set_label_budget(part, "team=growth", budget_pb2.BUDGET_PERIOD_MONTH, HIGH)
        await set_label_budget(part, "feature=articles", budget_pb2.BUDGET_PERIOD_LIFETIME, HIGH)
        parts.append(part)
    labels = [{"team": "growth", "feature": "articles"}, {"feature": "articles", "team": "growth"}]

    async def calls(part: Governor) -> None:
        for held in await asyncio.gather(*(attempt(part, labels=labels[n % 2]) for n in range(30))):
            if held:
                await part.void(held)

    async def changes(part: Governor) -> None:
        for n in range(6):
            await set_tier(part, tier="pro", workflow_limit_nano_usd=(n + 1) * HIGH)
            await set_organization(part, tier="pro", monthly_quota_nano_usd=(n + 1) * HIGH)
            await set_freeze(part, n % 2 == 0, organization_id=part.organization_id)
            await set_freeze(part, n % 2 == 0, model="z-ai/glm-5")
            await set_label_budget(part, "team=growth", budget_pb2.BUDGET_PERIOD_MONTH, n * HOLD)

    await asyncio.gather(*(work(part) for part in parts for work in (calls, changes)))
    (row,) = await governor.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert row["deadlocks"] == 0
    assert {row[0] for row in await governor.sql("SELECT held_nano_usd FROM budgets")} <= {0}
