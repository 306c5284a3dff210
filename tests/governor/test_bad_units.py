"""Bad bounds and counts of units, and bad variants of prices, are refused with their fields by every call."""

from __future__ import annotations

from typing import Any

import pytest

from governor_service.domain.usage_units import COUNTED_UNITS, UNITS, wholes_of
from infin8.governor.v1 import entry_pb2
from infin8.governor.v1.pricing_service_pb2 import EstimateCostRequest, ModelUsage
from tests.budgets.conftest import check_budget
from tests.governor.conftest import SONAR, Governor, refusal
from tests.ledger.conftest import record

INVALID, TOO_LARGE = "INVALID_FIELD", "VALUE_TOO_LARGE"

# Counts by unit, with the reason and the field below the map's.
COUNTS = [
    ({"searches_of_the_web": 1}, INVALID, ""),
    ({"": 1}, INVALID, ""),
    ({"WEB_SEARCHES": 1}, INVALID, ""),
    ({"web_searches\0": 1}, INVALID, ""),
    *(({unit: 1}, INVALID, "") for unit in sorted(COUNTED_UNITS)),
    ({"web_searches": -1}, INVALID, "[web_searches]"),
    ({"web_searches": 10**6 + 1}, TOO_LARGE, "[web_searches]"),
    ({"audio_seconds": 2**63 - 1}, TOO_LARGE, "[audio_seconds]"),
    ({"input_audio_tokens": 10**9 + 1}, TOO_LARGE, "[input_audio_tokens]"),
    ({"input_audio_tokens": -(2**63)}, INVALID, "[input_audio_tokens]"),
    ({f"unit_{number}": 1 for number in range(65)}, INVALID, ""),
]
CONTEXTS = [
    {"": "batch"},
    {" ": "batch"},
    {"a=b": "batch"},
    {"processing": "a\0b"},
    {"processing": "a\nb"},
    {"k" * 65: "batch"},
    {"processing": "v" * 257},
    {f"key {number}": "value" for number in range(17)},
    {f"key {number}": "v" * 250 for number in range(5)},
]


async def refused(call: Any) -> tuple[str, list[str]]:
    found = await refusal(call)
    return found.reason, [violation.field for violation in found.fields]


@pytest.mark.parametrize(("counts", "reason", "below"), COUNTS)
async def test_bounds_of_units(governor: Governor, counts: dict[str, int], reason: str, below: str) -> None:
    """Authorize and CheckBudget name the map, or its key where the count is bad."""
    expected = (reason, [f"other_units_max{below}"])
    assert await refused(governor.authorize(other_units_max=counts)) == expected
    assert await refused(check_budget(governor, other_units_max=counts)) == expected


@pytest.mark.parametrize(("counts", "reason", "below"), COUNTS)
async def test_counts_of_units(governor: Governor, counts: dict[str, int], reason: str, below: str) -> None:
    """Settle, RecordUsage and EstimateCost refuse them, and nothing is charged."""
    usage = entry_pb2.Usage(input_tokens=10, other_units=counts)
    held = await governor.authorize()
    expected = (reason, [f"usage.other_units{below}"])
    assert await refused(governor.settle(held, usage)) == expected
    assert await refused(record(governor, usage=usage)) == expected
    asked = EstimateCostRequest(usage=ModelUsage(model=SONAR, usage=usage))
    assert await refused(governor.prices.EstimateCost(asked)) == (reason, [f"usage.usage.other_units{below}"])
    assert await governor.entries() == []
    assert (await governor.workflow_budget()).held_nano_usd == held.held_nano_usd


@pytest.mark.parametrize(
    ("bound", "reason"), [(-1, INVALID), (10**9 + 1, TOO_LARGE), (2**63 - 1, TOO_LARGE), (-(2**63), INVALID)]
)
@pytest.mark.parametrize("field", ["cache_write_tokens_max", "cache_write_1h_tokens_max"])
async def test_bounds_of_cache_writes(governor: Governor, field: str, bound: int, reason: str) -> None:
    """Bounds are between 0 and 10⁹."""
    assert await refused(governor.authorize(**{field: bound})) == (reason, [field])
    assert await refused(check_budget(governor, **{field: bound})) == (reason, [field])


@pytest.mark.parametrize("context", CONTEXTS)
async def test_contexts(governor: Governor, context: dict[str, str]) -> None:
    """Keys and values have the bounds of labels, in every call."""
    expected = (INVALID, ["price_context"])
    held = await governor.authorize()
    usage = entry_pb2.Usage(input_tokens=1)
    assert await refused(governor.authorize(price_context=context)) == expected
    assert await refused(check_budget(governor, price_context=context)) == expected
    assert await refused(governor.settle(held, usage, price_context=context)) == expected
    assert await refused(record(governor, price_context=context)) == expected
    asked = EstimateCostRequest(usage=ModelUsage(model=SONAR, usage=usage, price_context=context))
    assert await refused(governor.prices.EstimateCost(asked)) == (INVALID, ["usage.price_context"])


@pytest.mark.parametrize(
    ("usage", "field"),
    [
        ({"cache_write_1h_tokens": 1}, "cache_write_1h_tokens"),
        ({"cache_write_tokens": 5, "cache_write_1h_tokens": 6}, "cache_write_1h_tokens"),
        ({"cache_write_1h_tokens": -1}, "cache_write_1h_tokens"),
        ({"other_units": {"input_audio_tokens": 11}}, "other_units"),
        ({"other_units": {"output_image_tokens": 1}}, "other_units"),
        # A part of audio, without its whole.
        ({"cached_input_tokens": 5, "other_units": {"cache_audio_read_tokens": 5}}, "other_units"),
        # Audio is not cached input, so that both together are above the input.
        ({"cached_input_tokens": 6, "other_units": {"input_audio_tokens": 5}}, "other_units"),
        # Written for five minutes and for an hour are above what was written.
        (
            {
                "cache_write_tokens": 5,
                "cache_write_1h_tokens": 3,
                "other_units": {"cache_write_5m_tokens": 3},
            },
            "other_units",
        ),
    ],
)
async def test_parts_above_their_whole(governor: Governor, usage: dict[str, Any], field: str) -> None:
    """Of 10 input tokens no more can be of a kind, and what two kinds share is counted once."""
    sent = entry_pb2.Usage(input_tokens=10, **usage)
    expected = (INVALID, [f"usage.{field}"])
    assert await refused(governor.settle(await governor.authorize(), sent)) == expected
    assert await refused(record(governor, usage=sent)) == expected


async def test_every_other_unit_is_counted(governor: Governor) -> None:
    """Each key of the package that has no field of its own may be bounded and used."""
    others = {unit: 1 for unit in UNITS if unit not in COUNTED_UNITS}
    held = await governor.authorize(other_units_max=others, input_tokens_max=1_000, output_tokens_max=700)
    assert dict(held.other_units_max) == others
    searches = {unit: 1 for unit in others if not unit.endswith("_tokens") and not wholes_of(unit)}
    entry = (await governor.settle(held, entry_pb2.Usage(input_tokens=5, other_units=searches))).entry
    assert dict(entry.usage.other_units) == searches
    # The price has no rate for them.
    assert entry.cost_nano_usd == 5_000
