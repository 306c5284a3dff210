"""GOVERNOR_UNKNOWN_ORGANIZATIONS=deny: who has not been set up may not spend."""

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


async def test_nobody_it_was_told_of(strict: Governor) -> None:
    """ORGANIZATION_UNKNOWN, and no row of it is made."""
    assert (await refusal(strict.authorize())).reason == "ORGANIZATION_UNKNOWN"
    check = await check_budget(strict)
    assert (check.allowed, check.denial_reason) == (False, errors_pb2.ERROR_REASON_ORGANIZATION_UNKNOWN)
    assert (await refusal(get_organization(strict))).reason == "ORGANIZATION_UNKNOWN"
    for table in ("organizations", "budgets", "authorizations"):
        assert await strict.sql(f"SELECT FROM {table}") == []


async def test_set_organization_sets_it_up(strict: Governor) -> None:
    """Also without a word about tier or limits; the id that was refused before may be tried again."""
    request = strict.authorize_request()
    assert (await refusal(strict.stub.Authorize(request))).reason == "ORGANIZATION_UNKNOWN"
    assert (await set_organization(strict)).tier == "default"
    assert not (await strict.stub.Authorize(request)).replayed
    assert (await check_budget(strict)).allowed


async def test_set_budget_sets_it_up(strict: Governor) -> None:
    """Who has a limit is somebody."""
    await set_budget(strict, scope=budget_pb2.BUDGET_SCOPE_ORGANIZATION, limit_nano_usd=10**9)
    await strict.authorize()
    assert (await get_organization(strict)).tier == "default"


async def test_to_be_frozen_is_not_to_be_set_up(strict: Governor) -> None:
    """Unknown it stays, also once that is lifted."""
    await set_freeze(strict, organization_id=strict.organization_id)
    assert (await refusal(strict.authorize())).reason == "ORGANIZATION_UNKNOWN"
    await set_freeze(strict, False, organization_id=strict.organization_id)
    assert (await refusal(strict.authorize())).reason == "ORGANIZATION_UNKNOWN"


async def test_one_that_was_only_seen_is_unknown(governor_dsn: str, governor: Governor) -> None:
    """First sight under the default policy makes a row and no acquaintance; what it holds ends as ever."""
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
    """And the unknown one leaves no row."""
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
