"""Label budgets of both periods, month and lifetime, are decided together."""

from __future__ import annotations

import asyncio

import pytest

from infin8.governor.v1 import budget_pb2, budget_service_pb2, entry_pb2
from tests.budgets.conftest import HOLD, list_budgets, set_label_budget
from tests.budgets.test_limits_in_flight import attempt
from tests.governor.conftest import Governor, refusal

MONTH, LIFETIME = budget_pb2.BUDGET_PERIOD_MONTH, budget_pb2.BUDGET_PERIOD_LIFETIME
LABELS = {"team": "growth", "feature": "articles"}


async def set_four(governor: Governor, *limits_nano_usd: int) -> None:
    """Sets limits for the team and the feature, for the lifetime and by month."""
    names = [("feature=articles", LIFETIME), ("team=growth", LIFETIME), ("feature=articles", MONTH)]
    names.append(("team=growth", MONTH))
    for (subject, period), limit_nano_usd in zip(names, limits_nano_usd, strict=True):
        await set_label_budget(governor, subject, period, limit_nano_usd)


async def test_one_hold_sits_on_all_of_them(governor: Governor) -> None:
    """A hold is on six budgets, in the order of their keys, and settling moves exactly these."""
    await set_four(governor, 10 * HOLD, 10 * HOLD, 10 * HOLD, 10 * HOLD)
    held = await governor.authorize(labels=LABELS)
    assert [(b.subject, b.HasField("period_start"), b.held_nano_usd) for b in held.budgets] == [
        ("feature=articles", False, HOLD),
        ("team=growth", False, HOLD),
        ("feature=articles", True, HOLD),
        ("team=growth", True, HOLD),
        ("", True, HOLD),
        (governor.workflow_id, False, HOLD),
    ]
    settled = await governor.settle(held, entry_pb2.Usage(input_tokens=1000, output_tokens=100))
    assert {(b.spent_nano_usd, b.held_nano_usd) for b in settled.budgets} == {(1_200_000, 0)}
    assert len(settled.budgets) == 6


@pytest.mark.parametrize("tight", range(4))
async def test_one_denying_budget_denies_the_whole_hold(governor: Governor, tight: int) -> None:
    """One tight budget denies the hold, and then no other budget holds anything."""
    limits = [10 * HOLD] * 4
    limits[tight] = HOLD - 1
    await set_four(governor, *limits)
    refused = await refusal(governor.authorize(labels=LABELS))
    assert (refused.reason, refused.metadata["scope"]) == ("BUDGET_EXCEEDED", "LABEL")
    assert refused.metadata["limit_nano_usd"] == str(HOLD - 1)
    assert len(refused.quotas) == 1
    assert {b.held_nano_usd for b in (await list_budgets(governor)).budgets} == {0}


@pytest.mark.own_world
async def test_a_hundred_at_once_with_labels_in_any_order(governor: Governor) -> None:
    """Exactly the seven holds that the tightest budget allows are granted; label order causes no deadlock."""
    await set_four(governor, 10 * HOLD, 9 * HOLD, 8 * HOLD, 7 * HOLD)
    orders = [LABELS, dict(reversed(LABELS.items()))]
    answers = await asyncio.gather(*(attempt(governor, labels=orders[n % 2]) for n in range(100)))
    assert sum(answer is not None for answer in answers) == 7
    budgets = (await list_budgets(governor)).budgets
    assert {budget.held_nano_usd for budget in budgets} == {7 * HOLD}
    (row,) = await governor.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert row["deadlocks"] == 0


async def test_a_limit_for_every_month_is_found_by_the_month(governor: Governor) -> None:
    """The period in an answer finds the same budget when it is sent back."""
    standing = await set_label_budget(governor, "team=growth", MONTH, HOLD)
    found = await governor.budgets.GetBudget(
        budget_service_pb2.GetBudgetRequest(
            organization_id=governor.organization_id,
            scope=budget_pb2.BUDGET_SCOPE_LABEL,
            subject="team=growth",
            period=MONTH,
            period_start=standing.period_start,
        )
    )
    assert found == standing


async def test_a_hold_ends_on_the_budgets_it_was_placed_on(governor: Governor) -> None:
    """A budget that is set after the hold neither releases nor spends anything when the hold ends."""
    held = await governor.authorize(labels=LABELS)
    await set_four(governor, *[10 * HOLD] * 4)
    await governor.settle(held, entry_pb2.Usage(input_tokens=1000, output_tokens=100))
    labels = (await list_budgets(governor, scope=budget_pb2.BUDGET_SCOPE_LABEL)).budgets
    assert {(b.spent_nano_usd, b.held_nano_usd) for b in labels} == {(0, 0)}
    assert (await governor.month_budget()).spent_nano_usd == 1_200_000
