"""ListBudgets returns each budget that was ever used or set."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from infin8.governor.v1 import budget_pb2
from tests.budgets.conftest import HOLD, list_budgets, set_budget, set_label_budget
from tests.governor.conftest import Governor, new_id, refusal

ORGANIZATION, WORKFLOW, LABEL = (
    budget_pb2.BUDGET_SCOPE_ORGANIZATION,
    budget_pb2.BUDGET_SCOPE_WORKFLOW,
    budget_pb2.BUDGET_SCOPE_LABEL,
)


async def test_used_or_set(governor: Governor) -> None:
    """S10: it lists budgets that were used without a limit, set without use, or both."""
    assert list((await list_budgets(governor)).budgets) == []
    await set_label_budget(governor, "team=growth", budget_pb2.BUDGET_PERIOD_LIFETIME, 5 * HOLD)
    await set_label_budget(governor, "team=growth", budget_pb2.BUDGET_PERIOD_MONTH, 4 * HOLD)
    await set_budget(governor, scope=ORGANIZATION, limit_nano_usd=9 * HOLD)
    await governor.authorize(labels={"team": "growth"})
    other = new_id()
    await set_budget(governor, scope=WORKFLOW, subject=other, limit_nano_usd=7)

    found = list((await list_budgets(governor)).budgets)
    month = (await governor.month_budget()).period_start
    figures = [(b.scope, b.subject, b.limit_nano_usd, b.held_nano_usd) for b in found]
    assert figures[:3] == [
        (LABEL, "team=growth", 5 * HOLD, HOLD),
        (LABEL, "team=growth", 4 * HOLD, HOLD),
        (ORGANIZATION, "", 9 * HOLD, HOLD),
    ]
    assert [b.HasField("period_start") for b in found] == [False, True, True, False, False]
    assert found[1].period_start == found[2].period_start == month
    assert sorted(figures[3:]) == sorted(
        [(WORKFLOW, governor.workflow_id, 10**9, HOLD), (WORKFLOW, other, 7, 0)]
    )


async def test_by_scope(governor: Governor) -> None:
    """A filtered list has the budgets as GetBudget returns them, and none of another organization."""
    await governor.authorize()
    await governor.authorize(organization_id=new_id())
    assert list((await list_budgets(governor, scope=WORKFLOW)).budgets) == [await governor.workflow_budget()]
    assert list((await list_budgets(governor, scope=ORGANIZATION)).budgets) == [await governor.month_budget()]
    assert list((await list_budgets(governor, scope=LABEL)).budgets) == []


async def test_a_month_with_its_own_limit_is_listed(governor: Governor) -> None:
    """A limit for one month only adds that month's budget to the list."""
    march = Timestamp()
    march.FromJsonString("2026-03-17T12:00:00Z")
    await set_budget(governor, scope=ORGANIZATION, limit_nano_usd=3, period_start=march)
    (only,) = (await list_budgets(governor)).budgets
    assert (only.limit_nano_usd, only.period_start.ToJsonString()) == (3, "2026-03-01T00:00:00Z")


async def test_a_limit_taken_away_leaves_the_budget(governor: Governor) -> None:
    """A budget without its limit stays in the list, and usage is still counted."""
    await set_label_budget(governor, "team=growth", budget_pb2.BUDGET_PERIOD_MONTH, 1)
    await set_budget(governor, scope=LABEL, subject="team=growth", period=budget_pb2.BUDGET_PERIOD_MONTH)
    await governor.authorize(labels={"team": "growth"})
    (label,) = (await list_budgets(governor, scope=LABEL)).budgets
    assert (label.held_nano_usd, label.HasField("limit_nano_usd")) == (HOLD, False)


async def test_a_page_may_end_with_the_longest_label(governor: Governor) -> None:
    """A page may end with the longest label, in characters that JSON escapes; the next page is found."""
    longest = f"{chr(0x1F600) * 64}={chr(0x1F600) * 192}"
    for subject in (longest, f"{chr(0x1F601)}=last"):
        await set_label_budget(governor, subject, budget_pb2.BUDGET_PERIOD_MONTH, 10**9)
    first = await list_budgets(governor, page_size=1)
    second = await list_budgets(governor, page_size=1, page_token=first.next_page_token)
    assert [page.budgets[0].subject for page in (first, second)] == [longest, f"{chr(0x1F601)}=last"]


async def test_pages_hold_each_budget_once(governor: Governor) -> None:
    """Pages of any size hold each budget once; a token of another list is refused."""
    for n in range(5):
        await set_label_budget(governor, f"team={n}", budget_pb2.BUDGET_PERIOD_MONTH, 10**9)
    await governor.authorize(labels={"team": "3"})
    whole = list((await list_budgets(governor)).budgets)
    assert len(whole) == 7
    for page_size in (1, 2, 3, 7):
        found: list[budget_pb2.BudgetStatus] = []
        token = ""
        while True:
            page = await list_budgets(governor, page_size=page_size, page_token=token)
            assert len(page.budgets) <= page_size
            found += page.budgets
            token = page.next_page_token
            if not token:
                break
        assert found == whole
    token = (await list_budgets(governor, page_size=1)).next_page_token
    refused = await refusal(list_budgets(governor, scope=LABEL, page_token=token))
    assert refused.fields[0].field == "page_token"
