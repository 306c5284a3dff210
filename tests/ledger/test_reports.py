"""S11, S15: reports are answered from totals, and the totals equal the sums of the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from infin8.governor.v1 import entry_pb2
from infin8.governor.v1 import ledger_service_pb2 as ledger_pb2
from tests.governor.conftest import MINI, SONAR, Governor, new_id, refusal
from tests.ledger.conftest import COST, USAGE, adjust, record

MINI_COST = 150_000


def start_of_month(time: datetime) -> datetime:
    return time.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


THIS_MONTH = start_of_month(datetime.now(UTC))
LAST_MONTH = start_of_month(THIS_MONTH - timedelta(days=1))


def at(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


async def monthly(governor: Governor, **changes: Any) -> ledger_pb2.OrganizationMonthlyCost:
    fields: dict[str, Any] = {"organization_id": governor.organization_id}
    return await governor.ledger.GetOrganizationMonthlyCost(
        ledger_pb2.GetOrganizationMonthlyCostRequest(**(fields | changes))
    )


async def top(governor: Governor, **changes: Any) -> ledger_pb2.ListTopWorkflowsResponse:
    fields: dict[str, Any] = {"organization_id": governor.organization_id}
    return await governor.ledger.ListTopWorkflows(ledger_pb2.ListTopWorkflowsRequest(**(fields | changes)))


async def margin(governor: Governor, **changes: Any) -> tuple[int, int, int, int]:
    found = await governor.ledger.GetMargin(ledger_pb2.GetMarginRequest(**changes))
    return (
        found.subscription_price_nano_usd,
        found.cost_nano_usd,
        found.margin_nano_usd,
        found.organizations,
    )


async def test_a_month_by_model_day_and_label(verified_governor: Governor) -> None:
    """S11: models and days sum to the total; entries without the label's key are in no label's part."""
    governor = verified_governor
    for day, model, labels in (
        (0, SONAR, {"team": "growth"}),
        (0, MINI, {"team": "growth", "feature": "x"}),
        (2, SONAR, {"team": "sales"}),
        (2, SONAR, {}),
        (27, MINI, {"feature": "team"}),
    ):
        await record(
            governor,
            served_model=model,
            labels=labels,
            occurred_time=at(LAST_MONTH + timedelta(days=day, hours=23, minutes=59)),
        )
    await record(governor)
    last = await monthly(governor, period_start=at(LAST_MONTH + timedelta(days=5)), label_key="team")
    assert (last.organization_id, last.period_start) == (governor.organization_id, at(LAST_MONTH))
    assert (last.cost_nano_usd, last.entries) == (3 * COST + 2 * MINI_COST, 5)
    assert [(m.model, m.cost_nano_usd, m.entries, m.input_tokens, m.output_tokens) for m in last.models] == [
        (SONAR, 3 * COST, 3, 1800, 300),
        (MINI, 2 * MINI_COST, 2, 1200, 200),
    ]
    assert [(d.day, d.cost_nano_usd, d.entries) for d in last.days] == [
        (at(LAST_MONTH), COST + MINI_COST, 2),
        (at(LAST_MONTH + timedelta(days=2)), 2 * COST, 2),
        (at(LAST_MONTH + timedelta(days=27)), MINI_COST, 1),
    ]
    assert [(part.key, part.value, part.cost_nano_usd, part.entries) for part in last.labels] == [
        ("team", "growth", COST + MINI_COST, 2),
        ("team", "sales", COST, 1),
    ]
    this = await monthly(governor)
    assert (this.period_start, this.cost_nano_usd, len(this.labels)) == (at(THIS_MONTH), COST, 0)
    assert (await monthly(governor, organization_id=new_id())).cost_nano_usd == 0


@pytest.mark.own_world
async def test_every_path_is_in_the_reports(verified_governor: Governor) -> None:
    """S11: settlements, unknown outcomes and corrections, late ones, adjustments, records, SQL callers."""
    governor = verified_governor
    labels = {"team": "growth"}
    await governor.settle(await governor.authorize(labels=labels), USAGE, served_model=MINI)
    unknown = await governor.authorize(labels=labels)
    await governor.settle(unknown)
    await governor.settle(unknown, USAGE)
    voided = await governor.authorize(labels=labels)
    await governor.void(voided)
    await governor.settle(voided, USAGE)
    await adjust(governor, await record(governor, labels=labels), 5)
    await governor.sql(
        "SELECT record_usage_and_increment($1, $2, 'nobody/nothing', 1, 1, 0.5)",
        governor.workflow_id,
        governor.organization_id,
    )
    await governor.sql("SELECT increment_workflow_cost($1, 0.25)", governor.workflow_id)
    report = await monthly(governor, label_key="team")
    assert (report.cost_nano_usd, report.entries) == (MINI_COST + 2 * COST + 5 + 750_000_000, 8)
    assert report.cost_nano_usd == sum(entry.cost_nano_usd for entry in await governor.entries())
    assert {m.model: m.cost_nano_usd for m in report.models} == {
        MINI: MINI_COST,
        SONAR: 2 * COST + 5,
        "nobody/nothing": 500_000_000,
        "": 250_000_000,
    }
    assert [(d.day, d.cost_nano_usd) for d in report.days] == [
        (at(datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)), report.cost_nano_usd)
    ]
    assert [(part.value, part.cost_nano_usd) for part in report.labels] == [
        ("growth", MINI_COST + 2 * COST + 5)
    ]
    workflow = await governor.ledger.GetWorkflowCost(
        ledger_pb2.GetWorkflowCostRequest(
            organization_id=governor.organization_id, workflow_id=governor.workflow_id
        )
    )
    assert (workflow.cost_nano_usd, list(workflow.models)) == (report.cost_nano_usd, list(report.models))


@pytest.mark.own_world
async def test_what_is_posted_after_a_months_end_counts_in_its_last_day(
    verified_governor: Governor,
) -> None:
    """S11: the days sum to the month: a hold of January settled today counts on 31 January."""
    governor = verified_governor
    held = await governor.authorize()
    await governor.sql("UPDATE authorizations SET month = '2026-01', budget_keys[1] = 'month/2026-01'")
    await governor.sql("UPDATE budgets SET budget_key = 'month/2026-01' WHERE budget_key LIKE 'month/%'")
    await governor.settle(held, USAGE)
    january = await monthly(governor, period_start=at(datetime(2026, 1, 15, tzinfo=UTC)))
    assert [(d.day, d.cost_nano_usd) for d in january.days] == [(at(datetime(2026, 1, 31, tzinfo=UTC)), COST)]
    assert (await monthly(governor)).entries == 0


async def test_the_dearest_workflows_page(verified_governor: Governor) -> None:
    """S11: workflows of one month come dearest first, each once, equal costs in order of id."""
    governor = verified_governor
    workflows = sorted(new_id() for _ in range(5))
    for workflow_id, tokens in zip(workflows, (1, 3, 3, 3, 2), strict=True):
        await record(governor, workflow_id=workflow_id, usage=entry_pb2.Usage(input_tokens=tokens))
    await record(
        governor,
        workflow_id=workflows[0],
        usage=entry_pb2.Usage(input_tokens=100),
        occurred_time=at(LAST_MONTH),
    )
    await record(governor, organization_id=new_id(), workflow_id=workflows[0])
    found: list[tuple[str, int, int]] = []
    token = ""
    while True:
        page = await top(governor, page_size=2, page_token=token)
        assert {w.organization_id for w in page.workflows} == {governor.organization_id}
        found += [(w.workflow_id, w.cost_nano_usd, w.entries) for w in page.workflows]
        token = page.next_page_token
        if not token:
            break
        assert len(page.workflows) == 2
    order = (1, 2, 3, 4, 0)
    assert found == [
        (workflows[at_], cost, 1) for at_, cost in zip(order, (3000, 3000, 3000, 2000, 1000), strict=True)
    ]
    last = await top(governor, period_start=at(LAST_MONTH))
    assert [(w.workflow_id, w.cost_nano_usd) for w in last.workflows] == [(workflows[0], 100_000)]
    assert list((await top(governor, organization_id=new_id())).workflows) == []


async def test_a_page_token_belongs_to_its_list(governor: Governor) -> None:
    """A token of another organization or month, or a forged one, is refused."""
    for _ in range(2):
        await record(governor, workflow_id=new_id())
    token = (await top(governor, page_size=1)).next_page_token
    for changes in (
        {"organization_id": new_id(), "page_token": token},
        {"period_start": at(LAST_MONTH), "page_token": token},
        {"page_token": "nonsense"},
    ):
        refused = await refusal(top(governor, **changes))
        assert (refused.reason, refused.fields[0].field) == ("INVALID_FIELD", "page_token")


@pytest.mark.own_world
async def test_margin(verified_governor: Governor) -> None:
    """S15: subscription price − the month's cost, for one organization and for all."""
    governor = verified_governor
    await governor.sql(
        "INSERT INTO tiers (tier, subscription_price_nano_usd, author) VALUES ('pro', 49000000000, 'test')"
    )
    mine, theirs = governor.organization_id, new_id()
    assert await margin(governor, organization_id=mine) == (0, 0, 0, 0)
    await record(governor)
    await governor.authorize(organization_id=theirs)
    await governor.sql("UPDATE organizations SET tier = 'pro' WHERE organization_id = $1", mine)
    assert await margin(governor, organization_id=mine) == (49 * 10**9, COST, 49 * 10**9 - COST, 1)
    # An amount that is only held has not been spent.
    assert await margin(governor, organization_id=theirs) == (0, 0, 0, 1)
    assert await margin(governor) == (49 * 10**9, COST, 49 * 10**9 - COST, 2)

    await record(governor, organization_id=theirs, usage=entry_pb2.Usage(input_tokens=10**9))
    assert await margin(governor, organization_id=theirs) == (0, 10**12, -(10**12), 1)
    assert (await margin(governor))[2] == 49 * 10**9 - COST - 10**12


@pytest.mark.own_world
async def test_months_before_the_organization_are_free(verified_governor: Governor) -> None:
    """S15: earlier months count only if usage was recorded in them afterwards."""
    governor = verified_governor
    await governor.sql("UPDATE tiers SET subscription_price_nano_usd = 7")
    await governor.authorize()
    assert await margin(governor) == (7, 0, 7, 1)
    assert await margin(governor, period_start=at(LAST_MONTH)) == (0, 0, 0, 0)
    await record(governor, occurred_time=at(LAST_MONTH))
    assert await margin(governor, period_start=at(LAST_MONTH)) == (7, COST, 7 - COST, 1)


@pytest.mark.parametrize(
    ("call", "changes", "field", "reason"),
    [
        (monthly, {"organization_id": ""}, "organization_id", "INVALID_FIELD"),
        (monthly, {"label_key": "a=b"}, "label_key", "INVALID_FIELD"),
        (monthly, {"label_key": "k" * 65}, "label_key", "INVALID_FIELD"),
        (monthly, {"period_start": Timestamp(seconds=1)}, "period_start", "INVALID_FIELD"),
        (top, {"organization_id": ""}, "organization_id", "INVALID_FIELD"),
        (top, {"page_size": -1}, "page_size", "INVALID_FIELD"),
        (top, {"page_size": 1001}, "page_size", "VALUE_TOO_LARGE"),
        (margin, {"organization_id": "nonsense"}, "organization_id", "INVALID_FIELD"),
    ],
)
async def test_bad_input(
    governor: Governor, call: Any, changes: dict[str, Any], field: str, reason: str
) -> None:
    """A bad field is refused with an error that names it."""
    refused = await refusal(call(governor, **changes))
    assert (refused.reason, refused.fields[0].field) == (reason, field)
