"""Helpers that the tests of model calls share."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.executor.conftest import CALL_DEADLINE_SECONDS, MINI, SONAR, Bench
from tests.executor.examples import answer as good_answer
from tests.models.http_server import serving
from workflow_service.clients.openrouter import OpenRouterClient
from workflow_service.domain.routing import Route
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
    """A call costs what the provider says, or else its hold; I7: one entry per call."""
    settled = [call for call in await bench.workflows.calls(lease) if call.state is InvocationState.SETTLED]
    billed = {call.generation_id: call.billed_nano_usd for call in bench.simulator.calls}
    for call in settled:
        if call.response.usage is None:
            told_nano_usd = call.response.provider_cost_nano_usd
            assert call.cost_nano_usd == (call.held_nano_usd if told_nano_usd is None else told_nano_usd)
        else:
            assert call.cost_nano_usd == billed[call.response.generation_id]
    holds = [call.authorization_id for call in await bench.workflows.calls(lease)]
    assert len(set(holds)) == len(holds)
    assert {entry.authorization_id for entry in await bench.entries(lease)} == {
        str(call.authorization_id) for call in settled
    }


def answer_document(lease: Lease, usage: Any = None, **changes: Any) -> dict[str, Any]:
    """A good answer for the lease's step with these changes, in OpenRouter's form."""
    message = {"role": "assistant", "content": good_answer(lease.step)}
    return {
        "id": "gen-1",
        "model": SONAR,
        "choices": [{"finish_reason": "stop", "message": message}],
        "usage": usage,
    } | changes


async def execute_with(
    bench: Bench, lease: Lease, *answers: bytes, models: tuple[str, ...] = (SONAR,)
) -> Any:
    """The step's result where an HTTP server gives these answers in turn, and repeats the last one."""
    async with serving(*answers) as server:
        provider = OpenRouterClient(server.base_url, "test-key", deadline_seconds=CALL_DEADLINE_SECONDS)
        caller = bench.another_caller(provider=provider, route=Route(models=models))
        try:
            return await bench.another_executor(caller).execute(lease)
        finally:
            await provider.close()


async def until_dispatched(bench: Bench, lease: Lease) -> None:
    """Waits about a second at most until a call has been dispatched."""
    for _ in range(200):
        calls = await bench.workflows.calls(lease)
        if any(call.state is InvocationState.DISPATCHED for call in calls):
            return
        await asyncio.sleep(0.005)
    raise AssertionError("nothing was dispatched")
