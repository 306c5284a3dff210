"""Adjust: an entry and its adjustments sum to the corrected cost (S3, S10)."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from infin8.governor.v1 import budget_pb2, budget_service_pb2, entry_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from tests.governor.conftest import Governor, new_id, refusal
from tests.ledger.conftest import COST, HOLD, USAGE, adjust, figures, flags, record, violations

ADJUSTMENT = entry_pb2.ENTRY_KIND_ADJUSTMENT


async def settled(governor: Governor, **changes: Any) -> entry_pb2.LedgerEntry:
    return (await governor.settle(await governor.authorize(**changes), USAGE)).entry


async def test_it_posts_the_difference_where_the_original_was_posted(verified_governor: Governor) -> None:
    """S3, S10: a new entry has the original's month, workflow, labels and hold; the original is unchanged."""
    governor = verified_governor
    original = await settled(governor, labels={"team": "growth"})
    correction = await adjust(governor, original, 500_000)
    assert (correction.kind, correction.sequence, correction.cost_nano_usd) == (ADJUSTMENT, 2, 500_000 - COST)
    assert (correction.adjusts_entry_id, correction.reason) == (original.entry_id, "the provider's invoice")
    for field in (
        "workflow_id",
        "authorization_id",
        "served_model",
        "granted_model",
        "period_start",
        "labels",
    ):
        assert getattr(correction, field) == getattr(original, field)
    assert (correction.usage, correction.rated_cost_nano_usd, correction.overage_nano_usd) == (
        entry_pb2.Usage(),
        0,
        0,
    )
    assert flags(correction) == set()
    assert await governor.entries() == [original, correction]
    assert await figures(governor) == (500_000, 0, 0)


async def test_targets_do_not_add_up(verified_governor: Governor) -> None:
    """S8: ten concurrent corrections to one cost post one entry, and all get that entry."""
    governor = verified_governor
    original = await settled(governor)
    corrections = await asyncio.gather(*(adjust(governor, original, 500_000) for _ in range(10)))
    assert {entry.entry_id for entry in corrections} == {corrections[0].entry_id}
    assert corrections[0].cost_nano_usd == 500_000 - COST
    assert len(await governor.entries()) == 2
    assert await figures(governor) == (500_000, 0, 0)
    assert (await adjust(governor, original, 0)).cost_nano_usd == -500_000
    assert await figures(governor) == (0, 0, 0)


async def test_what_it_adds_is_unguarded(verified_governor: Governor) -> None:
    """S4: an added cost was covered by no hold; a later correction takes it back first."""
    governor = verified_governor
    original = await settled(governor)
    dearer = await adjust(governor, original, COST + 7)
    assert (dearer.cost_nano_usd, dearer.overage_nano_usd, flags(dearer)) == (7, 7, {"UNGUARDED"})
    back = await adjust(governor, original, COST - 5)
    assert (back.cost_nano_usd, back.overage_nano_usd, flags(back)) == (-12, -7, set())
    assert await figures(governor) == (COST - 5, 0, 0)
    # The amount that was given back may be held by others, so the hold no longer covers it.
    await adjust(governor, original, COST)
    assert await figures(governor) == (COST, 0, 5)


async def test_recorded_usage_is_unguarded_at_every_price(verified_governor: Governor) -> None:
    """S4: no hold covers recorded usage, so unguarded equals spent after every correction."""
    governor = verified_governor
    entry = await record(governor)
    assert await figures(governor) == (COST, 0, COST)
    for target in (40, 70, 0, COST, 10**9, 1):
        await adjust(governor, entry, target)
        assert await figures(governor) == (target, 0, target)


async def test_a_late_settlement_is_corrected_with_what_no_hold_covered(verified_governor: Governor) -> None:
    """S4: the hold was released before, so the whole cost is unguarded after every correction."""
    governor = verified_governor
    held = await governor.authorize()
    await governor.void(held)
    late = (await governor.settle(held, USAGE)).entry
    assert late.overage_nano_usd == COST
    for target in (COST // 2, COST, COST + 1):
        await adjust(governor, late, target)
        assert await figures(governor) == (target, 0, target)


async def test_overage_is_corrected_first(verified_governor: Governor) -> None:
    """S4: a correction takes back the part above the hold first, then the part that the hold covered."""
    governor = verified_governor
    held = await governor.authorize()
    usage = entry_pb2.Usage(input_tokens=3000, requests=1)
    entry = (await governor.settle(held, usage)).entry
    assert await figures(governor) == (3_000_000, 0, 3_000_000 - HOLD)
    for target, unguarded in ((HOLD + 1, 1), (HOLD - 1, 0), (HOLD, 1), (HOLD + 1, 2)):
        await adjust(governor, entry, target)
        assert await figures(governor) == (target, 0, unguarded)


async def test_a_target_already_reached_posts_nothing(verified_governor: Governor) -> None:
    """S8: the answer is the entry that reached the target, also for a replay after later corrections."""
    governor = verified_governor
    original = await settled(governor)
    requests = [
        governor_pb2.AdjustRequest(
            organization_id=governor.organization_id,
            request_id=new_id(),
            entry_id=original.entry_id,
            corrected_cost_nano_usd=target,
            reason="test",
        )
        for target in (COST, 5, 5)
    ]
    answers = [await governor.stub.Adjust(request) for request in requests]
    assert answers[0] == original
    assert answers[2] == answers[1]
    assert await governor.entries() == [original, answers[1]]
    await adjust(governor, original, 6)
    assert [await governor.stub.Adjust(request) for request in requests] == answers
    assert len(await governor.entries()) == 3
    assert await figures(governor) == (6, 0, 1)
    requests[2].corrected_cost_nano_usd = 7
    assert (await refusal(governor.stub.Adjust(requests[2]))).reason == "REQUEST_ID_REUSED"


async def test_an_answer_of_an_earlier_release(governor: Governor) -> None:
    """What posted nothing is replayed with the entry, although the stored answer has fewer columns."""
    entry = await record(governor)
    request_id = new_id()
    assert await adjust(governor, entry, COST, request_id=request_id) == entry
    await governor.sql(
        "UPDATE request_ids SET answer = answer - ARRAY['cost_basis', 'other_units', 'price_context']"
        " WHERE organization_id = $1",
        UUID(governor.organization_id),
    )
    assert await adjust(governor, entry, COST, request_id=request_id) == entry


async def test_it_may_go_past_a_limit(verified_governor: Governor) -> None:
    """S4, S9: a corrected cost may exceed the limit, and then blocks later calls."""
    governor = verified_governor
    await adjust(governor, await settled(governor), 10**15)
    assert (await figures(governor))[0] == 10**15
    assert (await refusal(governor.authorize())).reason == "BUDGET_EXCEEDED"


async def test_recorded_usage_is_corrected_on_its_own_budgets(verified_governor: Governor) -> None:
    """S10: the correction goes to the label budgets of the original, not to those set since."""
    governor = verified_governor

    async def label_budget(limit_nano_usd: int | None) -> budget_pb2.BudgetStatus:
        return await governor.budgets.SetBudget(
            budget_service_pb2.SetBudgetRequest(
                organization_id=governor.organization_id,
                scope=budget_pb2.BUDGET_SCOPE_LABEL,
                subject="team=growth",
                period=budget_pb2.BUDGET_PERIOD_LIFETIME,
                limit_nano_usd=limit_nano_usd,
            )
        )

    before = await record(governor, labels={"team": "growth"})
    await label_budget(10**9)
    after = await record(governor, labels={"team": "growth"})
    assert (await adjust(governor, before, 0)).cost_nano_usd == -COST
    await adjust(governor, after, 1_000_000)
    assert (await label_budget(10**9)).spent_nano_usd == 1_000_000
    assert await figures(governor) == (1_000_000, 0, 1_000_000)


@pytest.mark.own_world
async def test_a_hold_of_last_month_is_corrected_in_last_month(verified_governor: Governor) -> None:
    """S10: the correction goes to the budgets of the hold."""
    governor = verified_governor
    held = await governor.authorize()
    await governor.sql("UPDATE authorizations SET month = '2026-01', budget_keys[1] = 'month/2026-01'")
    await governor.sql("UPDATE budgets SET budget_key = 'month/2026-01' WHERE budget_key LIKE 'month/%'")
    entry = (await governor.settle(held, USAGE)).entry
    correction = await adjust(governor, entry, 1)
    assert correction.period_start.ToJsonString() == "2026-01-01T00:00:00Z"
    assert (await governor.month_budget()).spent_nano_usd == 0
    (january,) = await governor.sql("SELECT spent_nano_usd FROM budgets WHERE budget_key = 'month/2026-01'")
    assert january["spent_nano_usd"] == 1


@pytest.mark.parametrize("corrected", [0, COST, HOLD, HOLD + 5])
async def test_an_unknown_outcome_comes_to_its_true_cost_also_after_an_adjustment(
    verified_governor: Governor, corrected: int
) -> None:
    """S9: Settle with usage corrects again; the amount above the lowest correction is unguarded."""
    governor = verified_governor
    held = await governor.authorize()
    unknown = (await governor.settle(held)).entry
    await adjust(governor, unknown, corrected)
    trued_up = await governor.settle(held, USAGE)
    assert (trued_up.entry.kind, trued_up.entry.cost_nano_usd) == (ADJUSTMENT, COST - corrected)
    unguarded = max(0, COST - corrected)
    assert await figures(governor) == (COST, 0, unguarded)
    assert await violations(governor) == []

    # A later Adjust changes the cost again.
    await adjust(governor, unknown, 42)
    assert (await governor.settle(held, USAGE)).entry == trued_up.entry
    assert await figures(governor) == (42, 0, min(42, unguarded))


async def test_true_up_against_adjust_at_once(verified_governor: Governor) -> None:
    """S2: the later of the two decides, and the sum is one of the two costs, never a mixture."""
    governor = verified_governor
    for _ in range(10):
        held = await governor.authorize()
        unknown = (await governor.settle(held)).entry
        before = (await figures(governor))[0] - HOLD
        await asyncio.gather(governor.settle(held, USAGE), adjust(governor, unknown, 5))
        cost = (await figures(governor))[0] - before
        assert cost in (COST, 5)
        await adjust(governor, unknown, 5)


async def test_an_adjustment_is_not_adjusted(governor: Governor) -> None:
    """An ADJUSTMENT is refused as a target; only its original can be corrected."""
    correction = await adjust(governor, await settled(governor), 1)
    refused = await refusal(adjust(governor, correction, 2))
    assert (refused.reason, refused.fields[0].field) == ("INVALID_FIELD", "entry_id")


@pytest.mark.own_world
async def test_another_organizations_entry_is_not_found(governor: Governor) -> None:
    """The refusal is word for word that of a missing entry."""
    entry = await settled(governor)
    foreign = await refusal(adjust(governor, entry, 1, organization_id=new_id()))
    absent = await refusal(adjust(governor, entry, 1, entry_id=new_id()))
    assert (foreign.reason, foreign.message) == ("ENTRY_NOT_FOUND", absent.message)
    assert absent.reason == "ENTRY_NOT_FOUND"
    assert len(await governor.sql("SELECT FROM organizations")) == 1


async def test_the_same_request_adjusts_once(verified_governor: Governor) -> None:
    """S8: a replay gets the same entry, also after later corrections; other content is refused."""
    governor = verified_governor
    entry = await settled(governor)
    request = governor_pb2.AdjustRequest(
        organization_id=governor.organization_id,
        request_id=new_id(),
        entry_id=entry.entry_id,
        corrected_cost_nano_usd=1,
        reason="test",
    )
    first = await governor.stub.Adjust(request)
    await adjust(governor, entry, 2)
    assert await governor.stub.Adjust(request) == first
    assert await figures(governor) == (2, 0, 1)
    request.corrected_cost_nano_usd = 3
    assert (await refusal(governor.stub.Adjust(request))).reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"organization_id": ""}, "organization_id", "INVALID_FIELD"),
        ({"request_id": ""}, "request_id", "INVALID_FIELD"),
        ({"entry_id": "{nonsense}"}, "entry_id", "INVALID_FIELD"),
        ({"corrected_cost_nano_usd": -1}, "corrected_cost_nano_usd", "INVALID_FIELD"),
        ({"corrected_cost_nano_usd": 10**15 + 1}, "corrected_cost_nano_usd", "VALUE_TOO_LARGE"),
        ({"reason": ""}, "reason", "INVALID_FIELD"),
        ({"reason": "x" * 1025}, "reason", "INVALID_FIELD"),
        ({"reason": "a\0b"}, "reason", "INVALID_FIELD"),
    ],
)
async def test_bad_input_changes_nothing(
    governor: Governor, changes: dict[str, Any], field: str, reason: str
) -> None:
    """A bad field is refused with an error that names it."""
    entry = await record(governor)
    refused = await refusal(adjust(governor, entry, changes.pop("corrected_cost_nano_usd", 1), **changes))
    assert (refused.reason, refused.fields[0].field) == (reason, field)
    assert await governor.entries() == [entry]
