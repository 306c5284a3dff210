"""What is charged where the provider says what it billed: by the organization's cost basis, or its tier's."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from infin8.governor.v1 import budget_service_pb2, entry_pb2
from infin8.governor.v1.price_pb2 import (
    COST_BASIS_GREATER,
    COST_BASIS_PROVIDER,
    COST_BASIS_RATED,
    COST_BASIS_UNSPECIFIED,
    CostBasis,
)
from tests.budgets.conftest import set_organization, set_tier
from tests.governor.conftest import SONAR, Governor, new_id, refusal
from tests.ledger.conftest import adjust, figures, flags, record, violations

HOLD = 2_400_000
USAGE = entry_pb2.Usage(input_tokens=600, output_tokens=100, requests=1)
COST = 800_000
VARIANCE = "PROVIDER_VARIANCE"


async def charged(governor: Governor, usage: entry_pb2.Usage | None = USAGE, **changes: Any) -> Any:
    """The entry of one settled call of sonar with a hold of 2,400,000."""
    return (await governor.settle(await governor.authorize(), usage, **changes)).entry


@pytest.mark.parametrize(
    ("basis", "billed", "cost"),
    [
        (COST_BASIS_GREATER, None, COST),
        (COST_BASIS_GREATER, COST - 1, COST),
        (COST_BASIS_GREATER, COST + 1, COST + 1),
        (COST_BASIS_GREATER, 0, COST),
        (COST_BASIS_PROVIDER, None, COST),
        (COST_BASIS_PROVIDER, COST - 1, COST - 1),
        (COST_BASIS_PROVIDER, COST + 1, COST + 1),
        (COST_BASIS_PROVIDER, 0, 0),
        (COST_BASIS_RATED, None, COST),
        (COST_BASIS_RATED, COST - 1, COST),
        (COST_BASIS_RATED, COST + 1, COST),
        (COST_BASIS_RATED, 0, COST),
    ],
)
async def test_each_basis(
    governor: Governor, basis: CostBasis.ValueType, billed: int | None, cost: int
) -> None:
    """Both figures and the basis are stored whatever is charged, for a hold and for usage without one."""
    organization = await set_organization(governor, cost_basis=basis)
    assert organization.cost_basis == basis
    settled = await charged(governor, provider_cost_nano_usd=billed)
    recorded = await record(governor, provider_cost_nano_usd=billed)
    for entry in (settled, recorded):
        assert (entry.cost_nano_usd, entry.rated_cost_nano_usd, entry.cost_basis) == (cost, COST, basis)
        assert entry.HasField("provider_cost_nano_usd") == (billed is not None)
        assert (VARIANCE in flags(entry)) == (billed == 0)
    assert (await governor.workflow_budget()).spent_nano_usd == 2 * cost


@pytest.mark.parametrize(
    ("basis", "cost"),
    [(COST_BASIS_GREATER, COST), (COST_BASIS_PROVIDER, 0), (COST_BASIS_RATED, COST)],
)
async def test_a_free_variant(governor: Governor, basis: CostBasis.ValueType, cost: int) -> None:
    """`:free` has the price of the model itself. No name makes a call free, but a bill of 0 may."""
    await set_organization(governor, cost_basis=basis)
    held = await governor.authorize(models=[f"{SONAR}:free"])
    assert (held.model, held.held_nano_usd) == (SONAR, HOLD)
    settled = await governor.settle(held, USAGE, served_model=f"{SONAR}:free", provider_cost_nano_usd=0)
    assert (settled.entry.cost_nano_usd, flags(settled.entry)) == (cost, {VARIANCE})
    unbilled = await governor.settle(await governor.authorize(), USAGE, served_model=f"{SONAR}:free")
    assert (unbilled.entry.cost_nano_usd, flags(unbilled.entry)) == (COST, set())


@pytest.mark.parametrize(
    ("basis", "billed", "cost"),
    [
        (COST_BASIS_GREATER, None, HOLD),
        (COST_BASIS_GREATER, 0, HOLD),
        (COST_BASIS_GREATER, 5, 5),
        (COST_BASIS_PROVIDER, None, HOLD),
        (COST_BASIS_PROVIDER, 0, 0),
        (COST_BASIS_PROVIDER, 5, 5),
        (COST_BASIS_RATED, None, HOLD),
        (COST_BASIS_RATED, 0, HOLD),
        (COST_BASIS_RATED, 5, 5),
    ],
)
async def test_a_model_without_a_price(
    governor: Governor, basis: CostBasis.ValueType, billed: int | None, cost: int
) -> None:
    """The bill is charged, else the hold. A bill of 0 is believed with the basis PROVIDER only."""
    await set_organization(governor, cost_basis=basis)
    entry = await charged(governor, served_model="nobody/nothing", provider_cost_nano_usd=billed)
    assert (entry.cost_nano_usd, entry.rated_cost_nano_usd) == (cost, 0)
    assert flags(entry) == {"MODEL_DRIFT", "UNPRICED_MODEL"}


@pytest.mark.own_world
async def test_the_tier_decides_where_the_organization_does_not(governor: Governor) -> None:
    """A tier's basis is GREATER unless it says another; an organization may override it."""
    tier = await set_tier(governor, tier="pro", cost_basis=COST_BASIS_RATED)
    assert tier.cost_basis == COST_BASIS_RATED
    assert (await set_tier(governor, tier="plain")).cost_basis == COST_BASIS_GREATER
    billed: dict[str, Any] = {"provider_cost_nano_usd": COST + 5}
    assert (await charged(governor, **billed)).cost_basis == COST_BASIS_GREATER
    assert (await set_organization(governor, tier="pro")).cost_basis == COST_BASIS_UNSPECIFIED
    assert (await charged(governor, **billed)).cost_nano_usd == COST
    await set_organization(governor, cost_basis=COST_BASIS_PROVIDER)
    assert (await charged(governor, **billed)).cost_nano_usd == COST + 5
    # Other fields leave it as it is.
    await set_organization(governor, workflow_limit_nano_usd=10**12)
    assert (await charged(governor, **billed)).cost_basis == COST_BASIS_PROVIDER
    await set_organization(governor, "cost_basis")
    assert (await charged(governor, **billed)).cost_basis == COST_BASIS_RATED
    await set_tier(governor, tier="pro")
    assert (await charged(governor, **billed)).cost_basis == COST_BASIS_GREATER
    assert await violations(governor) == []


@pytest.mark.own_world
async def test_every_change_is_in_the_history(governor: Governor) -> None:
    """Tiers and organizations keep each basis with its author and time."""
    for basis in (COST_BASIS_RATED, COST_BASIS_UNSPECIFIED):
        await set_tier(governor, tier="pro", cost_basis=basis)
    for basis in (COST_BASIS_PROVIDER, COST_BASIS_UNSPECIFIED):
        await set_organization(governor, "cost_basis", cost_basis=basis)
    tiers = await governor.sql(
        "SELECT cost_basis::text, author FROM tier_changes WHERE tier = 'pro' ORDER BY change_time"
    )
    assert [tuple(row) for row in tiers] == [("RATED", "anonymous"), ("GREATER", "anonymous")]
    organizations = await governor.sql(
        "SELECT cost_basis::text, author FROM organization_changes WHERE organization_id = $1"
        " ORDER BY change_time",
        governor.organization_id,
    )
    assert [tuple(row) for row in organizations] == [("PROVIDER", "anonymous"), (None, "anonymous")]


@pytest.mark.own_world
async def test_replays(governor: Governor) -> None:
    """The basis is part of a request: GREATER of a tier is its default, another basis is other content."""
    request_id = new_id()
    made = await set_tier(governor, request_id, tier="pro")
    assert await set_tier(governor, request_id, tier="pro", cost_basis=COST_BASIS_GREATER) == made
    refused = await refusal(set_tier(governor, request_id, tier="pro", cost_basis=COST_BASIS_RATED))
    assert refused.reason == "REQUEST_ID_REUSED"
    changed = await set_organization(governor, cost_basis=COST_BASIS_RATED, request_id=request_id)
    await set_organization(governor, cost_basis=COST_BASIS_PROVIDER)
    assert await set_organization(governor, cost_basis=COST_BASIS_RATED, request_id=request_id) == changed
    refused = await refusal(set_organization(governor, cost_basis=COST_BASIS_PROVIDER, request_id=request_id))
    assert refused.reason == "REQUEST_ID_REUSED"


async def test_a_basis_that_there_is_not(governor: Governor) -> None:
    """An unknown value is refused with its field."""
    for call, field in (
        (set_tier(governor, tier="pro", cost_basis=99), "tier.cost_basis"),
        (set_organization(governor, cost_basis=99), "organization.cost_basis"),
    ):
        refused = await refusal(call)
        assert (refused.reason, refused.fields[0].field) == ("INVALID_FIELD", field)
    mask = FieldMask(paths=["cost_bases"])
    sent = budget_service_pb2.Organization(organization_id=governor.organization_id)
    request = budget_service_pb2.SetOrganizationRequest(organization=sent, update_mask=mask)
    assert (await refusal(governor.budgets.SetOrganization(request))).fields[0].field == "update_mask"


async def test_a_settled_call_keeps_its_basis(governor: Governor) -> None:
    """A later basis changes no entry and no replay. A true cost that comes later is charged by it."""
    held = [await governor.authorize() for _ in range(2)]
    billed = {"provider_cost_nano_usd": COST + 5}
    settled = await governor.settle(held[0], USAGE, **billed)
    unknown = await governor.settle(held[1])
    await set_organization(governor, cost_basis=COST_BASIS_RATED)
    again = await governor.settle(held[0], USAGE, **billed)
    assert (again.replayed, again.entry) == (True, settled.entry)
    assert (again.entry.cost_nano_usd, again.entry.cost_basis) == (COST + 5, COST_BASIS_GREATER)
    true_up = (await governor.settle(held[1], USAGE, **billed)).entry
    assert (true_up.cost_nano_usd, true_up.cost_basis) == (COST - HOLD, COST_BASIS_RATED)
    assert unknown.entry.cost_basis == COST_BASIS_GREATER
    assert (await adjust(governor, settled.entry, 7)).cost_basis == COST_BASIS_UNSPECIFIED


@pytest.mark.parametrize("billed", [None, 0, COST, HOLD + 10])
async def test_unknown_usage_and_then_the_usage(governor: Governor, billed: int | None) -> None:
    """A bill without usage is an entry of kind USAGE at that cost. Later usage makes one ADJUSTMENT."""
    held = await governor.authorize()
    unknown = (await governor.settle(held, provider_cost_nano_usd=billed)).entry
    first = HOLD if billed is None else billed
    kind = entry_pb2.ENTRY_KIND_UNKNOWN if billed is None else entry_pb2.ENTRY_KIND_USAGE
    flag = "UNKNOWN_OUTCOME" if billed is None else "USAGE_UNKNOWN"
    assert (unknown.kind, unknown.cost_nano_usd, unknown.rated_cost_nano_usd) == (kind, first, 0)
    assert flags(unknown) == {flag, *({"OVERAGE"} if first > HOLD else ())}
    assert unknown.usage == entry_pb2.Usage()
    assert await figures(governor) == (first, 0, max(first - HOLD, 0))
    # An unknown outcome that comes again is a replay, whatever it says of the cost.
    for again in (None, billed, 3):
        replay = await governor.settle(held, provider_cost_nano_usd=again)
        assert (replay.replayed, replay.entry) == (True, unknown)
    true_up = await governor.settle(held, USAGE, provider_cost_nano_usd=COST + 9)
    entry = true_up.entry
    assert (entry.kind, entry.adjusts_entry_id) == (entry_pb2.ENTRY_KIND_ADJUSTMENT, unknown.entry_id)
    assert (entry.cost_nano_usd, entry.rated_cost_nano_usd) == (COST + 9 - first, COST)
    assert (await governor.settle(held, USAGE, provider_cost_nano_usd=COST + 9)).replayed
    # A cost that a hold covered before is not guarded any more once an adjustment raises it.
    unguarded = max(COST + 9 - first, 0)
    assert await figures(governor) == (COST + 9, 0, unguarded)
    assert len(await governor.entries()) == 2
    other = entry_pb2.Usage(input_tokens=601, output_tokens=100)
    assert (await refusal(governor.settle(held, other))).reason == "AUTHORIZATION_NOT_PENDING"
