"""EstimateCost: the cost of given usage or of a month's usage at any time's prices; nothing is charged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from infin8.governor.v1 import entry_pb2
from infin8.governor.v1.governor_service_pb2 import AdjustRequest
from infin8.governor.v1.pricing_service_pb2 import (
    CreatePriceRequest,
    EstimateCostRequest,
    EstimateCostResponse,
    ModelUsage,
)
from tests.governor.conftest import MINI, SONAR, Governor, governor, new_id, refusal
from tests.ledger.conftest import record
from tests.pricing.tariffs import SONNET, TOKEN, enter, rate

pytestmark = pytest.mark.own_world

__all__ = ["governor"]

USAGE = entry_pb2.Usage(input_tokens=600, output_tokens=100, requests=1)


def time_at(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


async def dearer_sonar(governor: Governor, effective_time: Timestamp | None = None) -> None:
    """Sonar at 2,000.5 nano-USD an input token, 4,000 an output token, and 1,000 a request."""
    await governor.prices.CreatePrice(
        CreatePriceRequest(
            model=SONAR,
            input_nano_usd_per_mtok=2_000_500_000,
            output_nano_usd_per_mtok=4_000_000_000,
            request_nano_usd=1_000,
            effective_time=effective_time,
            allow_unusual=True,
        )
    )


async def month(governor: Governor, at_time: Timestamp | None = None, **changes: Any) -> EstimateCostResponse:
    fields: dict[str, Any] = {
        "organization_id": governor.organization_id,
        "period_start": time_at(datetime.now(UTC)),
        "at_time": at_time,
    }
    return await governor.prices.EstimateCost(EstimateCostRequest(**(fields | changes)))


async def test_a_given_usage(governor: Governor) -> None:
    """Usage is priced by any variant of the model's id, at the present price or that of another time."""
    future = datetime.now(UTC) + timedelta(days=1)
    await dearer_sonar(governor, time_at(future))
    asked = ModelUsage(model="Perplexity/Sonar:online", usage=USAGE)
    now = await governor.prices.EstimateCost(EstimateCostRequest(usage=asked))
    # 600 × 1,000 + 100 × 2,000.
    assert now.cost_nano_usd == 800_000
    assert not now.HasField("charged_nano_usd")
    (part,) = now.models
    assert (part.model, part.cost_nano_usd, part.price.model) == (SONAR, 800_000, SONAR)
    then = await governor.prices.EstimateCost(EstimateCostRequest(usage=asked, at_time=time_at(future)))
    # 600 × 2,000.5 + 100 × 4,000 + 1,000.
    assert then.cost_nano_usd == 1_601_300
    assert await governor.entries() == []


async def test_the_largest_usage_at_the_highest_price(governor: Governor) -> None:
    """An estimate may exceed the largest entry."""
    await governor.prices.CreatePrice(
        CreatePriceRequest(
            model="vendor/dear",
            input_nano_usd_per_mtok=10**13,
            output_nano_usd_per_mtok=10**13,
            request_nano_usd=10**12,
        )
    )
    usage = entry_pb2.Usage(input_tokens=10**9, output_tokens=10**9, requests=10**6)
    answer = await governor.prices.EstimateCost(
        EstimateCostRequest(usage=ModelUsage(model="vendor/dear", usage=usage))
    )
    # 10⁹ × 10⁷ + 10⁹ × 10⁷ + 10⁶ × 10¹².
    assert answer.cost_nano_usd == 1_020_000_000_000_000_000


async def test_a_month_at_its_own_prices_is_what_was_charged(governor: Governor) -> None:
    """If everything was rated, estimate and charge agree by model; each entry is rounded separately."""
    await governor.price("vendor/fine", 1_500_000)
    one_token = entry_pb2.Usage(input_tokens=1, requests=1)
    for _ in range(3):
        await governor.settle(await governor.authorize(), USAGE)
        held = await governor.authorize(models=["vendor/fine"])
        # 1.5 nano-USD, rounded up: three of them cost 6, not 5.
        await governor.settle(held, one_token)
    await governor.settle(await governor.authorize(), USAGE, served_model=MINI)
    answer = await month(governor)
    assert [(m.model, m.cost_nano_usd, m.charged_nano_usd) for m in answer.models] == [
        (SONAR, 2_400_000, 2_400_000),
        (MINI, 150_000, 150_000),
        ("vendor/fine", 6, 6),
    ]
    assert answer.cost_nano_usd == answer.charged_nano_usd == 2_550_006
    assert answer.charged_nano_usd == (await governor.month_budget()).spent_nano_usd


async def test_a_month_at_another_times_prices(governor: Governor) -> None:
    """The answer has the cost at that time's prices and the amount that was charged."""
    for _ in range(2):
        await governor.settle(await governor.authorize(), USAGE)
    # No requests count as one.
    usage = entry_pb2.Usage(input_tokens=1, output_tokens=1)
    await governor.settle(await governor.authorize(), usage)
    future = datetime.now(UTC) + timedelta(days=1)
    await dearer_sonar(governor, time_at(future))
    answer = await month(governor, at_time=time_at(future))
    (sonar,) = answer.models
    # 2 × (600 × 2,000.5 + 100 × 4,000 + 1,000), and 2,000.5 + 4,000 + 1,000, rounded up.
    assert sonar.cost_nano_usd == answer.cost_nano_usd == 3_202_600 + 7_001
    assert sonar.charged_nano_usd == answer.charged_nano_usd == 1_603_000
    assert sonar.price.request_nano_usd == 1_000
    assert (await month(governor)).cost_nano_usd == 1_603_000


async def test_without_usage_or_price_only_the_charge_counts(governor: Governor) -> None:
    """Usage that is unknown, or of a model without a price, is in the charge only."""
    await governor.settle(await governor.authorize(), None)
    await governor.settle(await governor.authorize(), USAGE, served_model="nobody/unheard-of")
    answer = await month(governor)
    assert [(m.model, m.cost_nano_usd, m.charged_nano_usd) for m in answer.models] == [
        ("nobody/unheard-of", 0, 2_400_000),
        (SONAR, 0, 2_400_000),
    ]
    assert not answer.models[0].HasField("price")
    assert answer.charged_nano_usd == 4_800_000

    unknown = await governor.authorize()
    await governor.settle(unknown, None)
    await governor.settle(unknown, USAGE)
    answer = await month(governor)
    assert (answer.cost_nano_usd, answer.charged_nano_usd) == (800_000, 5_600_000)


async def test_a_correction_has_no_usage(governor: Governor) -> None:
    """A correction changes the charge, and does not count as a request at another time's prices."""
    settled = await governor.settle(await governor.authorize(), USAGE)
    await governor.stub.Adjust(
        AdjustRequest(
            organization_id=governor.organization_id,
            request_id=new_id(),
            entry_id=settled.entry.entry_id,
            corrected_cost_nano_usd=5,
            reason="a test",
        )
    )
    future = time_at(datetime.now(UTC) + timedelta(days=1))
    await dearer_sonar(governor, future)
    answer = await month(governor, at_time=future)
    # 600 × 2,000.5 + 100 × 4,000 + 1,000, once.
    assert (answer.cost_nano_usd, answer.charged_nano_usd) == (1_601_300, 5)


async def test_a_month_of_variants_and_units(governor: Governor) -> None:
    """Each entry is rated in its variant, with its units and its tier."""
    for context, nano_usd in (({}, 1_000), ({"processing": "batch"}, 500)):
        await enter(
            governor,
            input_nano_usd_per_mtok=nano_usd * TOKEN,
            rates=[
                rate("web_searches", 7 * nano_usd * TOKEN, per=1),
                rate("input_tokens", 2 * nano_usd * TOKEN, above=100),
            ],
            price_context=context,
        )
    for input_tokens, context in ((100, {}), (101, {}), (100, {"processing": "batch"})):
        usage = entry_pb2.Usage(input_tokens=input_tokens, other_units={"web_searches": 1})
        asked = ModelUsage(model=SONNET, usage=usage, price_context=context)
        estimate = await governor.prices.EstimateCost(EstimateCostRequest(usage=asked))
        charged = await record(governor, served_model=SONNET, usage=usage, price_context=context)
        assert estimate.cost_nano_usd == charged.cost_nano_usd
    answer = await month(governor)
    # 100 × 1,000 + 101 × 2,000 + 100 × 500, and searches at 7, 7 and 3.5 × 10⁹.
    assert answer.cost_nano_usd == answer.charged_nano_usd == 352_000 + 17_500_000_000


async def test_only_the_month_and_the_organization_asked_for(governor: Governor) -> None:
    """Usage of another month or another organization is not included."""
    await governor.settle(await governor.authorize(), USAGE)
    for nothing in (
        await month(governor, organization_id=new_id()),
        await month(governor, period_start=time_at(datetime(2020, 2, 29, tzinfo=UTC))),
    ):
        assert (nothing.cost_nano_usd, nothing.charged_nano_usd, list(nothing.models)) == (0, 0, [])
        assert nothing.HasField("charged_nano_usd")


async def test_a_model_without_a_price_is_refused(governor: Governor) -> None:
    """Given usage of a model without a price is refused, never estimated as zero."""
    asked = EstimateCostRequest(usage=ModelUsage(model="nobody/unheard-of", usage=USAGE))
    assert (await refusal(governor.prices.EstimateCost(asked))).reason == "MODEL_NOT_PRICED"


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"period_start": None}, "basis", "INVALID_FIELD"),
        ({"organization_id": ""}, "organization_id", "INVALID_FIELD"),
        ({"organization_id": "nonsense"}, "organization_id", "INVALID_FIELD"),
        ({"period_start": Timestamp(seconds=1)}, "period_start", "INVALID_FIELD"),
        ({"at_time": Timestamp(seconds=1)}, "at_time", "INVALID_FIELD"),
        ({"usage": ModelUsage(usage=USAGE)}, "usage.model", "INVALID_FIELD"),
        (
            {"usage": ModelUsage(model=SONAR, usage=entry_pb2.Usage(input_tokens=-1))},
            "usage.usage.input_tokens",
            "INVALID_FIELD",
        ),
        (
            {"usage": ModelUsage(model=SONAR, usage=entry_pb2.Usage(output_tokens=10**9 + 1))},
            "usage.usage.output_tokens",
            "VALUE_TOO_LARGE",
        ),
    ],
)
async def test_bad_input(governor: Governor, changes: dict[str, Any], field: str, reason: str) -> None:
    """A bad field is refused with its path."""
    if "usage" in changes:
        changes = changes | {"period_start": None}
    refused = await refusal(month(governor, **changes))
    assert refused.reason == reason
    assert [violation.field for violation in refused.fields] == [field]
