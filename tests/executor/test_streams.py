"""A streamed call that breaks off is charged for what came, where that is known; a whole answer is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from tests.executor.conftest import SONAR, Bench, flags, kinds
from tests.executor.talk import GOOD_SONAR, assert_charged_as_billed, behave, route_of
from workflow_service.clients.openrouter import OpenRouterClient
from workflow_service.domain.states import Step
from workflow_service.domain.steps import IcpResult
from workflow_service.simulator.behaviours import Behaviour, StreamForm


@dataclass(frozen=True)
class Case:
    """How the first call goes, and the entries of all calls."""

    behaviour: Behaviour
    route: Sequence[tuple[str, str, str | None]] = (GOOD_SONAR,)
    kinds: Sequence[str] = ("USAGE",)
    flags: set[str] = field(default_factory=set)


STALLED = (SONAR, "SETTLED", "TIMEOUT")
BROKEN = (SONAR, "SETTLED", "CONNECTION_FAILED")
ENDED = (SONAR, "SETTLED", "MALFORMED_RESPONSE")
UNKNOWN = {"UNKNOWN_OUTCOME"}

CASES = {
    **{form.value: Case(behave("streamed", form=form)) for form in StreamForm},
    "stalls": Case(behave("stall"), (STALLED, GOOD_SONAR), ("USAGE", "USAGE")),
    "stalls, and there is no record": Case(
        behave("stall", has_record=False), (STALLED, GOOD_SONAR), ("UNKNOWN", "USAGE"), UNKNOWN
    ),
    "breaks": Case(behave("cut"), (BROKEN, GOOD_SONAR), ("USAGE", "USAGE")),
    "ends too early": Case(behave("truncated"), (ENDED, GOOD_SONAR), ("USAGE", "USAGE")),
    "ends too early, with counts so far": Case(
        behave("truncated", form="usage_so_far", has_record=False),
        (ENDED, GOOD_SONAR),
        ("UNKNOWN", "USAGE"),
        UNKNOWN,
    ),
    "breaks before its usage": Case(behave("cut_before_usage")),
    "breaks before its usage, and there is no record": Case(
        behave("cut_before_usage", has_record=False), (GOOD_SONAR,), ("UNKNOWN",), UNKNOWN
    ),
    "no usage": Case(behave("missing_usage")),
    "a slow model": Case(behave("slow", seconds=0.3)),
    "a model that is too slow": Case(behave("slow", seconds=60), (STALLED, GOOD_SONAR), ("USAGE", "USAGE")),
}


@pytest.mark.parametrize("name", CASES)
async def test_what_a_streamed_call_costs(bench: Bench, name: str) -> None:
    """The entry is what the provider billed; only what nobody knows costs the whole hold."""
    case = CASES[name]
    lease = await bench.workflows.lease(Step.ICP)
    bench.simulator.misbehave(case.behaviour)
    provider = OpenRouterClient(
        bench.simulator.base_url, "test-key", deadline_seconds=30, first_data_seconds=1, silence_seconds=0.2
    )
    try:
        executor = bench.another_executor(bench.another_caller(provider=provider))
        assert isinstance(await executor.execute(lease), IcpResult)
    finally:
        await provider.close()
    assert route_of(await bench.workflows.calls(lease)) == list(case.route)
    entries = await bench.entries(lease)
    assert (kinds(entries), flags(entries[0])) == (list(case.kinds), case.flags)
    await bench.assert_books_agree(lease)
    await assert_charged_as_billed(bench, lease)
