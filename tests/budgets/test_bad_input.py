"""BudgetService refuses bad input with an error that names the field, and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.budgets.conftest import get_organization, list_budgets, set_freeze, set_organization, set_tier
from tests.governor.conftest import Governor, new_id, refusal

pytestmark = pytest.mark.own_world

TOO_LARGE = "VALUE_TOO_LARGE"
LIMIT_MAX = 10**17
BAD_IDS = ["", "nonsense", "{7d0b8c1e-6f6a-4b52-9a51-0c1f7e1f9a11}", "00000000-0000-0000-0000-000000000000"]


async def invalid(governor: Governor, call: Any, field: str, reason: str | None = None) -> None:
    """Asserts a refusal with the field's path, and that no row was added."""
    refused = await refusal(call)
    assert (refused.reason, [violation.field for violation in refused.fields]) == (
        reason or "INVALID_FIELD",
        [field],
    )
    for table in ("organizations", "organization_changes", "freezes", "freeze_changes", "request_ids"):
        assert await governor.sql(f"SELECT FROM {table}") == []
    assert len(await governor.sql("SELECT FROM tier_changes")) == 1


@pytest.mark.parametrize("value", BAD_IDS)
async def test_ids(governor: Governor, value: str) -> None:
    """Only canonical UUIDs are accepted, and the nil UUID is refused."""
    governor.organization_id = value
    await invalid(governor, list_budgets(governor), "organization_id")
    await invalid(governor, get_organization(governor), "organization_id")
    await invalid(governor, set_organization(governor), "organization.organization_id")
    await invalid(governor, set_freeze(governor, organization_id=value), "organization_id")


@pytest.mark.parametrize(
    ("paths", "values", "field", "reason"),
    [
        ((), {"tier": "x" * 201}, "organization.tier", None),
        ((), {"tier": "a\0b"}, "organization.tier", None),
        ((), {"tier": "a\u202eb"}, "organization.tier", None),
        ((), {"tier": "  "}, "organization.tier", None),
        ((), {"workflow_limit_nano_usd": -1}, "organization.workflow_limit_nano_usd", None),
        (("*",), {"monthly_quota_nano_usd": -1}, "organization.monthly_quota_nano_usd", None),
        (
            ("monthly_quota_nano_usd",),
            {"monthly_quota_nano_usd": LIMIT_MAX + 1},
            "organization.monthly_quota_nano_usd",
            TOO_LARGE,
        ),
        (("author",), {}, "update_mask", None),
        (("tier", "create_time"), {}, "update_mask", None),
        (("organization.tier",), {}, "update_mask", None),
        (("",), {}, "update_mask", None),
    ],
)
async def test_fields_of_set_organization(
    governor: Governor, paths: tuple[str, ...], values: dict[str, Any], field: str, reason: str | None
) -> None:
    """A mask cannot name the author, because the author comes from the credentials."""
    await invalid(governor, set_organization(governor, *paths, **values), field, reason)


@pytest.mark.parametrize(
    ("terms", "field", "reason"),
    [
        ({"tier": ""}, "tier.tier", None),
        ({"tier": "x" * 201}, "tier.tier", None),
        ({"tier": "a\nb"}, "tier.tier", None),
        ({"workflow_limit_nano_usd": -1}, "tier.workflow_limit_nano_usd", None),
        ({"workflow_limit_nano_usd": LIMIT_MAX + 1}, "tier.workflow_limit_nano_usd", TOO_LARGE),
        ({"monthly_quota_nano_usd": -1}, "tier.monthly_quota_nano_usd", None),
        ({"subscription_price_nano_usd": -1}, "tier.subscription_price_nano_usd", None),
        ({"subscription_price_nano_usd": 2**63 - 1}, "tier.subscription_price_nano_usd", TOO_LARGE),
        ({"downgrade_threshold_percent": 0}, "tier.downgrade_threshold_percent", None),
        ({"downgrade_threshold_percent": -1}, "tier.downgrade_threshold_percent", None),
        ({"downgrade_threshold_percent": 101}, "tier.downgrade_threshold_percent", TOO_LARGE),
        ({"allowed_models": ["perplexity/sonar", ""]}, "tier.allowed_models[1]", None),
        ({"allowed_models": ["a b"]}, "tier.allowed_models[0]", None),
        ({"allowed_models": [":free"]}, "tier.allowed_models[0]", None),
        ({"allowed_models": ["x" * 201]}, "tier.allowed_models[0]", None),
        ({"allowed_models": [f"a/{n}" for n in range(1001)]}, "tier.allowed_models", None),
    ],
)
async def test_fields_of_set_tier(
    governor: Governor, terms: dict[str, Any], field: str, reason: str | None
) -> None:
    """A bad field is refused before anything is looked up."""
    await invalid(governor, set_tier(governor, **({"tier": "pro"} | terms)), field, reason)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, "target"),
        ({"everything": False}, "everything"),
        ({"model": ""}, "model"),
        ({"model": "a b"}, "model"),
        ({"model": ":free"}, "model"),
        ({"everything": True, "reason": ""}, "reason"),
        ({"everything": True, "reason": " \n"}, "reason"),
        ({"everything": True, "reason": "x" * 1025}, "reason"),
        ({"everything": True, "reason": "a\0b"}, "reason"),
        ({"everything": True, "frozen": False, "reason": ""}, "reason"),
        ({"everything": True, "request_id": "nonsense"}, "request_id"),
    ],
)
async def test_fields_of_set_freeze(governor: Governor, changes: dict[str, Any], field: str) -> None:
    """A reason is required to freeze and to lift a freeze."""
    await invalid(governor, set_freeze(governor, **changes), field)


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"scope": 9}, "scope", None),
        ({"page_size": -1}, "page_size", None),
        ({"page_size": 1001}, "page_size", TOO_LARGE),
        ({"page_token": "nonsense"}, "page_token", None),
    ],
)
async def test_fields_of_list_budgets(
    governor: Governor, changes: dict[str, Any], field: str, reason: str | None
) -> None:
    """Every bound of the list is checked."""
    await invalid(governor, list_budgets(governor, **changes), field, reason)


async def test_the_largest_that_is_accepted(governor: Governor) -> None:
    """A value at its bound is accepted and returned unchanged."""
    tier = await set_tier(
        governor,
        tier="x" * 200,
        workflow_limit_nano_usd=LIMIT_MAX,
        monthly_quota_nano_usd=LIMIT_MAX,
        subscription_price_nano_usd=LIMIT_MAX,
        downgrade_threshold_percent=100,
        allowed_models=[f"vendor/{n:0193}" for n in range(1000)],
        request_id=new_id(),
    )
    assert (tier.monthly_quota_nano_usd, len(tier.allowed_models)) == (LIMIT_MAX, 1000)
    organization = await set_organization(governor, tier="x" * 200, workflow_limit_nano_usd=LIMIT_MAX)
    assert organization.workflow_limit_nano_usd == LIMIT_MAX
