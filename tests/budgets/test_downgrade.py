"""S14: past a threshold of the month's limit the cheapest model is granted, and the answer says why."""

from __future__ import annotations

import pytest

from tests.budgets.conftest import HOLD, check_budget, set_organization, set_tier
from tests.governor.conftest import MINI, SONAR, Governor

pytestmark = pytest.mark.own_world


@pytest.mark.parametrize(
    ("monthly_quota_nano_usd", "threshold_percent", "granted"),
    [
        # One hold is open; the threshold is 2,400,000 exactly, or one nano-dollar below.
        pytest.param(2 * HOLD, 50, SONAR, id="at the threshold"),
        pytest.param(2 * HOLD - 2, 50, MINI, id="one past the threshold"),
        pytest.param(100 * HOLD, 1, SONAR, id="at one percent"),
        pytest.param(100 * HOLD - 100, 1, MINI, id="one past one percent"),
        pytest.param(2 * HOLD, 100, SONAR, id="half of all"),
    ],
)
async def test_downgrade_begins_above_the_threshold(
    governor: Governor, monthly_quota_nano_usd: int, threshold_percent: int, granted: str
) -> None:
    """Spent + held before the new hold is compared, in integers, with the threshold of the limit in force."""
    await governor.authorize()
    await set_tier(
        governor,
        tier="pro",
        monthly_quota_nano_usd=monthly_quota_nano_usd,
        downgrade_threshold_percent=threshold_percent,
    )
    await set_organization(governor, tier="pro")
    assert (await check_budget(governor, models=[SONAR, MINI])).model == granted
    held = await governor.authorize(models=[SONAR, MINI])
    assert (held.model, held.downgraded) == (granted, granted == MINI)
    reason = f"the month is past {threshold_percent}% of its quota: the cheapest candidate comes first"
    assert held.downgrade_reason == (reason if granted == MINI else "")


async def test_an_override_moves_the_threshold(governor: Governor) -> None:
    """The percentage applies to the limit in force, also when an override sets that limit."""
    await set_tier(governor, tier="pro", monthly_quota_nano_usd=2 * HOLD, downgrade_threshold_percent=50)
    await set_organization(governor, tier="pro", monthly_quota_nano_usd=100 * HOLD)
    for _ in range(3):
        assert (await governor.authorize(models=[SONAR, MINI])).model == SONAR


async def test_a_single_candidate_is_never_replaced(governor: Governor) -> None:
    """A model that was not asked for is never granted; a first candidate that is cheapest is no downgrade."""
    await set_tier(governor, tier="pro", monthly_quota_nano_usd=10 * HOLD, downgrade_threshold_percent=1)
    await set_organization(governor, tier="pro")
    await governor.authorize()
    held = await governor.authorize()
    assert (held.model, held.downgraded) == (SONAR, False)
    held = await governor.authorize(models=[MINI, SONAR])
    assert (held.model, held.downgraded) == (MINI, False)


async def test_without_a_limit_there_is_no_threshold(governor: Governor) -> None:
    """Without a monthly limit there is no downgrade."""
    await set_tier(governor, tier="free", downgrade_threshold_percent=1)
    await set_organization(governor, tier="free")
    await governor.authorize()
    assert (await governor.authorize(models=[SONAR, MINI])).model == SONAR
