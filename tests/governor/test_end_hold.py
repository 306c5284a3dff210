"""The result of Settle and Void in each state: the contract's table, cell by cell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from infin8.governor.v1 import authorization_pb2, entry_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from tests.governor.conftest import Governor, new_id, refusal

HOLD = 2_400_000
USAGE = entry_pb2.Usage(input_tokens=600, output_tokens=100, requests=1)  # 600 × 1,000 + 100 × 2,000
COST = 800_000
OTHER_USAGE = entry_pb2.Usage(input_tokens=601, output_tokens=100, requests=1)

VOIDED = authorization_pb2.AUTHORIZATION_STATE_VOIDED
SETTLED = authorization_pb2.AUTHORIZATION_STATE_SETTLED


async def figures(governor: Governor) -> tuple[int, int, int]:
    """Spent, held and unguarded of the workflow; the month must have the same."""
    workflow, month = await governor.workflow_budget(), await governor.month_budget()
    found = (workflow.spent_nano_usd, workflow.held_nano_usd, workflow.unguarded_nano_usd)
    assert found == (month.spent_nano_usd, month.held_nano_usd, month.unguarded_nano_usd)
    assert workflow.spent_nano_usd == sum(entry.cost_nano_usd for entry in await governor.entries())
    return found


async def state_of(governor: Governor, held: authorization_pb2.Authorization) -> int:
    found = await governor.stub.GetAuthorization(
        governor_pb2.GetAuthorizationRequest(
            organization_id=governor.organization_id, authorization_id=held.authorization_id
        )
    )
    return found.state


async def test_pending_settle_by_usage(governor: Governor) -> None:
    """→ SETTLED: one entry is posted, spent grows, and the rest of the hold is released."""
    held = await governor.authorize(labels={"team": "growth"})
    settled = await governor.settle(held, USAGE, provider_generation_id="gen-1")
    entry = settled.entry
    assert (entry.kind, entry.cost_nano_usd, settled.released_nano_usd) == (
        entry_pb2.ENTRY_KIND_USAGE,
        COST,
        HOLD - COST,
    )
    assert entry.entry_id == entry.idempotency_key == entry.authorization_id == held.authorization_id
    assert (entry.sequence, entry.held_nano_usd, entry.overage_nano_usd) == (1, HOLD, 0)
    assert (entry.price_id, entry.period_start) == (held.price.price_id, held.period_start)
    assert (dict(entry.labels), entry.usage, list(entry.flags)) == ({"team": "growth"}, USAGE, [])
    assert entry.provider_generation_id == "gen-1"
    assert [b.spent_nano_usd for b in settled.budgets] == [COST, COST]
    assert await state_of(governor, held) == SETTLED
    assert await figures(governor) == (COST, 0, 0)


async def test_pending_settle_as_unknown(governor: Governor) -> None:
    """→ SETTLED: the whole hold is charged."""
    settled = await governor.settle(await governor.authorize())
    assert (settled.entry.kind, settled.entry.cost_nano_usd) == (entry_pb2.ENTRY_KIND_UNKNOWN, HOLD)
    assert list(settled.entry.flags) == [entry_pb2.ENTRY_FLAG_UNKNOWN_OUTCOME]
    assert settled.released_nano_usd == 0
    assert await figures(governor) == (HOLD, 0, 0)


async def test_pending_void(governor: Governor) -> None:
    """→ VOIDED: the whole hold is released, and no entry is posted."""
    held = await governor.authorize()
    assert (await governor.void(held)).state == VOIDED
    assert await figures(governor) == (0, 0, 0)
    assert await governor.entries() == []


async def test_voided_settle_by_usage(governor: Governor) -> None:
    """→ SETTLED, LATE: the whole cost is overage, and nothing is released again."""
    held = await governor.authorize()
    await governor.void(held)
    settled = await governor.settle(held, USAGE)
    assert (settled.entry.cost_nano_usd, settled.entry.held_nano_usd, settled.entry.overage_nano_usd) == (
        COST,
        0,
        COST,
    )
    assert list(settled.entry.flags) == [entry_pb2.ENTRY_FLAG_OVERAGE, entry_pb2.ENTRY_FLAG_LATE]
    assert settled.released_nano_usd == 0
    assert await figures(governor) == (COST, 0, COST)
    assert (await governor.settle(held, USAGE)).replayed


async def test_voided_settle_as_unknown(governor: Governor) -> None:
    """Refused, since the caller said that the call was not sent."""
    held = await governor.authorize()
    await governor.void(held)
    refused = await refusal(governor.settle(held))
    assert refused.reason == "AUTHORIZATION_NOT_PENDING"
    assert refused.metadata == {"state": "VOIDED", "authorization_id": held.authorization_id}
    assert await figures(governor) == (0, 0, 0)


async def test_voided_void(governor: Governor) -> None:
    """The authorization is returned as it is, and nothing is released twice."""
    held = await governor.authorize()
    first = await governor.void(held)
    assert (await governor.void(held)) == first
    assert await figures(governor) == (0, 0, 0)


async def test_settled_as_unknown_settle_by_usage(governor: Governor) -> None:
    """Exactly one ADJUSTMENT corrects the cost, however often the usage is sent."""
    held = await governor.authorize()
    unknown = await governor.settle(held)
    trued_up = await governor.settle(held, USAGE)
    assert (trued_up.entry.kind, trued_up.entry.cost_nano_usd) == (
        entry_pb2.ENTRY_KIND_ADJUSTMENT,
        COST - HOLD,
    )
    assert (trued_up.entry.adjusts_entry_id, trued_up.entry.sequence) == (unknown.entry.entry_id, 2)
    assert trued_up.released_nano_usd == HOLD - COST
    replay = await governor.settle(held, USAGE)
    assert (replay.replayed, replay.entry) == (True, trued_up.entry)
    assert (await refusal(governor.settle(held, OTHER_USAGE))).reason == "AUTHORIZATION_NOT_PENDING"
    # A repeated settlement as unknown gets its first answer.
    assert (await governor.settle(held)).entry == unknown.entry
    assert await figures(governor) == (COST, 0, 0)


async def test_settled_as_unknown_settle_as_unknown(governor: Governor) -> None:
    """The answer is a replay."""
    held = await governor.authorize()
    first = await governor.settle(held)
    again = await governor.settle(held)
    assert (again.replayed, again.entry) == (True, first.entry)
    assert await figures(governor) == (HOLD, 0, 0)


@pytest.mark.parametrize("usage", [None, USAGE], ids=["as unknown", "by usage"])
async def test_settled_void(governor: Governor, usage: entry_pb2.Usage | None) -> None:
    """Refused, with the entry that settled the hold."""
    held = await governor.authorize()
    settled = await governor.settle(held, usage)
    before = await figures(governor)
    refused = await refusal(governor.void(held))
    assert refused.reason == "AUTHORIZATION_NOT_PENDING"
    assert refused.metadata == {
        "state": "SETTLED",
        "authorization_id": held.authorization_id,
        "entry_id": settled.entry.entry_id,
    }
    assert await figures(governor) == before


async def test_settled_by_usage_settle(governor: Governor) -> None:
    """The same usage, or unknown, is a replay; other usage is refused."""
    held = await governor.authorize()
    first = await governor.settle(held, USAGE)
    for usage in (USAGE, None):
        again = await governor.settle(held, usage)
        assert (again.replayed, again.entry, again.released_nano_usd) == (True, first.entry, HOLD - COST)
    refused = await refusal(governor.settle(held, OTHER_USAGE))
    assert refused.reason == "AUTHORIZATION_NOT_PENDING"
    assert refused.metadata["entry_id"] == first.entry.entry_id
    assert await figures(governor) == (COST, 0, 0)


async def test_eight_settlements_at_once(governor: Governor) -> None:
    """One entry is posted, and the answers differ in `replayed` and `budgets` only."""
    held = await governor.authorize()
    answers = await asyncio.gather(*(governor.settle(held, USAGE) for _ in range(8)))
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 7
    for answer in answers:
        answer.ClearField("budgets")
        answer.ClearField("replayed")
        assert answer == answers[0]
    assert len(await governor.entries()) == 1
    assert await figures(governor) == (COST, 0, 0)


async def test_settle_against_void_at_once(governor: Governor) -> None:
    """In either order the cost is recorded once, and nothing stays held."""
    for _ in range(20):
        held = await governor.authorize()
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda held=held: governor.settle(held, USAGE),  # type: ignore[misc]
            lambda held=held: governor.void(held),  # type: ignore[misc]
        ]
        await asyncio.gather(*(call() for call in calls), return_exceptions=True)
        assert await state_of(governor, held) == SETTLED
    spent, held_nano_usd, _ = await figures(governor)
    assert (spent, held_nano_usd) == (20 * COST, 0)


async def test_void_by_request_id(governor: Governor) -> None:
    """Void by request_id ends the hold that was authorized with it."""
    held = await governor.authorize()
    voided = await governor.stub.Void(
        governor_pb2.VoidRequest(organization_id=governor.organization_id, request_id=held.request_id)
    )
    assert (voided.authorization_id, voided.state) == (held.authorization_id, VOIDED)


async def test_void_stops_an_authorize_that_is_still_on_its_way(governor: Governor) -> None:
    """An Authorize that arrives after the Void of its request_id is refused and holds nothing."""
    request = governor.authorize_request()
    voided = await governor.stub.Void(
        governor_pb2.VoidRequest(organization_id=governor.organization_id, request_id=request.request_id)
    )
    assert (voided.state, voided.held_nano_usd, voided.model) == (VOIDED, 0, "")
    refused = await refusal(governor.stub.Authorize(request))
    assert (refused.reason, refused.metadata["state"]) == ("AUTHORIZATION_NOT_PENDING", "VOIDED")
    # Nothing was granted, so there is nothing to settle.
    assert (await refusal(governor.settle(voided, USAGE))).reason == "AUTHORIZATION_NOT_PENDING"
    assert await governor.entries() == []


async def test_another_organizations_hold_is_not_found(governor: Governor) -> None:
    """The refusal is word for word that of a missing hold, and the hold stays unchanged."""
    held = await governor.authorize()
    owner, governor.organization_id = governor.organization_id, new_id()
    foreign = await refusal(governor.settle(held, USAGE))
    held.authorization_id, kept = new_id(), held.authorization_id
    missing = await refusal(governor.settle(held, USAGE))
    assert (foreign.reason, foreign.message) == (missing.reason, missing.message)
    assert foreign.reason == "AUTHORIZATION_NOT_FOUND"
    held.authorization_id = kept
    assert (await refusal(governor.void(held))).reason == "AUTHORIZATION_NOT_FOUND"
    governor.organization_id = owner
    assert await figures(governor) == (0, HOLD, 0)
