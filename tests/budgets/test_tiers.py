"""SetTier: a subscription's terms, read at the moment of each decision."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from infin8.governor.v1 import budget_service_pb2
from tests.budgets.conftest import set_organization, set_tier, until_it_waits_for_a_lock
from tests.governor.conftest import MINI, SONAR, Governor, new_id, refusal

pytestmark = pytest.mark.own_world

USD = 10**9


async def list_tiers(
    governor: Governor, page_size: int = 0, page_token: str = ""
) -> budget_service_pb2.ListTiersResponse:
    return await governor.budgets.ListTiers(
        budget_service_pb2.ListTiersRequest(page_size=page_size, page_token=page_token)
    )


async def test_the_first_tier(governor: Governor) -> None:
    """S4, S12: 1.00 USD per workflow, 25.00 USD per month, every model."""
    (tier,) = (await list_tiers(governor)).tiers
    assert (tier.tier, tier.workflow_limit_nano_usd, tier.monthly_quota_nano_usd) == (
        "default",
        USD,
        25 * USD,
    )
    assert (list(tier.allowed_models), tier.HasField("downgrade_threshold_percent")) == ([], False)
    assert len(await governor.sql("SELECT FROM tier_changes WHERE tier = 'default'")) == 1


async def test_a_tier_is_replaced_as_a_whole(governor: Governor) -> None:
    """An unset field is cleared; models are stored under their canonical ids, each once."""
    made = await set_tier(
        governor,
        tier="pro",
        workflow_limit_nano_usd=1,
        monthly_quota_nano_usd=2,
        allowed_models=["Perplexity/Sonar:online", "gpt-4o-mini-2024-07-18", "perplexity/sonar"],
        downgrade_threshold_percent=80,
        subscription_price_nano_usd=49 * USD,
    )
    assert list(made.allowed_models) == [SONAR, MINI]
    assert (made.author, made.subscription_price_nano_usd) == ("anonymous", 49 * USD)
    assert (await list_tiers(governor)).tiers[1] == made
    replaced = await set_tier(governor, tier="pro", subscription_price_nano_usd=3)
    assert (list(replaced.allowed_models), replaced.HasField("workflow_limit_nano_usd")) == ([], False)
    assert replaced.update_time.ToNanoseconds() > made.update_time.ToNanoseconds()
    assert list((await list_tiers(governor)).tiers)[1] == replaced


async def test_tiers_page_by_name(governor: Governor) -> None:
    """Pages are in order of name; a page token is valid for its own list only."""
    for name in ("alpha", "omega", "beta"):
        await set_tier(governor, tier=name)
    names, token = [], ""
    while True:
        page = await list_tiers(governor, page_size=2, page_token=token)
        names.append([tier.tier for tier in page.tiers])
        token = page.next_page_token
        if not token:
            break
    assert names == [["alpha", "beta"], ["default", "omega"]]


async def test_a_change_counts_from_the_next_decision_on(governor: Governor) -> None:
    """S13: a change needs no restart and applies at once; other tiers' organizations are not affected."""
    await set_tier(governor, tier="pro", workflow_limit_nano_usd=USD)
    await set_organization(governor, tier="pro")
    assert (await governor.authorize()).model == SONAR
    await set_tier(governor, tier="pro", workflow_limit_nano_usd=0)
    assert (await refusal(governor.authorize())).metadata["limit_nano_usd"] == "0"
    await set_tier(governor, tier="pro", allowed_models=[MINI])
    refused = await refusal(governor.authorize())
    assert (refused.reason, refused.metadata) == ("MODEL_NOT_ALLOWED", {"model": SONAR})
    assert (await governor.authorize(models=[SONAR, MINI])).model == MINI
    assert (await governor.authorize(organization_id=new_id())).model == SONAR


async def test_a_repeated_request_answers_as_the_first_time(governor: Governor) -> None:
    """A tier's request_id belongs to no organization; eight requests at once make one change."""
    request_id = new_id()
    answers = await asyncio.gather(
        *(set_tier(governor, request_id, tier="pro", workflow_limit_nano_usd=1) for _ in range(8))
    )
    assert all(answer == answers[0] for answer in answers)
    await set_tier(governor, tier="pro", workflow_limit_nano_usd=2)
    assert await set_tier(governor, request_id, tier="pro", workflow_limit_nano_usd=1) == answers[0]
    limits = await governor.sql(
        "SELECT workflow_limit_nano_usd FROM tier_changes WHERE tier = 'pro' ORDER BY change_time"
    )
    assert [row[0] for row in limits] == [1, 2]
    refused = await refusal(set_tier(governor, request_id, tier="pro", workflow_limit_nano_usd=3))
    assert refused.reason == "REQUEST_ID_REUSED"


async def test_the_newest_change_of_the_history_is_in_force(governor: Governor) -> None:
    """A change that waited for another one is later than it, in the history too."""
    connection = await asyncpg.connect(governor.dsn)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE tiers IN SHARE ROW EXCLUSIVE MODE")
            change = asyncio.create_task(set_tier(governor, tier="pro", workflow_limit_nano_usd=2))
            await until_it_waits_for_a_lock(governor, change)
            await connection.execute(
                "SELECT set_tier(p_request_id => NULL, p_content_hash => '', p_tier => 'pro',"
                " p_workflow_limit_nano_usd => 1, p_monthly_quota_nano_usd => NULL, p_allowed_models => '{}',"
                " p_downgrade_threshold_percent => NULL, p_subscription_price_nano_usd => 0,"
                " p_cost_basis => 'GREATER', p_author => 'somebody')"
            )
        assert (await change).workflow_limit_nano_usd == 2
    finally:
        await connection.close()
    history = await governor.sql(
        "SELECT workflow_limit_nano_usd, author FROM tier_changes WHERE tier = 'pro' ORDER BY change_time"
    )
    assert [tuple(row) for row in history] == [(1, "somebody"), (2, "anonymous")]
    assert (await list_tiers(governor)).tiers[1].workflow_limit_nano_usd == 2


async def test_a_page_of_large_tiers_fits_into_a_message(governor: Governor) -> None:
    """A page is cut before 4 MiB and the token continues it; 20 tiers of 1,000 long names exceed that."""
    models = [f"{'x' * 195}{number:04}" for number in range(1000)]
    for number in range(20):
        await set_tier(governor, tier=f"large {number:02}", allowed_models=models)
    names, pages, token = [], 0, ""
    while pages == 0 or token:
        answer = await governor.budgets.ListTiers(budget_service_pb2.ListTiersRequest(page_token=token))
        names += [tier.tier for tier in answer.tiers]
        pages, token = pages + 1, answer.next_page_token
    assert names == ["default", *(f"large {number:02}" for number in range(20))]
    assert pages > 1
