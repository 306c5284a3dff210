"""Helpers that the tests of model calls share."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.executor.conftest import MINI, SONAR, Bench
from workflow_service.domain.workflow import Lease
from workflow_service.simulator.behaviours import Behaviour, BehaviourKind
from workflow_service.store.invocations import Invocation, InvocationState


def behave(kind: str, **arguments: Any) -> Behaviour:
    return Behaviour(kind=BehaviourKind(kind), **arguments)


def route_of(calls: list[Invocation]) -> list[tuple[str | None, str, str | None]]:
    """(model, state, error class) of each attempt."""
    return [
        (
            call.model,
            call.state.value,
            call.response.error_class.value if call.response.error_class is not None else None,
        )
        for call in sorted(calls, key=lambda call: (call.create_time, call.attempt))
    ]


GOOD_SONAR = (SONAR, "SETTLED", None)
GOOD_MINI = (MINI, "SETTLED", None)


async def assert_charged_as_billed(bench: Bench, lease: Lease) -> None:
    """A known outcome costs what the provider billed, an unknown one its hold; I7: one entry per call."""
    settled = [call for call in await bench.workflows.calls(lease) if call.state is InvocationState.SETTLED]
    billed = {call.generation_id: call.billed_nano_usd for call in bench.simulator.calls}
    for call in settled:
        if call.response.usage is None:
            assert call.cost_nano_usd == call.held_nano_usd
        else:
            assert call.cost_nano_usd == billed[call.response.generation_id]
    holds = [call.authorization_id for call in await bench.workflows.calls(lease)]
    assert len(set(holds)) == len(holds)
    assert {entry.authorization_id for entry in await bench.entries(lease)} == {
        str(call.authorization_id) for call in settled
    }


async def until_dispatched(bench: Bench, lease: Lease) -> None:
    """Waits about a second at most until a call has been dispatched."""
    for _ in range(200):
        calls = await bench.workflows.calls(lease)
        if any(call.state is InvocationState.DISPATCHED for call in calls):
            return
        await asyncio.sleep(0.005)
    raise AssertionError("nothing was dispatched")
