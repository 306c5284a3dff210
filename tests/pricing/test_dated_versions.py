"""Prices that the list dates for later take effect by themselves: Google's change on 2026-12-01."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from governor_service.__main__ import running
from governor_service.settings import GovernorSettings
from infin8.governor.v1 import authorization_pb2, entry_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from infin8.governor.v1.pricing_service_pb2 import GetPriceRequest
from tests.budgets.conftest import at_time
from tests.governor.conftest import Governor, new_id

MODEL = "google-direct/gemini-4-argon"
"""2 and 10 USD for a million tokens until then, 4 and 20 from then on."""


@asynccontextmanager
async def _governor_at(dsn: str, time: str, organization_id: str) -> AsyncIterator[Governor]:
    """A governor whose clock shows a time when it starts, and runs on from there."""
    settings = GovernorSettings.model_validate(
        {"database_url": at_time(dsn, time), "port": 0, "sweep_interval_seconds": 86_400}
    )
    async with running(settings) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Governor(channel, dsn, organization_id=organization_id, workflow_id=organization_id)


async def _authorize(governor: Governor, **price_context: str) -> authorization_pb2.Authorization:
    """A hold of 2,000 input and 1,000 output tokens."""
    return await governor.stub.Authorize(
        governor.authorize_request(
            models=[MODEL],
            input_tokens_max=2_000,
            output_tokens_max=1_000,
            price_context=price_context,
        )
    )


async def test_google_changes_its_prices_in_december(governor_dsn: str) -> None:
    """From midnight UTC on, calls are held and rated at the new price, and batches too. No version is
    written for it, and a hold that was placed before keeps its price."""
    organization_id = new_id()
    async with _governor_at(governor_dsn, "2026-11-30T23:59:00+00:00", organization_id) as governor:
        before = await _authorize(governor)
        assert before.held_nano_usd == 2_000 * 2_000 + 1_000 * 10_000
        assert (await _authorize(governor, processing="batch")).held_nano_usd == 7_000_000
        versions = await governor.sql("SELECT price_id FROM prices ORDER BY price_id")
    async with _governor_at(governor_dsn, "2026-12-01T00:00:00+00:00", organization_id) as governor:
        after = await _authorize(governor)
        assert after.held_nano_usd == 2 * before.held_nano_usd
        assert (await _authorize(governor, processing="batch")).held_nano_usd == 14_000_000
        costs = []
        for hold in (before, after):
            settled = await governor.stub.Settle(
                governor_pb2.SettleRequest(
                    organization_id=organization_id,
                    authorization_id=hold.authorization_id,
                    served_model=MODEL,
                    usage=entry_pb2.Usage(input_tokens=2_000, output_tokens=1_000, requests=1),
                )
            )
            costs.append(settled.entry.cost_nano_usd)
        assert costs == [14_000_000, 28_000_000]
        price = await governor.prices.GetPrice(GetPriceRequest(model=MODEL))
        assert price.effective_time.ToJsonString() == "2026-12-01T00:00:00Z"
        assert await governor.sql("SELECT price_id FROM prices ORDER BY price_id") == versions
