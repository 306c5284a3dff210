"""Nothing that a provider writes into an answer makes the governor refuse its settlement.

The answers come from an HTTP server, are read by the workflow service and settled with the real governor.
"""

from __future__ import annotations

from typing import Any

import pytest

from governor_client import GovernorClient
from infin8.governor.v1.entry_pb2 import LedgerEntry, Usage
from infin8.governor.v1.governor_service_pb2 import Settlement
from service_chassis.refusal import FieldViolation, bad_fields
from tests.executor.conftest import SONAR, Bench, flags, kinds
from tests.executor.talk import GOOD_SONAR, answer_document, execute_with, route_of
from tests.models.http_server import answer
from workflow_service.domain.states import Step
from workflow_service.domain.steps import IcpResult

TOKENS = {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150}
RATED = 120 * 1000 + 30 * 2000


async def entry_of(bench: Bench, usage: Any = None, **changes: Any) -> LedgerEntry:
    """The entry of a good answer with these changes; the journal agrees with it."""
    lease = await bench.workflows.lease(Step.ICP)
    document = answer_document(lease, TOKENS if usage is None else usage, **changes)
    assert isinstance(await execute_with(bench, lease, answer(200, document)), IcpResult)
    assert route_of(await bench.workflows.calls(lease)) == [GOOD_SONAR]
    [entry] = await bench.entries(lease)
    await bench.assert_books_agree(lease)
    return entry


def tokens_of(entry: LedgerEntry) -> tuple[int, int]:
    return entry.usage.input_tokens, entry.usage.output_tokens


LONG = "g" * 200
TEXTS: list[Any] = [
    *("", " ", "\u00a0", "a b", " sonar ", "sonar\tpro", "sonar\npro", "so\u2003nar", "\u3000"),
    *("\0", "a\x7fb", "\u202eranos", "\u200bsonar", "\ud800", "\U0001f4a9", "\u00e9", LONG, LONG + "g"),
    *(":", ":free", "@azure", "@", "/", "//", "-2024-07-18", "~", "ft:", "arn:aws:bedrock:", "%s%n"),
    *("'; DROP TABLE ai_usage_ledger; --", 7, True, ["sonar"], {"name": "sonar"}, None),
]


@pytest.mark.parametrize("name", TEXTS, ids=ascii)
async def test_the_name_of_the_model(bench: Bench, name: Any) -> None:
    """Its tokens and its cost are known, whatever it is called: no hold is charged whole."""
    entry = await entry_of(bench, TOKENS | {"cost": 0.01}, model=name)
    assert (kinds([entry]), tokens_of(entry)) == (["USAGE"], (120, 30))
    assert (entry.provider_cost_nano_usd, entry.cost_nano_usd) == (10_000_000, 10_000_000)


@pytest.mark.parametrize("name", TEXTS, ids=ascii)
async def test_the_id_of_the_generation(bench: Bench, name: Any) -> None:
    """The entry has the id or none, and the usage."""
    entry = await entry_of(bench, id=name)
    assert (kinds([entry]), flags(entry)) == (["USAGE"], set())
    assert (tokens_of(entry), entry.cost_nano_usd) == ((120, 30), RATED)
    assert entry.provider_generation_id in (name, "")


@pytest.mark.parametrize("model", [":free", "a b"])
async def test_all_of_them_together(bench: Bench, model: str) -> None:
    """One settlement after the other leaves out what is refused, and nothing else."""
    entry = await entry_of(bench, TOKENS | {"cost": 1e-3, "web_searches": -1}, model=model, id="\u3000")
    assert (kinds([entry]), tokens_of(entry)) == (["USAGE"], (120, 30))
    assert entry.served_model == SONAR
    assert entry.provider_cost_nano_usd == 1_000_000


COSTS: list[Any] = [
    *(-1, -1e-30, 1e300, 10**13, "NaN", "Infinity", "1e9999999", "", "a lot", True, [], [1], {}),
    *({"total_cost": -1}, {"total_cost": {"total_cost": 1}}, {"total_cost": None}),
]


@pytest.mark.parametrize("cost", COSTS, ids=ascii)
async def test_the_cost(bench: Bench, cost: Any) -> None:
    """A cost that cannot be true is none."""
    entry = await entry_of(bench, TOKENS | {"cost": cost})
    assert (kinds([entry]), flags(entry)) == (["USAGE"], set())
    assert not entry.HasField("provider_cost_nano_usd")
    assert (tokens_of(entry), entry.cost_nano_usd) == ((120, 30), RATED)


UNITS: list[dict[str, Any]] = [
    {"server_tool_use": {"web_search_requests": -5}},
    {"server_tool_use": {"web_search_requests": 10**30}},
    {"server_tool_use": {"web_search_requests": "many"}},
    {"server_tool_use": [{"web_search_requests": 5}]},
    {"num_search_queries": 10**6 + 1},
    {"prompt_tokens_details": {"audio_tokens": 121}},
    {"prompt_tokens_details": {"audio_tokens": 100, "image_tokens": 100}},
    {"prompt_tokens_details": {"audio_tokens": 100, "cached_tokens": 100}},
    {"completion_tokens_details": {"audio_tokens": 20, "reasoning_tokens": 20}},
    {"completion_tokens_details": {"audio_tokens": {"count": 1}}},
    {"cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0}},
]


@pytest.mark.parametrize("more", UNITS, ids=ascii)
async def test_the_other_units(bench: Bench, more: dict[str, Any]) -> None:
    """A count that cannot be true, or does not fit beside the others, costs the answer nothing else."""
    entry = await entry_of(bench, TOKENS | more)
    assert (kinds([entry]), tokens_of(entry)) == (["USAGE"], (120, 30))


PLAIN = Usage(input_tokens=120, cache_write_tokens=20, output_tokens=30, requests=1)
WHOLE = Usage(cache_write_1h_tokens=20, other_units={"web_searches": 5})
WHOLE.MergeFrom(PLAIN)

REFUSED: dict[str, dict[str, Any]] = {
    "usage.other_units[web_searches]": {"usage": PLAIN},
    "usage.cache_write_1h_tokens": {"usage": PLAIN},
    "served_model": {"served_model": ""},
    "provider_generation_id": {"provider_generation_id": ""},
    "provider_cost_nano_usd": {"provider_cost_nano_usd": None},
}


class StrictGovernor(GovernorClient):
    """Refuses one field of the first settlement, and notes what is settled."""

    refuses: FieldViolation
    settled: list[dict[str, Any]]

    async def settle(self, *, usage: Usage | None, **rest: Any) -> Settlement:
        self.settled.append({"usage": usage, **rest})
        if len(self.settled) == 1:
            raise bad_fields([self.refuses], [])
        return await super().settle(usage=usage, **rest)


@pytest.mark.parametrize("refused", REFUSED)
async def test_what_the_governor_refuses_is_left_out(bench: Bench, refused: str) -> None:
    """Whatever field it is: the next settlement says the same without it."""
    usage = TOKENS | {
        "cache_creation": {"ephemeral_1h_input_tokens": 20},
        "server_tool_use": {"web_search_requests": 5},
        "cost": 0.002,
    }
    client = StrictGovernor(bench.channel)
    client.refuses, client.settled = FieldViolation(refused, "is refused"), []
    bench.client = client
    await entry_of(bench, usage, model="perplexity/sonar-2026")
    first, second = client.settled
    assert first["usage"] == WHOLE
    assert second == first | REFUSED[refused]
