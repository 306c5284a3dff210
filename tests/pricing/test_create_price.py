"""S5: a price is a version in the price book; a new version never changes a cost that was rated before."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from infin8.governor.v1 import entry_pb2, price_pb2
from infin8.governor.v1.pricing_service_pb2 import CreatePriceRequest, GetPriceRequest, ListPricesRequest
from tests.governor.conftest import MINI, SONAR, Governor, governor, new_id, refusal

pytestmark = pytest.mark.own_world

__all__ = ["governor"]


def time_at(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def from_now(**lengths: int) -> Timestamp:
    return time_at(datetime.now(UTC) + timedelta(**lengths))


def request(**changes: Any) -> CreatePriceRequest:
    """Sonar at 2,000 and 4,000 nano-USD a token, twice the document's price."""
    fields: dict[str, Any] = {
        "model": SONAR,
        "input_nano_usd_per_mtok": 2_000_000_000,
        "output_nano_usd_per_mtok": 4_000_000_000,
        "source": "a test",
    }
    return CreatePriceRequest(**(fields | changes))


async def versions(governor: Governor) -> int:
    (row,) = await governor.sql("SELECT count(*) FROM prices")
    return int(row["count"])


async def in_force(governor: Governor, model: str, at_time: Timestamp | None = None) -> price_pb2.Price:
    return await governor.prices.GetPrice(GetPriceRequest(model=model, at_time=at_time))


async def test_a_version_counts_from_now_on_and_the_old_one_stays(governor: Governor) -> None:
    """Without a time a version begins now; earlier times keep the earlier version; both keep their ids."""
    before = await in_force(governor, SONAR)
    earlier = from_now()
    created = await governor.prices.CreatePrice(request())
    assert await in_force(governor, SONAR) == created
    assert await in_force(governor, SONAR, earlier) == before
    assert await governor.prices.GetPrice(GetPriceRequest(price_id=before.price_id)) == before
    assert (created.model, created.source, created.author) == (SONAR, "a test", "anonymous")
    assert abs(created.effective_time.seconds - earlier.seconds) < 60
    assert (await governor.authorize()).held_nano_usd == 2 * 2_400_000


@pytest.mark.parametrize("variant", ["perplexity/sonar:online", "Perplexity/Sonar@azure", "sonar-2025-01-01"])
async def test_any_variant_of_the_id_names_the_model(governor: Governor, variant: str) -> None:
    """A version is stored under the canonical name."""
    assert (await governor.prices.CreatePrice(request(model=variant))).model == SONAR


async def test_every_component_is_kept(governor: Governor) -> None:
    """A component that is set to 0 differs from one that is unset."""
    sent = request(
        cached_input_nano_usd_per_mtok=0,
        cache_write_nano_usd_per_mtok=10**13,
        reasoning_nano_usd_per_mtok=3,
        request_nano_usd=10**12,
        allow_unusual=True,
    )
    created = await governor.prices.CreatePrice(sent)
    assert created.HasField("cached_input_nano_usd_per_mtok")
    for name in ("input", "cached_input", "cache_write", "output", "reasoning"):
        field = f"{name}_nano_usd_per_mtok"
        assert getattr(created, field) == getattr(sent, field)
    assert created.request_nano_usd == 10**12
    plain = await governor.prices.CreatePrice(request(model=MINI, allow_unusual=True))
    assert not plain.HasField("cached_input_nano_usd_per_mtok")
    assert not plain.HasField("reasoning_nano_usd_per_mtok")


async def test_a_version_for_the_future_waits(governor: Governor) -> None:
    """A future version begins at its time; one added later for an earlier time is in force until then."""
    future = from_now(days=10)
    later = await governor.prices.CreatePrice(request(effective_time=future))
    assert (await governor.authorize()).held_nano_usd == 2_400_000
    sooner = await governor.prices.CreatePrice(
        request(input_nano_usd_per_mtok=500_000_000, effective_time=from_now(days=5))
    )
    assert await in_force(governor, SONAR, from_now(days=6)) == sooner
    assert await in_force(governor, SONAR, future) == later


async def test_a_version_for_the_past_only_where_there_was_no_price(governor: Governor) -> None:
    """A version in force is never replaced; before the first version one can be added."""
    first = await governor.prices.CreatePrice(request(model="vendor/new", effective_time=from_now(days=-10)))
    refused = await refusal(
        governor.prices.CreatePrice(request(model="vendor/new", effective_time=from_now(days=-5)))
    )
    assert refused.reason == "INVALID_FIELD"
    assert [violation.field for violation in refused.fields] == ["effective_time"]
    earlier = await governor.prices.CreatePrice(
        request(model="vendor/new", effective_time=from_now(days=-20))
    )
    assert await in_force(governor, "vendor/new") == first
    assert await in_force(governor, "vendor/new", from_now(days=-15)) == earlier


async def test_one_of_several_versions_of_one_time_is_in_force(governor: Governor) -> None:
    """The last one counts, in any order; each keeps its id, and another model's is not affected."""
    at_once = from_now(days=3)
    created = await asyncio.gather(
        *(
            governor.prices.CreatePrice(
                request(effective_time=at_once, input_nano_usd_per_mtok=2_000_000_000 + number)
            )
            for number in range(5)
        )
    )
    mini = await governor.prices.CreatePrice(request(model=MINI, effective_time=at_once, allow_unusual=True))
    (last,) = await governor.sql(
        "SELECT price_id FROM prices WHERE model = $1 AND revision = 5 AND effective_time > now()", SONAR
    )
    assert str((await in_force(governor, SONAR, at_once)).price_id) == str(last["price_id"])
    assert await in_force(governor, MINI, at_once) == mini
    for price in created:
        assert await governor.prices.GetPrice(GetPriceRequest(price_id=price.price_id)) == price


async def test_a_repeated_request_creates_one_version(governor: Governor) -> None:
    """S8: a replay, also a concurrent one, returns the same version; other content is refused."""
    before = await versions(governor)
    sent = request(request_id=new_id())
    prices = await asyncio.gather(*(governor.prices.CreatePrice(sent) for _ in range(5)))
    await governor.prices.CreatePrice(request(model=MINI, allow_unusual=True))
    assert await governor.prices.CreatePrice(sent) == prices[0]
    assert all(price == prices[0] for price in prices)
    assert await versions(governor) == before + 2
    sent.output_nano_usd_per_mtok += 1
    assert (await refusal(governor.prices.CreatePrice(sent))).reason == "REQUEST_ID_REUSED"


async def test_a_refused_request_leaves_its_id_free(governor: Governor) -> None:
    """A refused call leaves nothing, so its request_id can be used again."""
    sent = request(request_id=new_id(), effective_time=from_now(days=-1))
    assert (await refusal(governor.prices.CreatePrice(sent))).reason == "INVALID_FIELD"
    sent.ClearField("effective_time")
    await governor.prices.CreatePrice(sent)


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"model": ""}, "model", "INVALID_FIELD"),
        ({"model": ":free"}, "model", "INVALID_FIELD"),
        ({"model": "vendor/modèle"}, "model", "INVALID_FIELD"),
        ({"model": "gpt-4" + "o" * 195}, "model", "INVALID_FIELD"),
        ({"request_id": "nonsense"}, "request_id", "INVALID_FIELD"),
        ({"input_nano_usd_per_mtok": -1}, "input_nano_usd_per_mtok", "INVALID_FIELD"),
        ({"output_nano_usd_per_mtok": 10**13 + 1}, "output_nano_usd_per_mtok", "VALUE_TOO_LARGE"),
        ({"cached_input_nano_usd_per_mtok": -1}, "cached_input_nano_usd_per_mtok", "INVALID_FIELD"),
        ({"cache_write_nano_usd_per_mtok": 2**63 - 1}, "cache_write_nano_usd_per_mtok", "VALUE_TOO_LARGE"),
        ({"reasoning_nano_usd_per_mtok": 10**13 + 1}, "reasoning_nano_usd_per_mtok", "VALUE_TOO_LARGE"),
        ({"request_nano_usd": 10**12 + 1}, "request_nano_usd", "VALUE_TOO_LARGE"),
        (
            {"input_nano_usd_per_mtok": 0, "output_nano_usd_per_mtok": 0},
            "input_nano_usd_per_mtok",
            "INVALID_FIELD",
        ),
        ({"effective_time": Timestamp(seconds=0)}, "effective_time", "INVALID_FIELD"),
        (
            {"effective_time": Timestamp(seconds=253_402_300_799, nanos=999_999_999)},
            "effective_time",
            "INVALID_FIELD",
        ),
        ({"source": "a\0b"}, "source", "INVALID_FIELD"),
        ({"source": "s" * 1025}, "source", "INVALID_FIELD"),
    ],
)
async def test_bad_input_changes_nothing(
    governor: Governor, changes: dict[str, Any], field: str, reason: str
) -> None:
    """Each field's bounds are checked, and the error has the field's path."""
    before = await versions(governor)
    refused = await refusal(governor.prices.CreatePrice(request(**changes)))
    assert refused.reason == reason
    assert [violation.field for violation in refused.fields] == [field]
    assert await versions(governor) == before


_NOT_IN_FORCE = "OR p.price_id <> (price_at(a.model, a.price_context, a.create_time)).price_id"

# Rates holds and entries again with the present price book: every hold must still be the bound of its price,
# and every entry the rating of its usage.
_RATED_OTHERWISE = f"""
SELECT 'hold' AS what FROM authorizations AS a JOIN prices AS p USING (price_id)
WHERE a.held_nano_usd <> hold_nano_usd(
        p_price => p, p_input_tokens_max => a.input_tokens_max, p_output_tokens_max => a.output_tokens_max,
        p_requests_max => a.requests_max, p_cache_write_tokens_max => a.cache_write_tokens_max,
        p_cache_write_1h_tokens_max => a.cache_write_1h_tokens_max, p_other_units_max => a.other_units_max)
    {_NOT_IN_FORCE}
UNION ALL
SELECT 'entry' FROM ai_usage_ledger AS e JOIN prices AS p USING (price_id)
WHERE e.kind = 'USAGE' AND e.rated_cost_nano_usd <> rated_cost_nano_usd(
    p_price => p, p_input_tokens => e.prompt_tokens, p_cached_input_tokens => e.cached_input_tokens,
    p_cache_write_tokens => e.cache_write_tokens, p_cache_write_1h_tokens => e.cache_write_1h_tokens,
    p_output_tokens => e.completion_tokens, p_reasoning_tokens => e.reasoning_tokens,
    p_requests => e.requests, p_other_units => e.other_units)
"""

_MONEY = """
SELECT (SELECT jsonb_agg(to_jsonb(a) ORDER BY a.authorization_id) FROM authorizations AS a)::text
    || (SELECT jsonb_agg(to_jsonb(b) ORDER BY b.budget_key) FROM budgets AS b)::text
    || (SELECT jsonb_agg(to_jsonb(e) ORDER BY e.sequence) FROM ai_usage_ledger AS e)::text AS money
"""


async def test_no_version_changes_a_running_hold_or_an_entry(governor: Governor) -> None:
    """I12: versions for now, the future and the past leave holds, budgets and entries unchanged to the byte.

    Later settlements are rated as of their hold, also where another model served.
    """
    usage = entry_pb2.Usage(input_tokens=600, output_tokens=100, requests=1)
    settled = await governor.settle(await governor.authorize(), usage)
    held = [await governor.authorize() for _ in range(3)]
    (before,) = await governor.sql(_MONEY)

    for model in (SONAR, MINI):
        await governor.prices.CreatePrice(request(model=model, allow_unusual=True))
        later = request(model=model, effective_time=from_now(seconds=1), allow_unusual=True)
        await governor.prices.CreatePrice(later)
    await governor.prices.CreatePrice(request(model="vendor/new", effective_time=from_now(days=-1)))

    (after,) = await governor.sql(_MONEY)
    assert after["money"] == before["money"]
    assert await governor.sql(_RATED_OTHERWISE) == []

    granted, drifted, newly_priced = held
    assert (await governor.settle(granted, usage)).entry.cost_nano_usd == settled.entry.cost_nano_usd
    # 600 × 150 + 100 × 600, as when the hold was placed.
    assert (await governor.settle(drifted, usage, served_model=MINI)).entry.cost_nano_usd == 150_000
    # It had no price when the hold was placed, but one for that time exists now: 600 × 2,000 + 100 × 4,000.
    late = await governor.settle(newly_priced, usage, served_model="vendor/new")
    assert late.entry.cost_nano_usd == 1_600_000
    assert await governor.sql(_RATED_OTHERWISE) == []


async def test_holds_and_versions_at_once(governor: Governor) -> None:
    """While versions are created without pause, each hold is the bound of the price that it names."""

    async def enter() -> None:
        for step in range(20):
            await governor.prices.CreatePrice(request(input_nano_usd_per_mtok=1_000_000_000 + step))

    async def hold() -> None:
        for _ in range(20):
            usage = entry_pb2.Usage(input_tokens=600, output_tokens=100, requests=1)
            await governor.settle(await governor.authorize(), usage)

    await asyncio.gather(enter(), hold(), hold())
    assert await governor.sql(_RATED_OTHERWISE.replace(_NOT_IN_FORCE, "")) == []
    listed = await governor.prices.ListPrices(ListPricesRequest(model_prefix=SONAR))
    assert listed.prices[0].input_nano_usd_per_mtok == 1_000_000_019
