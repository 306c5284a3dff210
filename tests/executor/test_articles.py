"""ARTICLE is as many governed calls as there are articles, several at once, and each is paid for once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.executor.conftest import SONAR, Bench, kinds
from tests.executor.examples import ICP, cluster
from tests.executor.talk import behave, route_of
from workflow_service.app.answer_items import answer_items
from workflow_service.app.execute_step import StepExecutor, StepFailed
from workflow_service.app.publish_articles import Publishing
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.routing import Route
from workflow_service.domain.states import Step
from workflow_service.domain.steps import ArticleInput, ArticleResult
from workflow_service.domain.workflow import Lease
from workflow_service.steps.registry import MODEL_STEPS
from workflow_service.store.invocations import InvocationState

DENIED = StepFailed(ErrorClass.BUDGET_DENIED, "BUDGET_EXCEEDED", "")


class Work:
    """Items that end when the test says so."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self._ends: dict[int, asyncio.Future[str]] = {}

    async def answer(self, item: int) -> str:
        self.begun.append(item)
        self._ends[item] = asyncio.get_running_loop().create_future()
        return await self._ends[item]

    async def end(self, item: int, error: Exception | None = None) -> None:
        await self._turn()
        if error is None:
            self._ends[item].set_result(f"answer {item}")
        else:
            self._ends[item].set_exception(error)
        await self._turn()

    async def begins(self, count: int, at_once: int) -> asyncio.Task[list[str]]:
        task = asyncio.create_task(answer_items(range(count), self.answer, at_once=at_once))
        await self._turn()
        return task

    async def _turn(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


async def test_no_more_at_once_than_are_allowed() -> None:
    """The next item begins when one has ended; the answers are in the items' order."""
    work = Work()
    task = await work.begins(4, at_once=2)
    assert work.begun == [0, 1]
    await work.end(1)
    assert work.begun == [0, 1, 2]
    for item in (2, 0, 3):
        await work.end(item)
    assert await task == [f"answer {item}" for item in range(4)]


async def test_after_a_failure_nothing_more_is_begun() -> None:
    """What has begun is worked on to its end; the first item's failure is raised."""
    work = Work()
    task = await work.begins(5, at_once=3)
    await work.end(1, ValueError("second"))
    assert not task.done()
    await work.end(0, KeyError("first"))
    await work.end(2)
    with pytest.raises(KeyError):
        await task
    assert work.begun == [0, 1, 2]


async def test_what_is_denied_beside_others_is_begun_again_after_them() -> None:
    """Their holds may be what it lacked; the last denial counts."""
    work = Work()
    task = await work.begins(3, at_once=3)
    await work.end(1, DENIED)
    await work.end(2, DENIED)
    assert work.begun == [0, 1, 2]
    await work.end(0)
    assert work.begun == [0, 1, 2, 2]
    await work.end(2)
    assert work.begun == [0, 1, 2, 2, 1]
    await work.end(1, DENIED)
    with pytest.raises(StepFailed):
        await task


@pytest.mark.parametrize("at_once", [1, 2, 7])
async def test_every_item_is_answered(at_once: int) -> None:
    """However many there are, and none is begun twice."""
    begun: list[int] = []

    async def answer(item: int) -> int:
        begun.append(item)
        await asyncio.sleep(0)
        return item

    for count in range(9):
        begun.clear()
        assert await answer_items(range(count), answer, at_once=at_once) == list(range(count))
        assert sorted(begun) == list(range(count))


PILLARS = ("one", "two", "three", "four", "five", "six")


async def leased(bench: Bench, *pillars: str) -> Lease:
    clusters = tuple(cluster(pillar) for pillar in pillars)
    step_input = ArticleInput(organization_name="Acme", icp=ICP, clusters=clusters)
    return await bench.workflows.lease(Step.ARTICLE, step_input)


def executor_of(bench: Bench, at_once: int, **options: float) -> StepExecutor:
    caller = bench.another_caller(route=Route(models=(SONAR,)))
    publishing = Publishing(bench.workflows.deliveries, bench.publishers.publish)
    return StepExecutor(caller, bench.workflows.journal, publishing, calls_at_once=at_once, **options)


def hold_nano_usd(lease: Lease) -> int:
    """The greatest hold of an article's call, at the document's prices."""
    work = MODEL_STEPS[Step.ARTICLE]
    sizes = [work.prompt(item.payload).input_tokens_max for item in work.items(lease.input)]
    return max(sizes) * 1000 + work.output_tokens_max * 2000


async def test_articles_are_written_at_once(bench: Bench) -> None:
    """As many as are allowed and no more; each is a call of its own."""
    lease = await leased(bench, *PILLARS)
    bench.simulator.misbehave(behave("slow", seconds=0.2, times=None))
    most = await most_in_flight(bench, lease, executor_of(bench, 3).execute)
    assert most == 3
    calls = await bench.workflows.calls(lease)
    assert len({call.item for call in calls}) == len(calls) == len(PILLARS)
    await bench.assert_books_agree(lease)


async def most_in_flight(bench: Bench, lease: Lease, execute: Callable[[Lease], Awaitable[object]]) -> int:
    run = asyncio.ensure_future(execute(lease))
    most = 0
    while not run.done():
        calls = await bench.workflows.calls(lease)
        most = max(most, sum(call.state is InvocationState.DISPATCHED for call in calls))
        await asyncio.sleep(0.005)
    await run
    return most


@pytest.mark.parametrize("at_once", [1, 4])
async def test_a_budget_that_runs_out(bench: Bench, at_once: int) -> None:
    """Finished articles are kept; after the limit was raised, the step goes on with the rest."""
    lease = await leased(bench, *PILLARS)
    hold = hold_nano_usd(lease)
    await bench.set_limit(lease, hold + hold // 10)
    with pytest.raises(StepFailed) as caught:
        await executor_of(bench, at_once).execute(lease)
    assert caught.value.error.error_class is ErrorClass.BUDGET_DENIED
    paid = await bench.entries(lease)
    assert 0 < len(paid) < len(PILLARS)
    await bench.assert_books_agree(lease)

    await bench.set_limit(lease, 20 * hold)
    result = await executor_of(bench, at_once).execute(await bench.workflows.fail_and_claim(lease))
    assert isinstance(result, ArticleResult)
    assert len(result.articles) == len(PILLARS)
    entries = await bench.entries(lease)
    assert entries[: len(paid)] == paid
    assert kinds(entries) == ["USAGE"] * len(PILLARS)
    assert len(bench.simulator.calls) == len(PILLARS)
    await bench.assert_books_agree(lease)


async def test_holds_beside_each_other_are_no_lack_of_money(bench: Bench) -> None:
    """A budget that is enough for one article after the other is enough, however many are begun at once."""
    lease = await leased(bench, *PILLARS)
    await bench.set_limit(lease, 3 * hold_nano_usd(lease))
    result = await executor_of(bench, 6).execute(lease)
    assert isinstance(result, ArticleResult)
    assert len(result.articles) == len(PILLARS)
    assert len(bench.simulator.calls) == len(PILLARS)
    await bench.assert_books_agree(lease)


async def test_one_article_that_fails(bench: Bench) -> None:
    """The others that were begun are paid for and kept; another run writes what is lacking."""
    lease = await leased(bench, *PILLARS[:3])
    bench.simulator.misbehave(behave("status", status=403))
    with pytest.raises(StepFailed):
        await executor_of(bench, 3).execute(lease)
    assert len(await bench.entries(lease)) == 2
    again = await bench.workflows.fail_and_claim(lease)
    assert isinstance(await executor_of(bench, 3).execute(again), ArticleResult)
    assert len(await bench.entries(lease)) == 3
    await bench.assert_books_agree(lease)


async def test_a_step_has_a_deadline(bench: Bench) -> None:
    """After it no call is begun; the one in flight is settled, and its answer used by the next run."""
    lease = await leased(bench, *PILLARS[:2])
    bench.simulator.misbehave(behave("slow", seconds=0.5))
    executor = executor_of(bench, 1, deadline_seconds=0.2)
    with pytest.raises(StepFailed) as caught:
        await executor.execute(lease)
    error = caught.value.error
    assert (error.error_class, error.reason) == (ErrorClass.TIMEOUT, "STEP_DEADLINE_EXCEEDED")
    again = await bench.workflows.fail_and_claim(lease)
    assert isinstance(await executor_of(bench, 1).execute(again), ArticleResult)
    assert len(bench.simulator.calls) == 2
    assert [state for _, state, _ in route_of(await bench.workflows.calls(lease))] == ["SETTLED"] * 2
    await bench.assert_books_agree(lease)
