"""GOVERNOR_UNKNOWN_ORGANIZATIONS=deny: an organization that has not been set up may not spend."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from infin8.governor.v1 import budget_pb2, entry_pb2, errors_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from tests.budgets.conftest import (
    check_budget,
    get_organization,
    serving,
    set_budget,
    set_freeze,
    set_organization,
)
from tests.governor.conftest import Governor, new_id, refusal


@pytest.fixture
async def strict(governor_dsn: str) -> AsyncIterator[Governor]:
    async with serving(governor_dsn, unknown_organizations="deny") as governor:
        yield governor


async def test_an_unknown_organization_is_denied(strict: Governor) -> None:
    """An unknown organization gets ORGANIZATION_UNKNOWN, and no row is created for it."""
    assert (await refusal(strict.authorize())).reason == "ORGANIZATION_UNKNOWN"
    check = await check_budget(strict)
    assert (check.allowed, check.denial_reason) == (False, errors_pb2.ERROR_REASON_ORGANIZATION_UNKNOWN)
    assert (await refusal(get_organization(strict))).reason == "ORGANIZATION_UNKNOWN"
    for table in ("organizations", "budgets", "authorizations"):
        assert await strict.sql(f"SELECT FROM {table}") == []


async def test_set_organization_sets_it_up(strict: Governor) -> None:
    """SetOrganization sets it up without tier or limits too; a refused request_id can be used again."""
    request = strict.authorize_request()
    assert (await refusal(strict.stub.Authorize(request))).reason == "ORGANIZATION_UNKNOWN"
    assert (await set_organization(strict)).tier == "default"
    assert not (await strict.stub.Authorize(request)).replayed
    assert (await check_budget(strict)).allowed


async def test_set_budget_sets_it_up(strict: Governor) -> None:
    """Setting a budget sets the organization up."""
    await set_budget(strict, scope=budget_pb2.BUDGET_SCOPE_ORGANIZATION, limit_nano_usd=10**9)
    await strict.authorize()
    assert (await get_organization(strict)).tier == "default"


async def test_a_freeze_does_not_set_an_organization_up(strict: Governor) -> None:
    """A freeze, and lifting it, leave the organization unknown."""
    await set_freeze(strict, organization_id=strict.organization_id)
    assert (await refusal(strict.authorize())).reason == "ORGANIZATION_UNKNOWN"
    await set_freeze(strict, False, organization_id=strict.organization_id)
    assert (await refusal(strict.authorize())).reason == "ORGANIZATION_UNKNOWN"


async def test_one_that_was_only_seen_is_unknown(governor_dsn: str, governor: Governor) -> None:
    """An organization that only has holds from the default policy is unknown, but its holds still end."""
    request = governor.authorize_request()
    held = await governor.stub.Authorize(request)
    async with serving(governor_dsn, unknown_organizations="deny") as strict:
        strict.organization_id = governor.organization_id
        assert (await refusal(strict.authorize())).reason == "ORGANIZATION_UNKNOWN"
        assert (await strict.stub.Authorize(request)).replayed
        settled = await strict.settle(held, entry_pb2.Usage(input_tokens=1, output_tokens=1))
        assert settled.entry.cost_nano_usd == 3_000
    await governor.authorize()


async def test_in_a_batch_the_others_are_authorized(strict: Governor) -> None:
    """An unknown organization's item is refused and leaves no row; the other items are authorized."""
    await set_organization(strict)
    unknown = new_id()
    items = [strict.authorize_request(organization_id=unknown), strict.authorize_request()]
    answer = await strict.stub.BatchAuthorize(governor_pb2.BatchAuthorizeRequest(items=items))
    assert [result.error.reason for result in answer.results] == [
        errors_pb2.ERROR_REASON_ORGANIZATION_UNKNOWN,
        0,
    ]
    (row,) = await strict.sql("SELECT organization_id FROM organizations")
    assert str(row["organization_id"]) == strict.organization_id
