"""Amounts have stated bounds: an operation that would exceed one is refused without effect on others."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from infin8.governor.v1 import budget_service_pb2, entry_pb2, errors_pb2, ledger_service_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from tests.governor.conftest import Governor, new_id, refusal
from tests.ledger.conftest import adjust, figures, record, violations

pytestmark = pytest.mark.own_world  # the default tier, prices and functions are changed

ENTRY_MAX, TOTAL_MAX, INT64_MAX = 10**15, 9 * 10**18, 2**63 - 1
FEW_ENTRIES = 20 * ENTRY_MAX
DEAR = "dear/model"
TOO_LARGE = errors_pb2.ERROR_REASON_VALUE_TOO_LARGE
# Charges a cost that the provider reported for no usage, to the workflow $2 of the organization $1.
RECORD = """record_usage(
    p_organization_id => $1, p_idempotency_key => gen_random_uuid(), p_request_hash => '',
    p_workflow_id => $2, p_served_model => '',
    p_input_tokens => 0, p_cached_input_tokens => 0, p_cache_write_tokens => 0, p_cache_write_1h_tokens => 0,
    p_output_tokens => 0, p_reasoning_tokens => 0, p_requests => 0,
    p_other_units => '{{}}', p_price_context => '{{}}', p_provider_cost_nano_usd => {cost},
    p_labels => '{{}}', p_occurred_time => NULL, p_author => 'test')"""


@pytest.fixture
async def unlimited(governor: Governor) -> Governor:
    """A governor without limits, and with a model of 10^7 nano-USD a token and 10^12 a request."""
    await governor.sql("UPDATE tiers SET workflow_limit_nano_usd = NULL, monthly_quota_nano_usd = NULL")
    await governor.sql(
        "INSERT INTO tier_changes (tier, allowed_models, subscription_price_nano_usd, author, change_time)"
        " VALUES ('default', '{}', 0, 'test', now())"
    )
    await governor.sql(
        "INSERT INTO prices (model, effective_time, input_nano_usd_per_mtok, output_nano_usd_per_mtok,"
        " request_nano_usd, source, author) VALUES ($1, '2000-01-01', 10^13, 10^13, 10^12, 'test', 'test')",
        DEAR,
    )
    return governor


@pytest.fixture
async def narrow(unlimited: Governor) -> Governor:
    """The same, with a bound of twenty entries of the largest size per budget, not nine thousand."""
    await unlimited.sql(
        "CREATE OR REPLACE FUNCTION largest_total_nano_usd() RETURNS bigint LANGUAGE sql IMMUTABLE"
        f" AS 'SELECT {FEW_ENTRIES}::bigint'"
    )
    return unlimited


def dear(governor: Governor, nano_usd: int = ENTRY_MAX, **changes: Any) -> governor_pb2.AuthorizeRequest:
    """A request whose hold is `nano_usd`: a multiple of 10^7, and more than the price of one request."""
    tokens = (nano_usd - 10**12) // 10**7 - 1
    return governor.authorize_request(models=[DEAR], input_tokens_max=tokens, output_tokens_max=1, **changes)


async def check(governor: Governor, request: governor_pb2.AuthorizeRequest) -> Any:
    return await governor.stub.CheckBudget(
        governor_pb2.CheckBudgetRequest(
            organization_id=request.organization_id,
            workflow_id=request.workflow_id,
            models=request.models,
            input_tokens_max=request.input_tokens_max,
            output_tokens_max=request.output_tokens_max,
        )
    )


async def fill(governor: Governor, *, leaving: int) -> None:
    """Brings the workflow and the month to their bound minus `leaving`, with entries of the largest size."""
    (row,) = await governor.sql(
        "SELECT coalesce(max(spent_nano_usd + held_nano_usd), 0) AS total FROM budgets"
        " WHERE organization_id = $1",
        governor.organization_id,
    )
    missing = FEW_ENTRIES - leaving - row["total"]
    whole, rest = divmod(missing, ENTRY_MAX)
    await governor.sql(
        f"SELECT {RECORD.format(cost='amount')} FROM unnest($3::bigint[]) AS amount",
        governor.organization_id,
        governor.workflow_id,
        [ENTRY_MAX] * whole + [rest] * (rest > 0),
    )


async def test_more_holds_than_a_budget_can_bear(narrow: Governor) -> None:
    """The hold that would exceed the bound is refused alone; other holds in its batch are placed."""
    governor, other = narrow, new_id()
    items = [dear(governor) for _ in range(20)]
    answer = await governor.stub.BatchAuthorize(governor_pb2.BatchAuthorizeRequest(items=items))
    assert {result.WhichOneof("outcome") for result in answer.results} == {"result"}
    assert (await governor.month_budget()).held_nano_usd == FEW_ENTRIES
    await its_next_hold_is_refused(governor, other)
    assert await violations(governor) == []


async def test_the_bound_is_below_what_an_int64_takes(unlimited: Governor) -> None:
    """With the real bound, too, no intermediate sum overflows."""
    governor, other = unlimited, new_id()
    await governor.stub.Authorize(dear(governor))
    await governor.sql("UPDATE budgets SET held_nano_usd = $1::bigint - 1, spent_nano_usd = 1", TOTAL_MAX)
    await its_next_hold_is_refused(governor, other)
    with pytest.raises(asyncpg.CheckViolationError):
        await governor.sql("UPDATE budgets SET held_nano_usd = $1", TOTAL_MAX + 1)


async def its_next_hold_is_refused(governor: Governor, other: str) -> None:
    items = [dear(governor, organization_id=other), dear(governor)]
    answer = await governor.stub.BatchAuthorize(governor_pb2.BatchAuthorizeRequest(items=items))
    assert answer.results[0].result.held_nano_usd == ENTRY_MAX
    assert answer.results[1].error.reason == TOO_LARGE
    refused = await refusal(governor.stub.Authorize(dear(governor)))
    assert refused.reason == "VALUE_TOO_LARGE"
    checked = await check(governor, dear(governor))
    assert (checked.allowed, checked.denial_reason) == (False, TOO_LARGE)
    assert (await check(governor, dear(governor, organization_id=other))).allowed


async def test_a_hold_that_fits_exactly(narrow: Governor) -> None:
    """A hold that reaches the bound exactly is placed, and a larger one is refused, in batches and alone."""
    governor = narrow
    await fill(governor, leaving=2 * ENTRY_MAX + 10**7)
    items = [dear(governor) for _ in range(3)]
    answer = await governor.stub.BatchAuthorize(governor_pb2.BatchAuthorizeRequest(items=items))
    assert [result.error.reason for result in answer.results] == [0, 0, TOO_LARGE]
    await governor.stub.Void(
        governor_pb2.VoidRequest(
            organization_id=governor.organization_id, request_id=items[0].request_id, reason="not sent"
        )
    )
    assert (await governor.stub.Authorize(dear(governor))).held_nano_usd == ENTRY_MAX
    assert (await refusal(governor.stub.Authorize(dear(governor, 2 * 10**12)))).reason == "VALUE_TOO_LARGE"
    assert await violations(governor) == []


@pytest.mark.parametrize("tokens", [10**9, 10**8])
async def test_a_call_that_no_entry_can_take(unlimited: Governor, tokens: int) -> None:
    """Without a limit that denies it, the call, the check and the batch item are VALUE_TOO_LARGE."""
    governor = unlimited
    request = governor.authorize_request(models=[DEAR], input_tokens_max=tokens, output_tokens_max=tokens)
    refused = await refusal(governor.stub.Authorize(request))
    assert refused.reason == "VALUE_TOO_LARGE"
    assert [violation.field for violation in refused.fields] == ["input_tokens_max"]
    checked = await check(governor, request)
    assert (checked.allowed, checked.denial_reason) == (False, TOO_LARGE)
    items = [request, governor.authorize_request()]
    answer = await governor.stub.BatchAuthorize(governor_pb2.BatchAuthorizeRequest(items=items))
    assert [result.error.reason for result in answer.results] == [TOO_LARGE, 0]


async def test_a_limit_that_denies_goes_before_the_bound(unlimited: Governor) -> None:
    """A limit that denies the call gives BUDGET_EXCEEDED with its budgets, also above the bound."""
    governor = unlimited
    await governor.set_workflow_limit(10**9)
    request = governor.authorize_request(models=[DEAR], input_tokens_max=10**9, output_tokens_max=10**9)
    refused = await refusal(governor.stub.Authorize(request))
    assert refused.reason == "BUDGET_EXCEEDED"
    assert [quota.subject for quota in refused.quotas] == [f"WORKFLOW:{governor.workflow_id}"]


async def test_a_settlement_that_goes_beyond(narrow: Governor) -> None:
    """The hold stays as it is, also in a batch; a cost within the hold is settled."""
    governor = narrow
    holds = [await governor.stub.Authorize(dear(governor, 2 * 10**12)) for _ in range(3)]
    await fill(governor, leaving=10**13)
    over = entry_pb2.Usage(input_tokens=3 * 10**6, requests=1)
    within = entry_pb2.Usage(input_tokens=1, requests=1)
    refused = await refusal(governor.settle(holds[0], over))
    assert (refused.reason, refused.fields[0].field) == ("VALUE_TOO_LARGE", "usage")
    assert (await governor.month_budget()).held_nano_usd == 6 * 10**12
    items = [
        governor_pb2.SettleRequest(
            organization_id=governor.organization_id, authorization_id=held.authorization_id, usage=usage
        )
        for held, usage in zip(holds, (over, within, within), strict=True)
    ]
    answer = await governor.stub.BatchSettle(governor_pb2.BatchSettleRequest(items=items))
    assert [result.error.reason for result in answer.results] == [TOO_LARGE, 0, 0]
    await governor.settle(holds[0])
    assert (await governor.month_budget()).held_nano_usd == 0
    assert await violations(governor) == []


async def test_usage_and_adjustments_that_go_beyond(narrow: Governor) -> None:
    """RecordUsage, Adjust and the SQL functions refuse, and nothing is posted."""
    governor = narrow
    small = await record(governor, usage=entry_pb2.Usage(input_tokens=1, requests=1))
    await fill(governor, leaving=10)
    before = len(await governor.sql("SELECT FROM ai_usage_ledger"))
    refused = await refusal(record(governor))
    assert (refused.reason, refused.fields[0].field) == ("VALUE_TOO_LARGE", "usage")
    refused = await refusal(adjust(governor, small, ENTRY_MAX))
    assert (refused.reason, refused.fields[0].field) == ("VALUE_TOO_LARGE", "corrected_cost_nano_usd")
    for statement, arguments in (
        (
            "SELECT record_usage_and_increment($1, $2, 'sonar', 1, 1, $3)",
            (governor.workflow_id, governor.organization_id, Decimal(1)),
        ),
        ("SELECT increment_workflow_cost($1, $2)", (governor.workflow_id, Decimal(1))),
    ):
        with pytest.raises(asyncpg.NumericValueOutOfRangeError):
            await governor.sql(statement, *arguments)
    assert len(await governor.sql("SELECT FROM ai_usage_ledger")) == before
    await adjust(governor, small, 1_010)
    assert (await figures(governor))[0] == FEW_ENTRIES
    assert await violations(governor) == []


async def test_reports_of_more_than_an_int64_takes(unlimited: Governor) -> None:
    """A sum over organizations or parts of a month that exceeds an int64 is answered as the largest int64."""
    governor = unlimited
    for organization_id in (governor.organization_id, new_id()):
        await record(governor, organization_id=organization_id)
    await governor.sql("UPDATE budgets SET spent_nano_usd = $1", TOTAL_MAX)
    margin = await governor.ledger.GetMargin(ledger_service_pb2.GetMarginRequest())
    assert (margin.cost_nano_usd, margin.margin_nano_usd) == (INT64_MAX, -INT64_MAX - 1)
    own = await governor.ledger.GetMargin(
        ledger_service_pb2.GetMarginRequest(organization_id=governor.organization_id)
    )
    assert own.cost_nano_usd == TOTAL_MAX

    # As after charges that were taken back on a later day and then charged again on the first.
    await governor.sql("UPDATE daily_costs SET cost_nano_usd = 2e19")
    await governor.sql("UPDATE workflow_costs SET cost_nano_usd = 2e19")
    await governor.sql(
        "INSERT INTO label_costs SELECT organization_id, month, 'team', 'growth', cost_nano_usd, 1"
        " FROM workflow_costs"
    )
    monthly = await governor.ledger.GetOrganizationMonthlyCost(
        ledger_service_pb2.GetOrganizationMonthlyCostRequest(
            organization_id=governor.organization_id, label_key="team"
        )
    )
    assert monthly.days[0].cost_nano_usd == INT64_MAX
    assert monthly.models[0].cost_nano_usd == INT64_MAX
    assert monthly.labels[0].cost_nano_usd == INT64_MAX
    top = await governor.ledger.ListTopWorkflows(
        ledger_service_pb2.ListTopWorkflowsRequest(organization_id=governor.organization_id)
    )
    assert top.workflows[0].cost_nano_usd == INT64_MAX
    cost = await governor.ledger.GetWorkflowCost(
        ledger_service_pb2.GetWorkflowCostRequest(
            organization_id=governor.organization_id, workflow_id=governor.workflow_id
        )
    )
    assert cost.models[0].cost_nano_usd == INT64_MAX


async def test_the_margin_of_absurd_subscriptions(unlimited: Governor) -> None:
    """The sum of subscription prices is answered as the largest int64 too."""
    governor = unlimited
    await governor.sql("UPDATE tiers SET subscription_price_nano_usd = 10::numeric ^ 17")
    await governor.sql(
        "INSERT INTO organizations (organization_id) SELECT gen_random_uuid() FROM generate_series(1, 100)"
    )
    margin = await governor.ledger.GetMargin(ledger_service_pb2.GetMarginRequest())
    assert margin.subscription_price_nano_usd == margin.margin_nano_usd == INT64_MAX
    assert await governor.budgets.ListTiers(budget_service_pb2.ListTiersRequest())
