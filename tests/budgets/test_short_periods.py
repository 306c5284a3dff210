"""Budgets of a day and an hour stop what runs away; they are decided with the others and begin anew."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import pytest

from infin8.governor.v1 import budget_pb2, budget_service_pb2, entry_pb2
from tests.budgets.conftest import HOLD, at_time, list_budgets, serving, set_budget
from tests.budgets.test_limits_in_flight import attempt
from tests.governor.conftest import Governor, new_id, refusal

ORGANIZATION, WORKFLOW, LABEL = (
    budget_pb2.BUDGET_SCOPE_ORGANIZATION,
    budget_pb2.BUDGET_SCOPE_WORKFLOW,
    budget_pb2.BUDGET_SCOPE_LABEL,
)
MONTH, LIFETIME, DAY, HOUR = (
    budget_pb2.BUDGET_PERIOD_MONTH,
    budget_pb2.BUDGET_PERIOD_LIFETIME,
    budget_pb2.BUDGET_PERIOD_DAY,
    budget_pb2.BUDGET_PERIOD_HOUR,
)
Scope: TypeAlias = budget_pb2.BudgetScope.ValueType
Period: TypeAlias = budget_pb2.BudgetPeriod.ValueType
KINDS = [
    (ORGANIZATION, DAY),
    (ORGANIZATION, HOUR),
    (ORGANIZATION, LIFETIME),
    (WORKFLOW, MONTH),
    (WORKFLOW, DAY),
    (WORKFLOW, HOUR),
    (LABEL, DAY),
    (LABEL, HOUR),
]
TEAM = {"team": "growth"}


async def limit(
    governor: Governor, scope: Scope, period: Period, limit_nano_usd: int
) -> budget_pb2.BudgetStatus:
    subject = {ORGANIZATION: "", WORKFLOW: governor.workflow_id, LABEL: "team=growth"}[scope]
    return await set_budget(
        governor, scope=scope, subject=subject, period=period, limit_nano_usd=limit_nano_usd
    )


@pytest.mark.parametrize(("scope", "period"), KINDS)
async def test_it_denies_at_its_limit(governor: Governor, scope: Scope, period: Period) -> None:
    """Two holds fit, the third does not, and the denial says by which budget."""
    await limit(governor, scope, period, 2 * HOLD + 1)
    held = [await governor.authorize(labels=TEAM) for _ in range(2)]
    refused = await refusal(governor.authorize(labels=TEAM))
    name = budget_pb2.BudgetPeriod.Name(period).removeprefix("BUDGET_PERIOD_")
    assert (refused.reason, refused.metadata["period"]) == ("BUDGET_EXCEEDED", name)
    (seen,) = [each for each in held[0].budgets if (each.scope, each.period) == (scope, period)]
    assert (seen.limit_nano_usd, seen.held_nano_usd) == (2 * HOLD + 1, HOLD)
    settled = await governor.settle(held[0], entry_pb2.Usage(input_tokens=1000, output_tokens=100))
    (seen,) = [each for each in settled.budgets if (each.scope, each.period) == (scope, period)]
    assert (seen.spent_nano_usd, seen.held_nano_usd) == (1_200_000, HOLD)


async def test_a_denial_says_when_the_period_ends(governor: Governor) -> None:
    """Within the hour; a budget that does not begin anew within a day gives no time."""
    await limit(governor, ORGANIZATION, HOUR, HOLD - 1)
    refused = await refusal(governor.authorize())
    now = datetime.now(UTC)
    until_the_next_hour = 3600 - (now.minute * 60 + now.second)
    assert refused.retry_after_seconds is not None
    assert abs(refused.retry_after_seconds - until_the_next_hour) % 3600 < 30
    await limit(governor, WORKFLOW, LIFETIME, HOLD - 1)
    assert (await refusal(governor.authorize())).retry_after_seconds is None


@pytest.mark.own_world
async def test_the_next_period_begins_at_zero(governor_dsn: str) -> None:
    """The limit of every hour applies to the next one, in which nothing is spent yet."""
    async with serving(at_time(governor_dsn, "2027-03-01 10:59:30+00")) as before:
        await limit(before, ORGANIZATION, HOUR, HOLD)
        await limit(before, ORGANIZATION, DAY, 2 * HOLD)
        await before.authorize()
        assert (await refusal(before.authorize())).metadata["period"] == "HOUR"
    async with serving(at_time(governor_dsn, "2027-03-01 11:00:01+00")) as after:
        after.organization_id = before.organization_id
        await after.authorize()
        refused = await refusal(after.authorize())
        assert {quota.subject for quota in refused.quotas} == {"ORGANIZATION"}
        assert len(refused.quotas) == 2


@pytest.mark.own_world
async def test_a_runaway_loop_stops_at_the_hours_limit(governor: Governor) -> None:
    """Of 200 at once exactly 50 are granted, whatever their workflows."""
    await limit(governor, ORGANIZATION, HOUR, 50 * HOLD)
    answers = await asyncio.gather(*(attempt(governor, workflow_id=new_id()) for _ in range(200)))
    assert sum(answer is not None for answer in answers) == 50
    (hour,) = [each for each in (await list_budgets(governor)).budgets if each.period == HOUR]
    assert (hour.held_nano_usd, hour.available_nano_usd) == (50 * HOLD, 0)


async def test_every_value_of_a_key_has_a_budget(governor: Governor) -> None:
    """`user=*` limits each user apart; a user's own limit goes before it."""
    await set_budget(governor, scope=LABEL, subject="user=*", period=DAY, limit_nano_usd=HOLD)
    await set_budget(governor, scope=LABEL, subject="user=bob", period=DAY, limit_nano_usd=2 * HOLD)
    for user, fit in (("ann", 1), ("bob", 2), ("cy=x/y", 1)):
        for _ in range(fit):
            await governor.authorize(labels={"user": user})
        refused = await refusal(governor.authorize(labels={"user": user}))
        assert (refused.metadata["subject"], refused.metadata["period"]) == (f"user={user}", "DAY")
    await governor.authorize()
    found = await governor.budgets.GetBudget(
        budget_service_pb2.GetBudgetRequest(
            organization_id=governor.organization_id, scope=LABEL, subject="user=ann"
        )
    )
    assert (found.period, found.limit_nano_usd, found.held_nano_usd) == (DAY, HOLD, HOLD)


@pytest.mark.own_world
async def test_a_limit_may_end(governor_dsn: str) -> None:
    """Raised for a weekend: afterwards the limit without an end is back, and the history has both."""
    monday = datetime(2027, 3, 8, tzinfo=UTC)
    async with serving(at_time(governor_dsn, "2027-03-06 12:00:00+00")) as weekend:
        await limit(weekend, ORGANIZATION, MONTH, HOLD)
        raised = budget_service_pb2.SetBudgetRequest(
            organization_id=weekend.organization_id, scope=ORGANIZATION, limit_nano_usd=3 * HOLD
        )
        raised.expire_time.FromDatetime(monday)
        assert (await weekend.budgets.SetBudget(raised)).limit_nano_usd == 3 * HOLD
        await weekend.authorize()
        await weekend.authorize()
    async with serving(at_time(governor_dsn, "2027-03-08 00:00:01+00")) as after:
        after.organization_id = weekend.organization_id
        assert (await after.month_budget()).limit_nano_usd == HOLD
        assert (await refusal(after.authorize(input_tokens_max=2_000))).reason == "BUDGET_EXCEEDED"
        history = await after.sql(
            "SELECT limit_nano_usd, limit_after_nano_usd, expire_time FROM budget_limit_changes"
            " ORDER BY change_time"
        )
        assert [tuple(row) for row in history] == [(HOLD, None, None), (3 * HOLD, HOLD, monday)]
        assert (await refusal(after.budgets.SetBudget(raised))).fields[0].field == "expire_time"


async def test_an_end_is_part_of_what_was_asked(governor: Governor) -> None:
    """The same request_id with another end is another request."""
    request = budget_service_pb2.SetBudgetRequest(
        organization_id=governor.organization_id,
        scope=ORGANIZATION,
        limit_nano_usd=HOLD,
        request_id=new_id(),
    )
    request.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    await governor.budgets.SetBudget(request)
    await governor.budgets.SetBudget(request)
    request.ClearField("expire_time")
    assert (await refusal(governor.budgets.SetBudget(request))).reason == "REQUEST_ID_REUSED"
