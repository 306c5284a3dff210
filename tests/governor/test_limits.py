"""Limits are set, removed, and read at the moment of each decision."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from infin8.governor.v1 import budget_pb2, budget_service_pb2
from tests.governor.conftest import Governor, new_id, refusal

MONTH = {"scope": budget_pb2.BUDGET_SCOPE_ORGANIZATION}
LABEL = {"scope": budget_pb2.BUDGET_SCOPE_LABEL, "subject": "team=growth"}


async def set_budget(governor: Governor, **changes: Any) -> budget_pb2.BudgetStatus:
    return await governor.budgets.SetBudget(
        budget_service_pb2.SetBudgetRequest(organization_id=governor.organization_id, **changes)
    )


async def get_budget(governor: Governor, **changes: Any) -> budget_pb2.BudgetStatus:
    return await governor.budgets.GetBudget(
        budget_service_pb2.GetBudgetRequest(organization_id=governor.organization_id, **changes)
    )


async def test_the_first_defaults(governor: Governor) -> None:
    """1.00 USD per workflow and 25.00 USD per month apply to an organization that was not set up."""
    assert (await governor.workflow_budget()).limit_nano_usd == 10**9
    month = await governor.month_budget()
    assert (month.limit_nano_usd, month.available_nano_usd, month.binding) == (25 * 10**9, 25 * 10**9, True)


@pytest.mark.own_world
async def test_a_limit_that_is_taken_away_gives_way_to_the_tiers(governor: Governor) -> None:
    """The order is: own limit, then the organization's override, then the tier."""
    assert (await set_budget(governor, **MONTH, limit_nano_usd=7)).limit_nano_usd == 7
    assert (await set_budget(governor, **MONTH)).limit_nano_usd == 25 * 10**9
    await governor.sql("UPDATE organizations SET monthly_quota_nano_usd = 9")
    assert (await governor.month_budget()).limit_nano_usd == 9


async def test_a_months_own_limit_goes_before_the_standing_one(governor: Governor) -> None:
    """A month's own limit is set by any time within that month."""
    await set_budget(governor, **MONTH, limit_nano_usd=5)
    march = Timestamp()
    march.FromJsonString("2026-03-17T12:00:00Z")
    status = await set_budget(governor, **MONTH, limit_nano_usd=3, period_start=march)
    assert (status.limit_nano_usd, status.period_start.ToJsonString()) == (3, "2026-03-01T00:00:00Z")
    assert (await governor.month_budget()).limit_nano_usd == 5
    assert (await get_budget(governor, **MONTH, period_start=march)).limit_nano_usd == 3


async def test_lowering_a_limit_denies_what_comes_next(governor: Governor) -> None:
    """Existing holds stay, and nothing is available."""
    await governor.authorize()
    await governor.set_workflow_limit(1)
    budget = await governor.workflow_budget()
    assert (budget.held_nano_usd, budget.available_nano_usd) == (2_400_000, 0)
    assert (await refusal(governor.authorize())).reason == "BUDGET_EXCEEDED"


async def test_a_label_has_a_budget_once_one_is_set(governor: Governor) -> None:
    """Until a limit is set the label gives BUDGET_NOT_FOUND; after that it counts new calls."""
    assert (await refusal(get_budget(governor, **LABEL))).reason == "BUDGET_NOT_FOUND"
    await governor.authorize(labels={"team": "growth"})
    await set_budget(governor, **LABEL, period=budget_pb2.BUDGET_PERIOD_MONTH, limit_nano_usd=10**9)
    assert (await get_budget(governor, **LABEL)).held_nano_usd == 0
    await governor.authorize(labels={"team": "growth"})
    status = await get_budget(governor, **LABEL)
    assert (status.held_nano_usd, status.limit_nano_usd) == (2_400_000, 10**9)
    assert status.HasField("period_start")


@pytest.mark.own_world
async def test_every_change_keeps_its_author_and_time(governor: Governor) -> None:
    """The history has every limit, its author, and the order of changes."""
    await set_budget(governor, **MONTH, limit_nano_usd=5)
    await set_budget(governor, **MONTH, limit_nano_usd=6)
    changes = await governor.sql(
        "SELECT limit_nano_usd, author FROM budget_limit_changes ORDER BY change_time"
    )
    assert [tuple(change) for change in changes] == [(5, "anonymous"), (6, "anonymous")]


async def test_a_repeated_set_does_not_undo_a_later_one(governor: Governor) -> None:
    """A replay by request_id changes nothing; other content under it is refused."""
    request_id = new_id()
    await set_budget(governor, **MONTH, limit_nano_usd=5, request_id=request_id)
    await set_budget(governor, **MONTH, limit_nano_usd=6)
    assert (await set_budget(governor, **MONTH, limit_nano_usd=5, request_id=request_id)).limit_nano_usd == 6
    refused = await refusal(set_budget(governor, **MONTH, limit_nano_usd=4, request_id=request_id))
    assert refused.reason == "REQUEST_ID_REUSED"
