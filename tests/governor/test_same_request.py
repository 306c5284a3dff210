"""Two requests under one request_id are the same if they have the same meaning, however they are written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from infin8.governor.v1 import authorization_pb2, budget_pb2, budget_service_pb2, entry_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from infin8.governor.v1 import pricing_service_pb2 as pricing_pb2
from tests.governor.conftest import MINI, SONAR, Governor, new_id, refusal

Changes = dict[str, Any]

# Fields of the first request, of one with the same meaning, and of one with another meaning.
AUTHORIZE: list[tuple[Changes, Changes, Changes]] = [
    ({"models": [SONAR]}, {"models": ["Perplexity/Sonar:online"]}, {"models": [MINI]}),
    ({"models": [SONAR, MINI]}, {"models": [SONAR, "gpt-4o-mini", SONAR]}, {"models": [MINI, SONAR]}),
    ({}, {"requests_max": 1}, {"requests_max": 2}),
    ({}, {"hold_duration": Duration(seconds=600)}, {"hold_duration": Duration(seconds=601)}),
    ({"hold_duration": Duration(seconds=9)}, {"hold_duration": Duration(seconds=9, nanos=999)}, {}),
    (
        {},
        {"on_expiry": authorization_pb2.EXPIRY_ACTION_RELEASE},
        {"on_expiry": authorization_pb2.EXPIRY_ACTION_CHARGE},
    ),
    ({}, {"output_tokens_min": 700}, {"output_tokens_min": 699}),
    ({"labels": {"a": "1", "b": "2"}}, {"labels": {"b": "2", "a": "1"}}, {"labels": {"a": "1"}}),
]
USAGE: dict[str, Any] = {"input_tokens": 100, "output_tokens": 10}
SETTLE: list[tuple[Changes, Changes, Changes]] = [
    ({}, {"usage": entry_pb2.Usage(**USAGE, requests=1)}, {"usage": entry_pb2.Usage(**USAGE, requests=2)}),
    ({}, {"served_model": SONAR}, {"served_model": MINI}),
    ({"served_model": "Sonar"}, {}, {"served_model": "unknown/model"}),
    ({"served_model": MINI}, {"served_model": "OpenAI/gpt-4o-mini@azure"}, {}),
    ({"provider_cost_nano_usd": 0}, {"provider_cost_nano_usd": 0}, {}),
    ({"provider_generation_id": "gen-1"}, {"provider_generation_id": "gen-1"}, {}),
]


def upper(request: Any) -> Any:
    """The same request with its ids in capitals."""
    for name in request.DESCRIPTOR.fields_by_name:
        if name.endswith("_id") and name != "provider_generation_id":
            setattr(request, name, getattr(request, name).upper())
    return request


@pytest.mark.parametrize(("first", "same", "other"), AUTHORIZE)
async def test_authorize(governor: Governor, first: Changes, same: Changes, other: Changes) -> None:
    """Other spellings, explicit defaults and another order are the same request."""
    request_id = new_id()
    held = await governor.authorize(request_id=request_id, **first)
    again = await governor.authorize(request_id=request_id, **same)
    assert (again.authorization_id, again.replayed) == (held.authorization_id, True)
    capitals = await governor.stub.Authorize(upper(governor.authorize_request(request_id=request_id, **same)))
    assert (capitals.authorization_id, capitals.replayed) == (held.authorization_id, True)
    refused = await refusal(governor.authorize(request_id=request_id, **other))
    assert refused.reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize("known_late", [False, True])
@pytest.mark.parametrize(("first", "same", "other"), SETTLE)
async def test_settle(
    governor: Governor, known_late: bool, first: Changes, same: Changes, other: Changes
) -> None:
    """The comparison is the same after a settlement as unknown."""
    held = await governor.authorize()
    if known_late:
        await governor.settle(held)

    def request(changes: Changes) -> governor_pb2.SettleRequest:
        return governor_pb2.SettleRequest(
            organization_id=governor.organization_id,
            authorization_id=held.authorization_id,
            **usage | changes,
        )

    usage: Changes = {"usage": entry_pb2.Usage(**USAGE)}
    settled = await governor.stub.Settle(request(first))
    again = await governor.stub.Settle(request(same))
    assert (again.replayed, again.entry) == (True, settled.entry)
    capitals = await governor.stub.Settle(upper(request(same)))
    assert (capitals.replayed, capitals.entry) == (True, settled.entry)
    refused = await refusal(governor.stub.Settle(request(other)))
    assert refused.reason == "AUTHORIZATION_NOT_PENDING"
    assert len(await governor.entries()) == 1 + known_late


async def test_settle_twice_in_one_batch(governor: Governor) -> None:
    """An item is compared with the earlier items of its batch too."""
    held = await governor.authorize()
    items = [
        governor_pb2.SettleRequest(
            organization_id=governor.organization_id,
            authorization_id=held.authorization_id,
            served_model=model,
            usage=entry_pb2.Usage(**USAGE, requests=requests),
        )
        for model, requests in (("", 0), (SONAR, 1), (MINI, 1))
    ]
    answer = await governor.stub.BatchSettle(governor_pb2.BatchSettleRequest(items=items))
    assert [result.result.replayed for result in answer.results[:2]] == [False, True]
    assert answer.results[2].error.metadata["state"] == "SETTLED"


@pytest.mark.parametrize(
    ("first", "same", "other"),
    [
        ({"served_model": SONAR}, {"served_model": "sonar"}, {"served_model": MINI}),
        (
            {"usage": entry_pb2.Usage(input_tokens=1)},
            {"usage": entry_pb2.Usage(input_tokens=1, requests=1)},
            {"usage": entry_pb2.Usage(input_tokens=1, requests=2)},
        ),
        (
            {"labels": {"a": "1", "b": "2"}},
            {"labels": {"b": "2", "a": "1"}},
            {"labels": {"a": "2", "b": "1"}},
        ),
        ({}, {}, {"provider_cost_nano_usd": 0}),
    ],
)
async def test_record_usage(governor: Governor, first: Changes, same: Changes, other: Changes) -> None:
    """All requests with the same meaning get the entry of the first."""

    def request(changes: Changes) -> governor_pb2.RecordUsageRequest:
        content: Changes = {
            "organization_id": governor.organization_id,
            "workflow_id": governor.workflow_id,
            "request_id": request_id,
            "served_model": SONAR,
            "usage": entry_pb2.Usage(input_tokens=5),
        }
        return governor_pb2.RecordUsageRequest(**content | changes)

    request_id = new_id()
    entry = await governor.stub.RecordUsage(request(first))
    assert await governor.stub.RecordUsage(request(same)) == entry
    assert await governor.stub.RecordUsage(upper(request(same))) == entry
    assert (await refusal(governor.stub.RecordUsage(request(other)))).reason == "REQUEST_ID_REUSED"


async def test_adjust(governor: Governor) -> None:
    """Ids in capitals are the same ids."""
    held = await governor.authorize()
    settled = await governor.settle(held, entry_pb2.Usage(**USAGE))

    def request(cost: int) -> governor_pb2.AdjustRequest:
        return governor_pb2.AdjustRequest(
            organization_id=governor.organization_id,
            request_id=request_id,
            entry_id=settled.entry.entry_id,
            corrected_cost_nano_usd=cost,
            reason="billed otherwise",
        )

    request_id = new_id()
    adjusted = await governor.stub.Adjust(request(7))
    assert await governor.stub.Adjust(upper(request(7))) == adjusted
    assert (await refusal(governor.stub.Adjust(request(8)))).reason == "REQUEST_ID_REUSED"


@pytest.mark.own_world
async def test_what_is_set(governor: Governor) -> None:
    """The same holds for budgets, organizations, tiers, freezes and prices."""
    month, later = Timestamp(seconds=1_790_812_800), Timestamp(seconds=1_792_000_000)  # both in one month
    tier = {"tier": "gold", "allowed_models": [SONAR, MINI]}

    def budget(**changes: Any) -> Awaitable[Any]:
        content = {"scope": budget_pb2.BUDGET_SCOPE_ORGANIZATION, "limit_nano_usd": 10**9} | changes
        return governor.budgets.SetBudget(
            budget_service_pb2.SetBudgetRequest(
                organization_id=governor.organization_id, request_id=request_id, **content
            )
        )

    def organization(paths: list[str], **values: Any) -> Awaitable[Any]:
        return governor.budgets.SetOrganization(
            budget_service_pb2.SetOrganizationRequest(
                organization=budget_service_pb2.Organization(
                    organization_id=governor.organization_id, **values
                ),
                update_mask=FieldMask(paths=paths),
                request_id=request_id,
            )
        )

    def set_tier(**changes: Any) -> Awaitable[Any]:
        return governor.budgets.SetTier(
            budget_service_pb2.SetTierRequest(
                tier=budget_service_pb2.Tier(**tier | changes), request_id=request_id
            )
        )

    def freeze(**changes: Any) -> Awaitable[Any]:
        content: Changes = {"model": SONAR, "frozen": True, "reason": "a runaway agent"} | changes
        return governor.budgets.SetFreeze(
            budget_service_pb2.SetFreezeRequest(request_id=request_id, **content)
        )

    def price(**changes: Any) -> Awaitable[Any]:
        content: Changes = {"model": "acme/new", "input_nano_usd_per_mtok": 5} | changes
        return governor.prices.CreatePrice(pricing_pb2.CreatePriceRequest(request_id=request_id, **content))

    limit = {"workflow_limit_nano_usd": 5}
    cases: list[tuple[Callable[[], Awaitable[Any]], ...]] = [
        (
            lambda: budget(period_start=month),
            lambda: budget(period_start=later, period=budget_pb2.BUDGET_PERIOD_MONTH),
            lambda: budget(),
        ),
        (
            lambda: organization(["tier", "workflow_limit_nano_usd"], **limit),
            lambda: organization(["workflow_limit_nano_usd", "tier"], tier="default", **limit),
            lambda: organization(["*"], **limit),
        ),
        (
            lambda: set_tier(),
            lambda: set_tier(allowed_models=["gpt-4o-mini", SONAR]),
            lambda: set_tier(tier="a"),
        ),
        (
            lambda: freeze(),
            lambda: freeze(model="Sonar", allow_unpriced=True),
            lambda: freeze(frozen=False),
        ),
        (
            lambda: price(),
            lambda: price(model="Acme/New:free", source="CreatePrice"),
            lambda: price(cached_input_nano_usd_per_mtok=5),
        ),
    ]
    for first, same, other in cases:
        request_id = new_id()
        done = await first()
        assert await same() == done
        request_id = request_id.upper()
        assert await same() == done
        assert (await refusal(other())).reason == "REQUEST_ID_REUSED"
