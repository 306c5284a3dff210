"""CreatePrice: tiers, units and variants; unusual figures; versions that supersede others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from infin8.governor.v1 import entry_pb2, price_pb2
from infin8.governor.v1.price_pb2 import Rate
from infin8.governor.v1.pricing_service_pb2 import GetPriceRequest, ListPricesRequest
from tests.governor.conftest import Governor, governor, new_id, refusal
from tests.ledger.conftest import record, violations
from tests.pricing.tariffs import SONNET, SONNET_RATES, TOKEN, enter, rate

pytestmark = pytest.mark.own_world

__all__ = ["governor"]

BATCH = {"processing": "batch"}
# gpt-4o as it is sold: 2.5 and 10 USD a million, half of the input from the cache.
GPT_4O: dict[str, Any] = {
    "model": "openai/gpt-4o",
    "input_nano_usd_per_mtok": 2_500 * TOKEN,
    "cached_input_nano_usd_per_mtok": 1_250 * TOKEN,
    "output_nano_usd_per_mtok": 10_000 * TOKEN,
}


def from_now(**lengths: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(datetime.now(UTC) + timedelta(**lengths))
    return stamp


async def in_force(
    governor: Governor, model: str = SONNET, at_time: Timestamp | None = None
) -> price_pb2.Price:
    return await governor.prices.GetPrice(GetPriceRequest(model=model, at_time=at_time))


async def refused_field(call: Any) -> tuple[str, list[str]]:
    refused = await refusal(call)
    return refused.reason, [violation.field for violation in refused.fields]


async def test_rates_are_kept(governor: Governor) -> None:
    """Tiers and units come back as they were stated, by tier and unit, from CreatePrice and from GetPrice."""
    created = await enter(governor, **SONNET_RATES)
    stated = sorted(SONNET_RATES["rates"], key=lambda each: (each.input_tokens_above, each.unit))
    assert list(created.rates) == stated
    assert (created.provider, dict(created.price_context)) == ("", {})
    assert not created.HasField("daily_start")
    assert await in_force(governor) == created
    assert (await governor.authorize(models=[SONNET])).price == created
    (listed,) = (await governor.prices.ListPrices(ListPricesRequest(model_prefix=SONNET))).prices
    assert listed == created


async def test_rates_that_say_nothing_new_are_left_out(governor: Governor) -> None:
    """A tier's rate that equals that of the tier below is not stated; the order of rates does not matter."""
    fields = {"input_nano_usd_per_mtok": 5, "output_nano_usd_per_mtok": 7, "model": "vendor/said-twice"}
    rates = [
        rate("web_searches", 9, above=20, per=1000),
        rate("input_tokens", 5, above=10),
        rate("input_tokens", 6, above=20),
        rate("web_searches", 9, per=1000),
    ]
    request_id = new_id()
    created = await enter(governor, **fields, rates=rates, request_id=request_id)
    assert list(created.rates) == [rates[3], rates[2]]
    assert await enter(governor, **fields, rates=rates[::-1], request_id=request_id) == created
    other = [*rates[:2], rate("input_tokens", 7, above=20), rates[3]]
    refused = await refusal(enter(governor, **fields, rates=other, request_id=request_id))
    assert refused.reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize(
    ("rates", "reason", "fields"),
    [
        ([rate("searches_of_the_web", 1)], "INVALID_FIELD", ["rates[0].unit"]),
        ([rate("", 1)], "INVALID_FIELD", ["rates[0].unit"]),
        ([rate("web_searches", -1)], "INVALID_FIELD", ["rates[0].nano_usd"]),
        ([rate("web_searches", 10**13 + 1)], "VALUE_TOO_LARGE", ["rates[0].nano_usd"]),
        ([rate("web_searches", 1, per=0)], "INVALID_FIELD", ["rates[0].per"]),
        ([rate("web_searches", 1, per=9 * 10**9 + 1)], "VALUE_TOO_LARGE", ["rates[0].per"]),
        ([rate("web_searches", 1, per=7)], "INVALID_FIELD", ["rates[0]"]),
        ([rate("web_searches", 1, above=-1)], "INVALID_FIELD", ["rates[0].input_tokens_above"]),
        ([rate("web_searches", 1, above=10**9 + 1)], "VALUE_TOO_LARGE", ["rates[0].input_tokens_above"]),
        # Outside of tiers it has a field of its own.
        ([rate("web_searches", 1), rate("input_tokens", 1)], "INVALID_FIELD", ["rates[1]"]),
        ([rate("web_searches", 1), rate("web_searches", 2)], "INVALID_FIELD", ["rates"]),
        # What audio and cached input share has no rate.
        ([rate("input_audio_tokens", 1)], "INVALID_FIELD", ["rates"]),
        ([rate("web_searches", 1, above=above) for above in range(101)], "INVALID_FIELD", ["rates"]),
        (
            [rate("nonsense", -1, per=0), rate("web_searches", 10**13 + 1)],
            "INVALID_FIELD",
            ["rates[0].unit", "rates[0].per", "rates[0].nano_usd", "rates[1].nano_usd"],
        ),
    ],
)
async def test_bad_rates(governor: Governor, rates: list[Rate], reason: str, fields: list[str]) -> None:
    """Each bad rate is named, and nothing is added."""
    base = {"input_nano_usd_per_mtok": 2, "cached_input_nano_usd_per_mtok": 1, "output_nano_usd_per_mtok": 2}
    assert await refused_field(enter(governor, **base, rates=rates)) == (reason, fields)
    assert (await refusal(in_force(governor))).reason == "MODEL_NOT_PRICED"


async def test_a_free_price_with_a_free_unit(governor: Governor) -> None:
    """A price in which everything is free is no price, whatever units it names."""
    found = await refused_field(enter(governor, rates=[rate("web_searches", 0, per=1000)]))
    assert found == ("INVALID_FIELD", ["rates"])
    fee = await enter(governor, rates=[rate("web_searches", 10**10, per=1000)])
    assert (fee.input_nano_usd_per_mtok, len(fee.rates)) == (0, 1)


@pytest.mark.parametrize(
    "context",
    [
        {"": "batch"},
        {"a=b": "batch"},
        {"processing": "a\0b"},
        {"k" * 65: "batch"},
        {"processing": "v" * 257},
        {f"key {number}": "value" for number in range(17)},
    ],
)
async def test_bad_contexts(governor: Governor, context: dict[str, str]) -> None:
    """Keys and values have the bounds of labels."""
    found = await refused_field(enter(governor, input_nano_usd_per_mtok=1, price_context=context))
    assert found == ("INVALID_FIELD", ["price_context"])


async def test_variants_have_versions_of_their_own(governor: Governor) -> None:
    """A variant's version leaves the ordinary price as it is; the model's price is the ordinary one."""
    ordinary = await enter(governor, input_nano_usd_per_mtok=1_000 * TOKEN)
    begins = from_now(days=1)
    batch = [
        await enter(governor, input_nano_usd_per_mtok=500 * TOKEN, price_context=BATCH),
        await enter(
            governor, input_nano_usd_per_mtok=400 * TOKEN, price_context=BATCH, effective_time=begins
        ),
    ]
    assert [dict(price.price_context) for price in batch] == [BATCH, BATCH]
    assert await in_force(governor) == await in_force(governor, at_time=begins) == ordinary
    assert (await governor.authorize(models=[SONNET], price_context=BATCH)).price == batch[0]
    (listed,) = (await governor.prices.ListPrices(ListPricesRequest(model_prefix=SONNET))).prices
    assert listed == ordinary


async def test_a_model_with_variants_only(governor: Governor) -> None:
    """It has no price for an ordinary call, and is listed as none."""
    await enter(governor, input_nano_usd_per_mtok=500 * TOKEN, price_context=BATCH)
    refused = await refusal(governor.authorize(models=[SONNET]))
    assert (refused.reason, refused.metadata) == ("MODEL_NOT_PRICED", {"model": SONNET})
    assert not (await governor.prices.ListPrices(ListPricesRequest(model_prefix=SONNET))).prices
    assert (await governor.authorize(models=[SONNET], price_context=BATCH)).model == SONNET


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        # A price for each token where one for a million was meant: 10⁸ times too cheap.
        ({"input_nano_usd_per_mtok": 15, "output_nano_usd_per_mtok": 60}, "input_nano_usd_per_mtok"),
        ({"output_nano_usd_per_mtok": 100_000 * TOKEN + 1}, "output_nano_usd_per_mtok"),
        ({"output_nano_usd_per_mtok": 1_000 * TOKEN - 1}, "output_nano_usd_per_mtok"),
        ({"cached_input_nano_usd_per_mtok": 0}, "cached_input_nano_usd_per_mtok"),
        # Fees come and go: one that is new counts in the cost of a call.
        ({"request_nano_usd": 150_000_001}, "input_nano_usd_per_mtok"),
        ({"request_nano_usd": 100_000_000}, None),
        ({"output_nano_usd_per_mtok": 100_000 * TOKEN}, None),
        ({"output_nano_usd_per_mtok": 1_000 * TOKEN}, None),
        # A rate that only one of them has is not compared.
        ({"reasoning_nano_usd_per_mtok": 1}, None),
        ({"rates": [rate("code_executions", 1, per=1000)]}, None),
    ],
)
async def test_unusual_figures(governor: Governor, changes: dict[str, Any], field: str | None) -> None:
    """More than ten times dearer or cheaper than the predecessor is refused, unless it is allowed."""
    before = await enter(governor, **GPT_4O)
    if field is None:
        assert await enter(governor, **(GPT_4O | changes)) == await in_force(governor, "openai/gpt-4o")
        return
    request_id = new_id()
    assert await refused_field(enter(governor, **(GPT_4O | changes), request_id=request_id)) == (
        "INVALID_FIELD",
        [field],
    )
    assert await in_force(governor, "openai/gpt-4o") == before
    # Nothing was left behind, so that the same request_id can be tried again.
    allowed = GPT_4O | changes | {"allow_unusual": True, "request_id": request_id}
    created = await enter(governor, **allowed)
    assert await in_force(governor, "openai/gpt-4o") == created
    # A replay is answered whatever it allows and whatever was added since.
    await enter(governor, **GPT_4O, allow_unusual=True)
    assert await enter(governor, **(allowed | {"allow_unusual": False})) == created


async def test_unusual_rates_of_units(governor: Governor) -> None:
    """Rates of units are compared for the same number of units, within their tier."""
    fields = {"input_nano_usd_per_mtok": 5 * TOKEN}
    await enter(
        governor, **fields, rates=[rate("web_searches", 10**10, per=1000), rate("input_tokens", 9, above=5)]
    )
    usual = [rate("web_searches", 10**8, per=1), rate("input_tokens", 90, above=5)]
    assert (await enter(governor, **fields, rates=usual)).rates[0].per == 1
    for unusual in (
        [rate("web_searches", 10**9 + 1, per=1)],
        [rate("web_searches", 9, per=1000)],
        [rate("input_tokens", 901, above=5)],
    ):
        assert await refused_field(enter(governor, **fields, rates=unusual)) == ("INVALID_FIELD", ["rates"])
    # Another tier's rate is not compared.
    await enter(governor, **fields, rates=[rate("input_tokens", 901, above=6)])


async def test_a_variants_first_version_is_compared_with_what_it_had(governor: Governor) -> None:
    """Until then its calls had the ordinary price."""
    await enter(governor, input_nano_usd_per_mtok=5_000)
    cheap = {"input_nano_usd_per_mtok": 499, "price_context": BATCH}
    assert await refused_field(enter(governor, **cheap)) == ("INVALID_FIELD", ["input_nano_usd_per_mtok"])
    await enter(governor, **(cheap | {"input_nano_usd_per_mtok": 500}))


async def test_a_wrong_version_is_superseded_as_of_its_own_time(governor: Governor) -> None:
    """While nothing was held or rated with it. It stays in the book, under its id."""
    wrong = await enter(governor, input_nano_usd_per_mtok=15)
    right = await enter(governor, **SONNET_RATES, effective_time=wrong.effective_time, allow_unusual=True)
    assert right.effective_time == wrong.effective_time
    assert await in_force(governor) == await in_force(governor, at_time=wrong.effective_time) == right
    assert await governor.prices.GetPrice(GetPriceRequest(price_id=wrong.price_id)) == wrong
    assert (await governor.authorize(models=[SONNET])).price == right
    # Now it is in use.
    later = {"input_nano_usd_per_mtok": 3_000 * TOKEN, "allow_unusual": True}
    found = await refused_field(enter(governor, **later, effective_time=right.effective_time))
    assert found == ("INVALID_FIELD", ["effective_time"])
    assert await in_force(governor) == right
    assert await violations(governor) == []


async def test_a_version_that_usage_was_rated_with_stays(governor: Governor) -> None:
    """RecordUsage uses a version as well, also an earlier one; that of another variant it does not."""
    first = await enter(governor, input_nano_usd_per_mtok=1_000 * TOKEN)
    batch = await enter(governor, input_nano_usd_per_mtok=500 * TOKEN, price_context=BATCH)
    usage = entry_pb2.Usage(input_tokens=1)
    recorded = await record(governor, served_model=SONNET, usage=usage, occurred_time=first.effective_time)
    assert recorded.price_id == first.price_id
    await enter(governor, input_nano_usd_per_mtok=2_000 * TOKEN)
    again = {"input_nano_usd_per_mtok": 700 * TOKEN}
    found = await refused_field(enter(governor, **again, effective_time=first.effective_time))
    assert found == ("INVALID_FIELD", ["effective_time"])
    await enter(governor, **again, effective_time=batch.effective_time, price_context=BATCH)
    held = await governor.authorize(models=[SONNET], price_context=BATCH)
    assert held.price.input_nano_usd_per_mtok == 700 * TOKEN


async def test_a_voided_hold_used_its_price(governor: Governor) -> None:
    """What was held once is not rated anew."""
    price = await enter(governor, input_nano_usd_per_mtok=1_000 * TOKEN)
    await governor.void(await governor.authorize(models=[SONNET]))
    found = await refused_field(
        enter(governor, input_nano_usd_per_mtok=700 * TOKEN, effective_time=price.effective_time)
    )
    assert found == ("INVALID_FIELD", ["effective_time"])


async def test_a_variant_is_not_priced_for_a_time_at_which_it_had_a_price(governor: Governor) -> None:
    """Its calls had the ordinary price then. Before the model's first version it may be."""
    await enter(governor, input_nano_usd_per_mtok=1_000 * TOKEN, effective_time=from_now(days=-10))
    batch = {"input_nano_usd_per_mtok": 500 * TOKEN, "price_context": BATCH}
    found = await refused_field(enter(governor, **batch, effective_time=from_now(days=-5)))
    assert found == ("INVALID_FIELD", ["effective_time"])
    await enter(governor, **batch, effective_time=from_now(days=-20))
    # An ordinary version for that time changes nothing that the variant's calls cost.
    await enter(governor, input_nano_usd_per_mtok=1_000 * TOKEN, effective_time=from_now(days=-15))


RATE = "price_id, input_tokens_above, unit, per, nano_usd, weight, wholes, takes_from"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE price_rates SET nano_usd = 1",
        "DELETE FROM price_rates WHERE false",
        "TRUNCATE price_rates",
        f"INSERT INTO price_rates ({RATE}) SELECT {RATE} FROM price_rates"
        " ON CONFLICT (price_id, input_tokens_above, unit) DO UPDATE SET nano_usd = 1",
    ],
)
async def test_nothing_changes_a_rate(governor: Governor, change: str) -> None:
    """The database refuses UPDATE, DELETE and TRUNCATE of rates."""
    created = await enter(governor, **SONNET_RATES)
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await governor.sql(change)
    assert await in_force(governor) == created


async def test_empty_fields(governor: Governor) -> None:
    """No rates and an empty context mean the same as none."""
    sent = {"input_nano_usd_per_mtok": 5, "request_id": new_id()}
    created = await enter(governor, **sent)
    assert await enter(governor, **sent, rates=[], price_context={}) == created
