"""RecordUsage: a charge without a hold, to the nano-dollar (S3, S9, S12)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from infin8.governor.v1 import budget_pb2, budget_service_pb2, entry_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from tests.governor.conftest import MINI, SONAR, Governor, new_id, refusal
from tests.ledger.conftest import COST, USAGE, figures, flags, record, record_request, violations

TOO_LARGE = "VALUE_TOO_LARGE"


def at(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def ago(**since: float) -> Timestamp:
    return at(datetime.now(UTC) - timedelta(**since))


async def test_it_is_charged_to_workflow_and_month(verified_governor: Governor) -> None:
    """S9: one entry is posted with the flag UNGUARDED, and its whole cost is unguarded."""
    governor = verified_governor
    entry = await record(governor, served_model="Perplexity/Sonar:online", labels={"team": "growth"})
    assert (entry.kind, entry.sequence, entry.cost_nano_usd) == (entry_pb2.ENTRY_KIND_USAGE, 1, COST)
    assert (entry.rated_cost_nano_usd, entry.held_nano_usd, entry.overage_nano_usd) == (COST, 0, COST)
    assert (entry.served_model, entry.granted_model, entry.requested_model) == (SONAR, "", "")
    assert (entry.usage, dict(entry.labels), flags(entry)) == (USAGE, {"team": "growth"}, {"UNGUARDED"})
    assert entry.entry_id == entry.idempotency_key
    assert entry.authorization_id == ""
    assert entry.price_id
    assert not entry.HasField("provider_cost_nano_usd")
    assert await figures(governor) == (COST, 0, COST)
    assert await governor.entries() == [entry]


async def test_a_budget_of_its_labels_moves(verified_governor: Governor) -> None:
    """S12: the label's budget grows in the month of the usage; another label's budget does not."""
    governor = verified_governor
    for subject in ("team=growth", "team=sales"):
        for period in (budget_pb2.BUDGET_PERIOD_LIFETIME, budget_pb2.BUDGET_PERIOD_MONTH):
            await governor.budgets.SetBudget(
                budget_service_pb2.SetBudgetRequest(
                    organization_id=governor.organization_id,
                    scope=budget_pb2.BUDGET_SCOPE_LABEL,
                    subject=subject,
                    period=period,
                    limit_nano_usd=1,
                )
            )
    await record(governor, labels={"team": "growth"})
    for subject, spent in (("team=growth", COST), ("team=sales", 0)):
        for period in (budget_pb2.BUDGET_PERIOD_LIFETIME, budget_pb2.BUDGET_PERIOD_MONTH):
            budget = await governor.budgets.GetBudget(
                budget_service_pb2.GetBudgetRequest(
                    organization_id=governor.organization_id,
                    scope=budget_pb2.BUDGET_SCOPE_LABEL,
                    subject=subject,
                    period=period,
                )
            )
            assert (budget.spent_nano_usd, budget.unguarded_nano_usd) == (spent, spent)


async def test_it_is_recorded_past_a_limit_and_blocks_what_comes_next(verified_governor: Governor) -> None:
    """S4, S9: usage above a limit is recorded, and the workflow's limit then denies."""
    governor = verified_governor
    usage = entry_pb2.Usage(input_tokens=10**6, output_tokens=10**6)
    assert (await record(governor, usage=usage)).cost_nano_usd == 3_000_000_000
    assert (await refusal(governor.authorize())).reason == "BUDGET_EXCEEDED"
    assert (await record(governor)).sequence == 2
    assert await figures(governor) == (3_000_000_000 + COST, 0, 3_000_000_000 + COST)


@pytest.mark.parametrize(
    ("changes", "cost", "rated", "flagged"),
    [
        ({"provider_cost_nano_usd": COST + 8_000}, COST + 8_000, COST, set()),
        ({"provider_cost_nano_usd": COST + 8_001}, COST + 8_001, COST, {"PROVIDER_VARIANCE"}),
        ({"provider_cost_nano_usd": 1}, COST, COST, {"PROVIDER_VARIANCE"}),
        ({"served_model": MINI}, 600 * 150 + 100 * 600, 150_000, set()),
        ({"served_model": "nobody/nothing", "provider_cost_nano_usd": 7}, 7, 0, {"UNPRICED_MODEL"}),
        ({"usage": entry_pb2.Usage()}, 0, 0, set()),
        (
            {"usage": entry_pb2.Usage(input_tokens=10**9, output_tokens=10**9, requests=10**6)},
            3 * 10**12,
            3 * 10**12,
            set(),
        ),
    ],
    ids=["within tolerance", "provider dearer", "provider cheaper", "mini", "unpriced", "nothing", "largest"],
)
async def test_what_is_charged(
    verified_governor: Governor, changes: dict[str, Any], cost: int, rated: int, flagged: set[str]
) -> None:
    """S5, S19: the greater of the rated cost and the provider's cost is charged."""
    entry = await record(verified_governor, **changes)
    assert (entry.cost_nano_usd, entry.rated_cost_nano_usd) == (cost, rated)
    assert flags(entry) == flagged | {"UNGUARDED"}


@pytest.mark.own_world
@pytest.mark.parametrize("provider_cost_nano_usd", [None, 0])
async def test_an_unpriced_model_is_never_free(
    verified_governor: Governor, provider_cost_nano_usd: int | None
) -> None:
    """S19: without a price, a provider's cost and a hold there is no bound for the cost: refused."""
    refused = await refusal(
        record(
            verified_governor, served_model="nobody/nothing", provider_cost_nano_usd=provider_cost_nano_usd
        )
    )
    assert (refused.reason, refused.metadata) == ("MODEL_NOT_PRICED", {"model": "nobody/nothing"})
    assert await verified_governor.sql("SELECT FROM organizations") == []


@pytest.mark.own_world
async def test_each_kind_of_token_has_its_price(verified_governor: Governor) -> None:
    """S5: parts are subtracted from their totals; the sum is rounded up once; request prices are added."""
    await verified_governor.sql(
        "INSERT INTO prices (model, effective_time, input_nano_usd_per_mtok, cached_input_nano_usd_per_mtok,"
        " cache_write_nano_usd_per_mtok, output_nano_usd_per_mtok, reasoning_nano_usd_per_mtok,"
        " request_nano_usd, source, author)"
        " VALUES ('test/all', '2000-01-01', 3000000, 300000, 3750000, 15000000, 20000000, 12, 'test', 'test')"
    )
    usage = entry_pb2.Usage(
        input_tokens=1001,
        cached_input_tokens=500,
        cache_write_tokens=100,
        output_tokens=70,
        reasoning_tokens=30,
        requests=3,
    )
    entry = await record(verified_governor, served_model="test/all", usage=usage)
    # 401 × 3 + 500 × 0.3 + 100 × 3.75 + 40 × 15 + 30 × 20 = 2,928; and 3 × 12
    assert entry.cost_nano_usd == 2_928 + 36


@pytest.mark.own_world
async def test_the_price_is_that_of_its_time(verified_governor: Governor) -> None:
    """S5: a price that came into force later is not used; the month is that of the usage too."""
    governor = verified_governor
    old = await record(governor, occurred_time=ago(days=200))
    now = datetime.now(UTC)
    await governor.price(SONAR, 5_000_000_000, since=(now - timedelta(days=100)).isoformat())
    then = now - timedelta(days=101)
    before = await record(governor, occurred_time=at(then))
    after = await record(governor, occurred_time=ago(days=99))
    assert [e.cost_nano_usd for e in (old, before, after)] == [COST, COST, 700 * 5_000]
    assert before.price_id == old.price_id != after.price_id
    assert before.period_start.ToDatetime() == datetime(then.year, then.month, 1)
    month = await governor.budgets.GetBudget(
        budget_service_pb2.GetBudgetRequest(
            organization_id=governor.organization_id,
            scope=budget_pb2.BUDGET_SCOPE_ORGANIZATION,
            period_start=before.period_start,
        )
    )
    assert month.spent_nano_usd >= COST
    assert (await governor.workflow_budget()).spent_nano_usd == 2 * COST + 700 * 5_000


@pytest.mark.own_world
@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"organization_id": "nonsense"}, "organization_id", None),
        ({"workflow_id": ""}, "workflow_id", None),
        ({"request_id": ""}, "request_id", None),
        ({"request_id": "00000000-0000-0000-0000-000000000000"}, "request_id", None),
        ({"served_model": ""}, "served_model", None),
        ({"served_model": "a b"}, "served_model", None),
        ({"served_model": ":free"}, "served_model", None),
        ({"usage": None}, "usage", None),
        ({"usage": entry_pb2.Usage(input_tokens=-1)}, "usage.input_tokens", None),
        ({"usage": entry_pb2.Usage(output_tokens=10**9 + 1)}, "usage.output_tokens", TOO_LARGE),
        (
            {"usage": entry_pb2.Usage(input_tokens=1, cached_input_tokens=2)},
            "usage.cached_input_tokens",
            None,
        ),
        ({"provider_cost_nano_usd": -1}, "provider_cost_nano_usd", None),
        ({"provider_cost_nano_usd": 10**15 + 1}, "provider_cost_nano_usd", TOO_LARGE),
        ({"labels": {"a=b": "c"}}, "labels", None),
        ({"occurred_time": Timestamp(seconds=1)}, "occurred_time", None),
        ({"occurred_time": Timestamp(seconds=2**40)}, "occurred_time", None),
        ({"occurred_time": ago(days=-1)}, "occurred_time", None),
        ({"occurred_time": ago(days=401)}, "occurred_time", None),
    ],
)
async def test_bad_input_changes_nothing(
    governor: Governor, changes: dict[str, Any], field: str, reason: str | None
) -> None:
    """A bad field is refused by name, also a time that only the database's clock can check."""
    refused = await refusal(record(governor, **changes))
    assert (refused.reason, refused.fields[0].field) == (reason or "INVALID_FIELD", field)
    assert await governor.sql("SELECT FROM ai_usage_ledger UNION ALL SELECT FROM organizations") == []


@pytest.mark.own_world
async def test_a_cost_above_what_an_entry_takes_is_refused(governor: Governor) -> None:
    """10⁹ + 10⁹ tokens at 10,000 USD a million are more than 10¹⁵ nano-USD."""
    await governor.price("test/dear", 10**13)
    usage = entry_pb2.Usage(input_tokens=10**9, output_tokens=10**9)
    refused = await refusal(record(governor, served_model="test/dear", usage=usage))
    assert (refused.reason, refused.fields[0].field) == (TOO_LARGE, "usage")
    assert await governor.entries() == []


async def test_399_days_back_are_accepted(verified_governor: Governor) -> None:
    """Usage of 399 days ago is accepted; the bound is 400 days."""
    assert (await record(verified_governor, occurred_time=ago(days=399))).sequence == 1


async def test_the_same_request_charges_once(verified_governor: Governor) -> None:
    """S8: a replay, also a concurrent one, gets the same entry; other content is refused."""
    governor = verified_governor
    request = record_request(governor)
    answers = await asyncio.gather(*(governor.stub.RecordUsage(request) for _ in range(8)))
    assert all(answer == answers[0] for answer in answers)
    request.usage.input_tokens += 1
    assert (await refusal(governor.stub.RecordUsage(request))).reason == "REQUEST_ID_REUSED"
    assert await figures(governor) == (COST, 0, COST)
    assert len(await governor.entries()) == 1


async def test_a_request_id_belongs_to_a_method_and_an_organization(verified_governor: Governor) -> None:
    """S8: another organization, or another method, may use the same id."""
    governor = verified_governor
    request_id = new_id()
    mine = await record(governor, request_id=request_id)
    await governor.authorize(request_id=request_id)
    await governor.stub.Adjust(
        governor_pb2.AdjustRequest(
            organization_id=governor.organization_id,
            request_id=request_id,
            entry_id=mine.entry_id,
            corrected_cost_nano_usd=1,
            reason="test",
        )
    )
    theirs = await record(governor, request_id=request_id, organization_id=new_id())
    assert theirs.sequence == 1
    assert [entry.sequence for entry in await governor.entries()] == [1, 2]


async def test_a_request_that_failed_may_be_tried_again(verified_governor: Governor) -> None:
    """S8: a failed request leaves nothing."""
    governor = verified_governor
    request = record_request(governor, served_model="nobody/nothing")
    assert (await refusal(governor.stub.RecordUsage(request))).reason == "MODEL_NOT_PRICED"
    request.provider_cost_nano_usd = 5
    assert (await governor.stub.RecordUsage(request)).cost_nano_usd == 5


async def test_many_at_once_lose_nothing(verified_governor: Governor) -> None:
    """S2: recording, holding and settling at once leaves every total the sum of its entries."""
    governor = verified_governor

    async def call() -> None:
        await governor.settle(await governor.authorize(), USAGE)

    await asyncio.gather(*(record(governor) for _ in range(30)), *(call() for _ in range(30)))
    assert await figures(governor) == (60 * COST, 0, 30 * COST)
    assert [entry.sequence for entry in await governor.entries()] == list(range(1, 61))
    assert await violations(governor) == []
