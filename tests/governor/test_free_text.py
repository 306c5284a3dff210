"""Reasons and sources take line breaks and tabs, in every request; names, labels and ids do not."""

from __future__ import annotations

from typing import Any

import pytest

from infin8.governor.v1 import budget_service_pb2, entry_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from infin8.governor.v1 import ledger_service_pb2 as ledger_pb2
from infin8.governor.v1 import pricing_service_pb2 as pricing_pb2
from tests.governor.conftest import SONAR, Governor, new_id, refusal

LINES = "first line\r\n\tsecond line\nthird"


async def calls(governor: Governor, text: str) -> dict[str, Any]:
    """Every RPC that takes free text, by its name and the field's name."""
    held, settled = await governor.authorize(), await governor.authorize()
    entry = (await governor.settle(settled, entry_pb2.Usage(input_tokens=100))).entry
    organization_id = governor.organization_id
    return {
        "Void reason": governor.stub.Void(
            governor_pb2.VoidRequest(
                organization_id=organization_id, authorization_id=held.authorization_id, reason=text
            )
        ),
        "Adjust reason": governor.stub.Adjust(
            governor_pb2.AdjustRequest(
                organization_id=organization_id,
                request_id=new_id(),
                entry_id=entry.entry_id,
                corrected_cost_nano_usd=1,
                reason=text,
            )
        ),
        "SetFreeze reason": governor.budgets.SetFreeze(
            budget_service_pb2.SetFreezeRequest(model=SONAR, frozen=True, reason=text)
        ),
        "CreatePrice source": governor.prices.CreatePrice(
            pricing_pb2.CreatePriceRequest(model="acme/new", input_nano_usd_per_mtok=1, source=text)
        ),
    }


@pytest.mark.own_world
async def test_free_text_has_lines(governor: Governor) -> None:
    """Free text with line breaks and tabs comes back as it was sent."""
    made = await calls(governor, LINES)
    answers = {name: await call for name, call in made.items()}
    assert answers["Adjust reason"].reason == LINES
    assert answers["SetFreeze reason"].reason == LINES
    assert answers["CreatePrice source"].source == LINES
    rows = await governor.sql("SELECT end_reason FROM authorizations WHERE state = 'VOIDED'")
    assert [row["end_reason"] for row in rows] == [LINES]


@pytest.mark.parametrize("text", ["a\0b", "a\rb", "a\x1b[2Jb", "a\u202eb", "x" * 1025])
async def test_free_text_has_no_other_controls(governor: Governor, text: str) -> None:
    """Other control characters, and texts above 1,024 characters, are refused."""
    for name, call in (await calls(governor, text)).items():
        refused = await refusal(call)
        named = [violation.field for violation in refused.fields]
        assert (refused.reason, named) == ("INVALID_FIELD", [name.split()[1]]), name


async def test_names_are_one_line(governor: Governor) -> None:
    """Labels, models, tiers and a provider's ids take no line breaks and tabs."""
    held = await governor.authorize()
    refused = {
        "labels": governor.authorize(labels={"team": "a\nb"}),
        "models[0]": governor.authorize(models=["a\tb"]),
        "provider_generation_id": governor.settle(held, provider_generation_id="a\nb"),
        "tier.tier": governor.budgets.SetTier(
            budget_service_pb2.SetTierRequest(tier=budget_service_pb2.Tier(tier="a\nb"))
        ),
        "label": governor.ledger.ListEntries(
            ledger_pb2.ListEntriesRequest(organization_id=governor.organization_id, label="a=b\nc")
        ),
        "model_prefix": governor.prices.ListPrices(pricing_pb2.ListPricesRequest(model_prefix="a\n")),
    }
    for name, call in refused.items():
        assert [violation.field for violation in (await refusal(call)).fields] == [name]
