"""A model that is out of order is not called, and has no hold; one call finds out that it is back."""

from __future__ import annotations

import pytest

from tests.executor.conftest import MINI, SONAR, Bench
from tests.executor.talk import GOOD_MINI, GOOD_SONAR, behave, route_of
from workflow_service.app.breakers import BreakerChange, Breakers
from workflow_service.app.execute_step import StepFailed
from workflow_service.app.model_call import ModelCaller
from workflow_service.domain.breaker import BreakerPolicy
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.routing import Route
from workflow_service.domain.states import Step

POLICY = BreakerPolicy(failures_min=3, open_seconds=30)
FAILED = (SONAR, "VOIDED", "PROVIDER_ERROR")


class World:
    """A caller with breakers on a clock of the test's own, which its waits move."""

    def __init__(self, bench: Bench, *models: str) -> None:
        self.bench = bench
        self.now = 0.0
        self.changes: list[BreakerChange] = []
        self.caller: ModelCaller = bench.another_caller(
            route=Route(models=models),
            breakers=Breakers(models, POLICY, on_change=self.changes.append, clock=lambda: self.now),
        )
        self.caller._sleep = self.wait

    async def wait(self, seconds: float) -> None:
        self.now += seconds

    async def run(self) -> list[tuple[str | None, str, str | None]]:
        """The route of the calls of a new workflow's first step."""
        lease = await self.bench.workflows.lease(Step.ICP)
        try:
            await self.bench.another_executor(self.caller).execute(lease)
        finally:
            await self.bench.assert_books_agree(lease)
        return route_of(await self.bench.workflows.calls(lease))


async def test_the_next_model_at_once_and_a_probe_later(bench: Bench) -> None:
    """Three failures open the breaker; then the next model is asked first, until a probe is answered."""
    world = World(bench, SONAR, MINI)
    bench.simulator.misbehave(behave("status", status=503, model=SONAR, times=4))
    assert await world.run() == [FAILED, FAILED, FAILED, GOOD_MINI]
    assert world.changes == [BreakerChange(SONAR, is_open=True)]
    begun = world.now
    assert await world.run() == [GOOD_MINI]
    assert world.now == begun, "nobody waits where another model can be asked"
    world.now += POLICY.open_seconds
    assert await world.run() == [FAILED, GOOD_MINI], "the probe fails, and its caller does not wait either"
    assert await world.run() == [GOOD_MINI]
    world.now += POLICY.open_seconds
    assert await world.run() == [GOOD_SONAR]
    assert world.changes[1:] == [BreakerChange(SONAR, is_open=False)]


async def test_without_another_model_the_call_waits(bench: Bench) -> None:
    """Without a slot and without a hold, until it may probe."""
    world = World(bench, SONAR)
    bench.simulator.misbehave(behave("status", status=503, times=3))
    with pytest.raises(StepFailed) as caught:
        await world.run()
    assert caught.value.error.error_class is ErrorClass.PROVIDER_ERROR
    opened = world.now
    assert await world.run() == [GOOD_SONAR]
    assert world.now >= opened + POLICY.open_seconds


async def test_the_wait_has_an_end(bench: Bench) -> None:
    """A model that others probe in vain is not waited for all day, and nothing is recorded or held."""
    world = World(bench, SONAR)
    for _ in range(3):
        world.caller._breakers.note(SONAR, ErrorClass.TIMEOUT)

    async def others_probe(seconds: float) -> None:
        world.now += seconds
        world.caller._breakers.note(SONAR, ErrorClass.TIMEOUT)

    world.caller._sleep = others_probe
    with pytest.raises(StepFailed) as caught:
        await world.run()
    assert caught.value.error.reason == "MODELS_OUT_OF_ORDER"
    assert world.now < 300
    assert bench.simulator.calls == ()
