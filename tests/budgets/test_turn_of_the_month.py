"""A month changes by the database's clock, in UTC, whatever the time is at the service or the caller."""

from __future__ import annotations

import asyncpg
import pytest

from infin8.governor.v1 import budget_pb2, entry_pb2
from tests.budgets.conftest import HOLD, at_time, serving, set_budget, set_label_budget
from tests.governor.conftest import Governor

BEFORE, AFTER = "2031-11-30T23:58:00+00:00", "2031-12-01T00:01:00+00:00"
NOVEMBER, DECEMBER = "2031-11-01T00:00:00Z", "2031-12-01T00:00:00Z"
USAGE = entry_pb2.Usage(input_tokens=1000, output_tokens=100)


def months(budgets: list[budget_pb2.BudgetStatus]) -> list[tuple[str, int, int]]:
    """Month, spent and held of the budgets that have a month."""
    return [
        (b.period_start.ToJsonString(), b.spent_nano_usd, b.held_nano_usd)
        for b in budgets
        if b.HasField("period_start")
    ]


async def test_a_hold_of_november_settles_in_november(governor_dsn: str) -> None:
    """I13: a hold keeps its month after the month has changed; December starts at zero."""
    async with serving(at_time(governor_dsn, BEFORE)) as november:
        await set_label_budget(november, "team=growth", budget_pb2.BUDGET_PERIOD_MONTH, 2 * HOLD)
        held = await november.authorize(labels={"team": "growth"})
        assert held.period_start.ToJsonString() == NOVEMBER
        assert months(list(held.budgets)) == [(NOVEMBER, 0, HOLD)] * 2

        async with serving(at_time(governor_dsn, AFTER)) as december:
            december.organization_id = november.organization_id
            assert months([await december.month_budget()]) == [(DECEMBER, 0, 0)]
            settled = await december.settle(held, USAGE)
            assert settled.entry.period_start.ToJsonString() == NOVEMBER
            assert list(settled.entry.flags) == []
            assert months(list(settled.budgets)) == [(NOVEMBER, 1_200_000, 0)] * 2
            assert months([await december.month_budget()]) == [(DECEMBER, 0, 0)]

            # November's spend reduces neither the month's nor the label's limit of December.
            fresh = await december.authorize(labels={"team": "growth"})
            assert fresh.period_start.ToJsonString() == DECEMBER
            assert months(list(fresh.budgets)) == [(DECEMBER, 0, HOLD)] * 2
        assert months([await november.month_budget()]) == [(NOVEMBER, 1_200_000, 0)]


async def test_a_void_after_the_turn_gives_back_to_november(governor_dsn: str) -> None:
    """A void after the change of month releases November's budget and leaves December's alone."""
    async with serving(at_time(governor_dsn, BEFORE)) as november:
        held = await november.authorize()
    async with serving(at_time(governor_dsn, AFTER)) as december:
        december.organization_id = november.organization_id
        await december.authorize()
        voided = await december.void(held)
        assert months(list(voided.budgets)) == [(NOVEMBER, 0, 0)]
        assert months([await december.month_budget()]) == [(DECEMBER, 0, HOLD)]


async def test_a_standing_limit_applies_in_december(governor_dsn: str) -> None:
    """A standing limit applies in December; a limit for November alone does not."""
    async with serving(at_time(governor_dsn, BEFORE)) as november:
        scope = budget_pb2.BUDGET_SCOPE_ORGANIZATION
        await set_budget(november, scope=scope, limit_nano_usd=5 * HOLD)
        this_month = (await november.month_budget()).period_start
        await set_budget(november, scope=scope, limit_nano_usd=3 * HOLD, period_start=this_month)
        assert (await november.authorize()).budgets[0].limit_nano_usd == 3 * HOLD
    async with serving(at_time(governor_dsn, AFTER)) as december:
        december.organization_id = november.organization_id
        assert (await december.authorize()).budgets[0].limit_nano_usd == 5 * HOLD


@pytest.mark.parametrize(
    ("database_time", "month"),
    [("2031-11-30T23:30:00+00:00", NOVEMBER), ("2031-12-01T00:30:00+00:00", DECEMBER)],
)
async def test_clocks_an_hour_apart(governor_dsn: str, database_time: str, month: str) -> None:
    """The database's month counts, although the clocks of service and caller differ from it by years."""
    async with serving(at_time(governor_dsn, database_time)) as governor:
        held = await governor.authorize()
        assert held.period_start.ToJsonString() == month
        assert (await governor.month_budget()).period_start.ToJsonString() == month
        assert (await governor.settle(held, USAGE)).entry.period_start.ToJsonString() == month


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles", "UTC"])
async def test_a_month_is_in_utc(governor: Governor, zone: str) -> None:
    """A month begins and ends in UTC, whatever the session's time zone."""
    connection = await asyncpg.connect(governor.dsn, server_settings={"timezone": zone})
    try:
        for time, month in ((BEFORE, "2031-11"), (AFTER, "2031-12")):
            assert await connection.fetchval("SELECT month_of($1::text::timestamptz)", time) == month
    finally:
        await connection.close()
