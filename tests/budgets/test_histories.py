"""ListFreezes tells what is frozen now, ListLimitChanges what was set, by whom and until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from infin8.governor.v1 import budget_pb2, budget_service_pb2
from tests.budgets.conftest import HOLD, set_budget, set_freeze
from tests.governor.conftest import SONAR, Governor, new_id, refusal


async def freezes(governor: Governor, organization_id: str = "", page_size: int = 0) -> list[str]:
    """What is frozen, page by page."""
    found: list[str] = []
    token = ""
    while True:
        answer = await governor.budgets.ListFreezes(
            budget_service_pb2.ListFreezesRequest(
                organization_id=organization_id, page_size=page_size, page_token=token
            )
        )
        for freeze in answer.freezes:
            assert (freeze.frozen, freeze.reason, freeze.author) == (True, "a runaway agent", "anonymous")
            found.append(freeze.organization_id or freeze.model or "everything")
        token = answer.next_page_token
        if not token:
            return found


@pytest.mark.own_world
async def test_what_is_frozen_now(governor: Governor) -> None:
    """Everything, models and organizations, in pages of any size; what was lifted is gone."""
    other = new_id()
    assert await freezes(governor) == []
    await set_freeze(governor, everything=True)
    await set_freeze(governor, model=SONAR)
    await set_freeze(governor, organization_id=governor.organization_id)
    await set_freeze(governor, organization_id=other)
    every = ["everything", SONAR, *sorted([governor.organization_id, other])]
    assert await freezes(governor) == await freezes(governor, page_size=1) == every
    assert await freezes(governor, governor.organization_id) == [
        "everything",
        SONAR,
        governor.organization_id,
    ]
    await set_freeze(governor, False, reason="found", everything=True)
    assert await freezes(governor) == every[1:]


async def test_the_changes_of_limits(governor: Governor) -> None:
    """Newest first, each with its author and its end; another organization's are not shown."""
    label, organization = budget_pb2.BUDGET_SCOPE_LABEL, budget_pb2.BUDGET_SCOPE_ORGANIZATION
    day = budget_pb2.BUDGET_PERIOD_DAY
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    await set_budget(governor, scope=organization, limit_nano_usd=HOLD)
    raised = budget_service_pb2.SetBudgetRequest(
        organization_id=governor.organization_id, scope=organization, limit_nano_usd=3 * HOLD
    )
    raised.expire_time.FromDatetime(end)
    await governor.budgets.SetBudget(raised)
    await set_budget(governor, scope=label, subject="user=*", period=day, limit_nano_usd=5)
    await set_budget(governor, scope=label, subject="user=*", period=day)

    request = budget_service_pb2.ListLimitChangesRequest(
        organization_id=governor.organization_id, page_size=3
    )
    first = await governor.budgets.ListLimitChanges(request)
    request.page_token = first.next_page_token
    second = await governor.budgets.ListLimitChanges(request)
    removed, set_for_all, weekend, base = [*first.changes, *second.changes]
    assert (removed.subject, removed.period, removed.HasField("limit_nano_usd")) == ("user=*", day, False)
    assert (set_for_all.limit_nano_usd, set_for_all.HasField("period_start")) == (5, False)
    assert (weekend.limit_nano_usd, weekend.limit_after_nano_usd) == (3 * HOLD, HOLD)
    assert weekend.expire_time.ToDatetime(UTC) == end
    assert (base.limit_nano_usd, base.HasField("expire_time"), base.author) == (HOLD, False, "anonymous")

    request = budget_service_pb2.ListLimitChangesRequest(
        organization_id=governor.organization_id, scope=organization
    )
    assert list((await governor.budgets.ListLimitChanges(request)).changes) == [weekend, base]
    request.organization_id = new_id()
    assert not (await governor.budgets.ListLimitChanges(request)).changes
    request.organization_id = ""
    assert (await refusal(governor.budgets.ListLimitChanges(request))).fields[0].field == "organization_id"
