"""SetOrganization: an organization's tier and overrides, by update_mask, each change with author and time."""

from __future__ import annotations

import asyncio

import pytest

from tests.budgets.conftest import get_organization, set_organization, set_tier
from tests.governor.conftest import Governor, new_id, refusal

pytestmark = pytest.mark.own_world

USD = 10**9


async def test_an_organization_not_set_up_has_the_default_tier(governor: Governor) -> None:
    """Reading creates no row; the first Authorize creates one, without an author."""
    organization = await get_organization(governor)
    assert (organization.organization_id, organization.tier) == (governor.organization_id, "default")
    assert not organization.HasField("create_time")
    assert await governor.sql("SELECT FROM organizations") == []
    await governor.authorize()
    organization = await get_organization(governor)
    assert organization.HasField("create_time")
    assert (organization.author, organization.HasField("update_time")) == ("", False)


async def test_an_override_goes_before_the_tier(governor: Governor) -> None:
    """S13: limits can differ by subscription and by organization, and a decision uses both."""
    await set_tier(governor, tier="pro", workflow_limit_nano_usd=5 * USD, monthly_quota_nano_usd=100 * USD)
    await set_organization(governor, tier="pro")
    month, workflow = (await governor.authorize()).budgets
    assert (month.limit_nano_usd, workflow.limit_nano_usd) == (100 * USD, 5 * USD)
    await set_organization(governor, workflow_limit_nano_usd=7 * USD)
    month, workflow = (await governor.authorize()).budgets
    assert (month.limit_nano_usd, workflow.limit_nano_usd) == (100 * USD, 7 * USD)
    await set_organization(governor, workflow_limit_nano_usd=0)
    assert (await refusal(governor.authorize())).metadata["scope"] == "WORKFLOW"


async def test_only_what_the_mask_names_is_changed(governor: Governor) -> None:
    """A field that is named and unset is cleared; a field that is set but not named is ignored."""
    await set_tier(governor, tier="pro")
    await set_organization(governor, tier="pro", workflow_limit_nano_usd=3, monthly_quota_nano_usd=4)
    organization = await set_organization(
        governor, "workflow_limit_nano_usd", tier="nowhere", monthly_quota_nano_usd=-1
    )
    assert organization == await get_organization(governor)
    assert (organization.tier, organization.monthly_quota_nano_usd) == ("pro", 4)
    assert not organization.HasField("workflow_limit_nano_usd")
    organization = await set_organization(governor, "*")
    assert (organization.tier, organization.HasField("monthly_quota_nano_usd")) == ("default", False)


async def test_a_tier_must_exist(governor: Governor) -> None:
    """An unknown tier is refused with TIER_NOT_FOUND, and the organization is not set up."""
    refused = await refusal(set_organization(governor, tier="nowhere", workflow_limit_nano_usd=3))
    assert refused.reason == "TIER_NOT_FOUND"
    assert await governor.sql("SELECT FROM organizations") == []


async def test_every_change_is_kept(governor: Governor) -> None:
    """The history keeps values, author and time; its newest change is the one in force."""
    first = await set_organization(governor, workflow_limit_nano_usd=1)
    await asyncio.gather(*(set_organization(governor, workflow_limit_nano_usd=n) for n in range(2, 12)))
    changes = await governor.sql(
        "SELECT workflow_limit_nano_usd, author, change_time FROM organization_changes ORDER BY change_time"
    )
    assert changes[0]["workflow_limit_nano_usd"] == 1
    assert sorted(change["workflow_limit_nano_usd"] for change in changes) == list(range(1, 12))
    assert {change["author"] for change in changes} == {"anonymous"}
    last = await get_organization(governor)
    assert last.workflow_limit_nano_usd == changes[-1]["workflow_limit_nano_usd"]
    assert last.create_time == first.create_time
    assert last.author == "anonymous"


@pytest.mark.parametrize("table", ["organization_changes", "tier_changes", "freeze_changes"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET author = 'nobody'", "DELETE FROM {}", "TRUNCATE {}"])
async def test_history_does_not_change(governor: Governor, table: str, statement: str) -> None:
    """The database refuses changes to the history, also by its owner."""
    with pytest.raises(Exception, match="append-only"):
        await governor.sql(statement.format(table))


async def test_a_repeated_request_answers_as_the_first_time(governor: Governor) -> None:
    """A replay gets the first answer and does not undo a later change; other content is refused."""
    request_id = new_id()
    first = await set_organization(governor, workflow_limit_nano_usd=1, request_id=request_id)
    await set_organization(governor, workflow_limit_nano_usd=2)
    again = await set_organization(governor, workflow_limit_nano_usd=1, request_id=request_id)
    assert again == first
    assert (await get_organization(governor)).workflow_limit_nano_usd == 2
    refused = await refusal(set_organization(governor, workflow_limit_nano_usd=3, request_id=request_id))
    assert refused.reason == "REQUEST_ID_REUSED"


async def test_an_id_that_failed_may_be_tried_again(governor: Governor) -> None:
    """A call that failed leaves nothing, so its request_id can be used again."""
    request_id = new_id()
    assert (await refusal(set_organization(governor, tier="pro", request_id=request_id))).reason == (
        "TIER_NOT_FOUND"
    )
    await set_tier(governor, tier="pro")
    assert (await set_organization(governor, tier="pro", request_id=request_id)).tier == "pro"
