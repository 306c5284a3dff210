"""A hold is placed on every budget that applies, or on none, at any concurrency."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from infin8.governor.v1 import authorization_pb2, budget_pb2, budget_service_pb2, errors_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from service_chassis.rpc.errors import from_rpc_error
from tests.governor.conftest import MINI, SONAR, Governor, new_id, refusal

HOLD = 2_400_000


async def test_a_hold_is_the_most_that_the_call_can_cost(governor: Governor) -> None:
    """1,000 × 1,000 + 700 × 2,000 nano-USD are held on the organization's month and on the workflow."""
    held = await governor.authorize()
    assert held.state == authorization_pb2.AUTHORIZATION_STATE_PENDING
    assert (held.model, held.output_tokens_max, held.held_nano_usd) == (SONAR, 700, HOLD)
    assert (held.downgraded, held.replayed, held.entry_id) == (False, False, "")
    assert held.price.output_nano_usd_per_mtok == 2_000_000_000
    month, workflow = held.budgets
    assert (month.scope, month.limit_nano_usd) == (budget_pb2.BUDGET_SCOPE_ORGANIZATION, 25 * 10**9)
    assert (workflow.scope, workflow.limit_nano_usd) == (budget_pb2.BUDGET_SCOPE_WORKFLOW, 10**9)
    assert [b.held_nano_usd for b in held.budgets] == [HOLD, HOLD]
    assert (month.binding, workflow.binding) == (False, True)
    assert held.expire_time.seconds - held.create_time.seconds == 600


async def test_a_hundred_at_once_for_a_budget_with_room_for_ten(governor: Governor) -> None:
    """Exactly ten are granted, and the budget is exactly full."""
    await governor.set_workflow_limit(10 * HOLD)

    async def attempt() -> str:
        try:
            await governor.authorize()
        except grpc.aio.AioRpcError as error:
            refused = from_rpc_error(error)
            assert refused is not None
            return refused.reason
        return "granted"

    answers = await asyncio.gather(*(attempt() for _ in range(100)))
    assert answers.count("granted") == 10
    assert answers.count("BUDGET_EXCEEDED") == 90
    budget = await governor.workflow_budget()
    assert (budget.held_nano_usd, budget.available_nano_usd) == (10 * HOLD, 0)
    assert (await governor.month_budget()).held_nano_usd == 10 * HOLD


@pytest.mark.own_world
async def test_a_denial_names_the_budget_and_holds_nothing(governor: Governor) -> None:
    """RESOURCE_EXHAUSTED has the amounts in its metadata and a violation for each budget that denied."""
    await governor.set_workflow_limit(HOLD - 1)
    refused = await refusal(governor.authorize())
    assert refused.reason == "BUDGET_EXCEEDED"
    assert refused.metadata == {
        "scope": "WORKFLOW",
        "subject": governor.workflow_id,
        "period": "LIFETIME",
        "limit_nano_usd": str(HOLD - 1),
        "spent_nano_usd": "0",
        "held_nano_usd": "0",
        "requested_nano_usd": str(HOLD),
    }
    assert [quota.subject for quota in refused.quotas] == [f"WORKFLOW:{governor.workflow_id}"]
    assert (await governor.month_budget()).held_nano_usd == 0
    assert await governor.sql("SELECT FROM authorizations") == []


async def test_a_request_id_places_one_hold(governor: Governor) -> None:
    """Eight requests at once with one id place one hold; all get the same answer, seven as replays."""
    request = governor.authorize_request()
    answers = await asyncio.gather(*(governor.stub.Authorize(request) for _ in range(8)))
    assert len({answer.authorization_id for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 7
    assert (await governor.workflow_budget()).held_nano_usd == HOLD


async def test_a_request_id_with_other_content_is_refused(governor: Governor) -> None:
    """The first hold stays unchanged."""
    request = governor.authorize_request()
    await governor.stub.Authorize(request)
    request.output_tokens_max = 701
    assert (await refusal(governor.stub.Authorize(request))).reason == "REQUEST_ID_REUSED"
    assert (await governor.workflow_budget()).held_nano_usd == HOLD


async def test_an_id_that_was_denied_may_be_tried_again(governor: Governor) -> None:
    """A call that failed leaves nothing, so its request_id can be used again."""
    await governor.set_workflow_limit(0)
    request = governor.authorize_request()
    assert (await refusal(governor.stub.Authorize(request))).reason == "BUDGET_EXCEEDED"
    await governor.set_workflow_limit(HOLD)
    assert not (await governor.stub.Authorize(request)).replayed


async def test_nobody_may_spend_on_a_hold_that_has_ended(governor: Governor) -> None:
    """A replay of a hold that is no longer PENDING is refused with the hold's state."""
    request = governor.authorize_request()
    held = await governor.stub.Authorize(request)
    await governor.void(held)
    refused = await refusal(governor.stub.Authorize(request))
    assert refused.reason == "AUTHORIZATION_NOT_PENDING"
    assert refused.metadata == {"state": "VOIDED", "authorization_id": held.authorization_id}


async def test_the_first_candidate_that_fits_is_granted(governor: Governor) -> None:
    """sonar's 2,400,000 do not fit; gpt-4o-mini's 1,000 × 150 + 700 × 600 = 570,000 do."""
    await governor.set_workflow_limit(HOLD - 1)
    held = await governor.authorize(models=[SONAR, MINI])
    assert (held.model, held.held_nano_usd, held.downgraded) == (MINI, 570_000, True)
    assert held.downgrade_reason == "perplexity/sonar does not fit the budgets"


async def test_fewer_output_tokens_are_granted_if_the_caller_accepts_them(governor: Governor) -> None:
    """1,500,000 pay for 1,000 input tokens and 250 output tokens of sonar."""
    await governor.set_workflow_limit(1_500_999)
    assert (await refusal(governor.authorize(output_tokens_min=251))).reason == "BUDGET_EXCEEDED"
    held = await governor.authorize(output_tokens_min=250)
    assert (held.output_tokens_max, held.held_nano_usd) == (250, 1_500_000)


async def test_a_later_candidate_in_full_goes_before_an_earlier_one_reduced(governor: Governor) -> None:
    """The contract's order: first every candidate in full, then with fewer output tokens."""
    await governor.set_workflow_limit(1_500_999)
    held = await governor.authorize(models=[SONAR, MINI], output_tokens_min=1)
    assert (held.model, held.output_tokens_max) == (MINI, 700)


@pytest.mark.parametrize(
    "asked", ["Perplexity/Sonar", "perplexity/sonar@perplexity", "perplexity/sonar:online"]
)
async def test_a_variant_of_an_id_is_the_model(governor: Governor, asked: str) -> None:
    """Every variant of a model's id has that model's price."""
    assert (await governor.authorize(models=[asked])).model == SONAR


async def test_an_unknown_model_is_never_free(governor: Governor) -> None:
    """An unknown model alone is refused; beside a priced one it is skipped, which is no downgrade."""
    refused = await refusal(governor.authorize(models=["nobody/nothing"]))
    assert (refused.reason, refused.metadata) == ("MODEL_NOT_PRICED", {"model": "nobody/nothing"})
    held = await governor.authorize(models=["nobody/nothing", MINI])
    assert (held.model, held.downgraded) == (MINI, False)


@pytest.mark.own_world
async def test_a_tier_may_allow_some_models_only(governor: Governor) -> None:
    """Models that the tier does not allow are dropped before prices are looked up."""
    await governor.sql("UPDATE tiers SET allowed_models = $1", [MINI])
    refused = await refusal(governor.authorize(models=["nobody/nothing"]))
    assert (refused.reason, refused.metadata) == ("MODEL_NOT_ALLOWED", {"model": "nobody/nothing"})
    assert (await governor.authorize(models=[SONAR, MINI])).model == MINI


@pytest.mark.own_world
async def test_past_the_threshold_the_cheapest_comes_first(governor: Governor) -> None:
    """The month has 2,400,000 of 4,000,000, which is past 50 percent."""
    await governor.sql("UPDATE tiers SET downgrade_threshold_percent = 50, monthly_quota_nano_usd = 4000000")
    assert (await governor.authorize(models=[SONAR, MINI])).model == SONAR
    held = await governor.authorize(models=[SONAR, MINI])
    assert (held.model, held.downgraded) == (MINI, True)
    assert held.downgrade_reason.startswith("the month is past 50% of its quota")


async def test_a_label_with_a_budget_is_a_budget(governor: Governor) -> None:
    """A limit on team=growth denies calls with that label and no others."""
    await governor.budgets.SetBudget(
        budget_service_pb2.SetBudgetRequest(
            organization_id=governor.organization_id,
            scope=budget_pb2.BUDGET_SCOPE_LABEL,
            subject="team=growth",
            period=budget_pb2.BUDGET_PERIOD_LIFETIME,
            limit_nano_usd=HOLD,
        )
    )
    held = await governor.authorize(labels={"team": "growth", "feature": "articles"})
    assert [b.subject for b in held.budgets] == ["team=growth", "", governor.workflow_id]
    refused = await refusal(governor.authorize(labels={"team": "growth"}))
    assert (refused.metadata["scope"], refused.metadata["subject"]) == ("LABEL", "team=growth")
    await governor.authorize(labels={"team": "research"})


@pytest.mark.own_world
async def test_checking_changes_nothing(governor: Governor) -> None:
    """CheckBudget gives the answer that Authorize would give, and adds no row."""
    request = governor_pb2.CheckBudgetRequest(
        organization_id=governor.organization_id,
        workflow_id=governor.workflow_id,
        models=[SONAR],
        input_tokens_max=1000,
        output_tokens_max=700,
    )
    answer = await governor.stub.CheckBudget(request)
    assert (answer.allowed, answer.model, answer.estimated_nano_usd) == (True, SONAR, HOLD)
    assert [b.available_nano_usd for b in answer.budgets] == [25 * 10**9, 10**9]
    for table in ("organizations", "budgets", "authorizations"):
        assert await governor.sql(f"SELECT FROM {table}") == []

    await governor.set_workflow_limit(HOLD - 1)
    answer = await governor.stub.CheckBudget(request)
    assert (answer.allowed, answer.estimated_nano_usd) == (False, HOLD)
    assert answer.denial_reason == errors_pb2.ERROR_REASON_BUDGET_EXCEEDED


async def test_another_organization_has_its_own_budgets(governor: Governor) -> None:
    """The same workflow id under another organization has other budgets."""
    await governor.set_workflow_limit(0)
    held = await governor.authorize(organization_id=new_id())
    assert held.held_nano_usd == HOLD
