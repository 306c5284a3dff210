"""Group commit: items that gather while a batch is in flight make up the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from governor_service.store.group_commit import GroupCommit
from governor_service.store.lanes import Lanes
from governor_service.store.stages import LockWait, NoAnswer
from service_chassis.deadline import set_deadline
from service_chassis.refusal import Refusal


def nobodys(_item: object) -> int:
    """All items belong to one organization."""
    return 0


class Commits:
    """A stage that waits until `go` is set. A batch with a negative item fails; 0: the database is away."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Event()

    async def __call__(self, items: Sequence[int], _wait: LockWait) -> list[int]:
        self.batches.append(list(items))
        await self.go.wait()
        if any(item == 0 for item in items):
            raise Refusal("DATABASE_UNAVAILABLE", "away")
        if any(item < 0 for item in items):
            raise ArithmeticError("poison")
        return [item * 10 for item in items]


def grouped(
    commits: Commits, *, lanes: int = 1, items_max: int = 100, waiters_max: int = 100
) -> GroupCommit[int, int]:
    return GroupCommit(
        [commits],
        organization_of=nobodys,
        lanes=Lanes(lanes),
        items_max=items_max,
        waiters_max=waiters_max,
    )


async def settled() -> None:
    """Lets every task run as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_gathers_is_the_next_batch() -> None:
    """The first item leaves alone at once; the others leave together, and each gets its own answer."""
    commits = Commits()
    group = grouped(commits)
    calls = [asyncio.create_task(group.submit(1))]
    await settled()
    calls += [asyncio.create_task(group.submit(item)) for item in (2, 3, 4)]
    await settled()
    assert commits.batches == [[1]]
    commits.go.set()
    assert await asyncio.gather(*calls) == [10, 20, 30, 40]
    assert commits.batches == [[1], [2, 3, 4]]
    assert await group.submit(5) == 50


async def test_no_more_lanes_and_items_than_allowed() -> None:
    """With two lanes and two items a batch, two batches are in flight, and none has more than two items."""
    commits = Commits()
    group = grouped(commits, lanes=2, items_max=2)
    calls = []
    for item in range(1, 8):
        calls.append(asyncio.create_task(group.submit(item)))
        await settled()
    assert commits.batches == [[1], [2]]
    commits.go.set()
    await asyncio.gather(*calls)
    assert all(len(batch) <= 2 for batch in commits.batches)


async def test_two_kinds_that_share_a_lane_take_turns() -> None:
    """One batch is in flight at a time, and the batches of the two kinds alternate."""
    lane = Lanes(1)
    batches: list[list[str]] = []
    in_flight = 0

    async def commit(items: Sequence[str], _wait: LockWait) -> Sequence[str]:
        nonlocal in_flight
        batches.append(list(items))
        in_flight += 1
        assert in_flight == 1
        await settled()
        in_flight -= 1
        return items

    ones, others = (
        GroupCommit([commit], organization_of=nobodys, lanes=lane, items_max=2, waiters_max=100)
        for _ in range(2)
    )
    first = asyncio.create_task(ones.submit("a1"))
    await asyncio.sleep(0)
    calls = [asyncio.create_task(ones.submit(item)) for item in ("a2", "a3", "a4", "a5")]
    calls += [asyncio.create_task(others.submit(item)) for item in ("b1", "b2", "b3")]
    assert await asyncio.gather(first, *calls) == ["a1", "a2", "a3", "a4", "a5", "b1", "b2", "b3"]
    assert batches == [["a1"], ["a2", "a3"], ["b1", "b2"], ["a4", "a5"], ["b3"]]


async def test_a_large_batch_waits_for_no_other() -> None:
    """A large batch leaves while a small one is in flight; a second large one waits for the first."""
    commits = Commits()
    group = grouped(commits, items_max=1_000)
    small = asyncio.create_task(group.submit(1))
    await settled()
    some = [asyncio.create_task(group.submit_all([2] * 60)) for _ in range(2)]
    await settled()
    more = asyncio.create_task(group.submit_all([3] * 100))
    await settled()
    assert [len(batch) for batch in commits.batches] == [1, 120]
    commits.go.set()
    assert await asyncio.gather(small, *some, more) == [10, [20] * 60, [20] * 60, [30] * 100]
    assert [len(batch) for batch in commits.batches] == [1, 120, 100]


async def test_a_batch_that_everybody_has_left_is_none() -> None:
    """If all callers were cancelled, no batch is sent, and the lane is free for the next one."""
    commits = Commits()
    group = grouped(commits)
    first = asyncio.create_task(group.submit(1))
    await settled()
    second = asyncio.create_task(group.submit(2))
    await settled()
    second.cancel()
    commits.go.set()
    assert await first == 10
    await settled()
    assert commits.batches == [[1]]
    assert await group.submit(3) == 30


async def test_an_item_that_cannot_be_committed_fails_alone() -> None:
    """The other items of its batch are answered."""
    commits = Commits()
    group = grouped(commits)
    first = asyncio.create_task(group.submit(1))
    await settled()
    calls = [asyncio.create_task(group.submit(item)) for item in (2, -3, 4)]
    await settled()
    commits.go.set()
    answers = await asyncio.gather(first, *calls, return_exceptions=True)
    assert [answers[0], answers[1], answers[3]] == [10, 20, 40]
    assert isinstance(answers[2], ArithmeticError)


async def test_a_database_that_is_away_is_everybodys_trouble() -> None:
    """If the database is away, the batch is tried once, and all items get the same refusal."""
    commits = Commits()
    commits.go.set()
    group = grouped(commits)
    answers = await asyncio.gather(*(group.submit(item) for item in (1, 0)), return_exceptions=True)
    assert all(isinstance(answer, Refusal) for answer in answers[1:])
    assert len(commits.batches) <= 2


async def test_a_caller_who_goes_away_before_its_batch_leaves_takes_its_item_along() -> None:
    """The item of a cancelled caller is dropped if it has not left, and otherwise committed."""
    commits = Commits()
    group = grouped(commits)
    left = asyncio.create_task(group.submit(1))
    await settled()
    waiting = asyncio.create_task(group.submit(2))
    await settled()
    waiting.cancel()
    left.cancel()
    await settled()
    commits.go.set()
    assert await group.submit(3) == 30
    assert commits.batches == [[1], [3]]


async def test_an_item_whose_deadline_passed_is_not_done() -> None:
    """The item never leaves, and its caller gets DEADLINE_TOO_SHORT."""
    commits = Commits()
    group = grouped(commits)
    first = asyncio.create_task(group.submit(1))
    await settled()

    async def hurried() -> int:
        set_deadline(0.01)
        return await group.submit(2)

    with pytest.raises(Refusal) as caught:
        await hurried_task(hurried())
    assert caught.value.reason == "DEADLINE_TOO_SHORT"
    commits.go.set()
    await first
    assert commits.batches == [[1]]


async def test_a_deadline_that_passes_under_way_is_unknown() -> None:
    """The caller gets DATABASE_UNAVAILABLE, since the item may still be committed."""
    commits = Commits()
    group = grouped(commits)

    async def hurried() -> int:
        set_deadline(0.01)
        return await group.submit(1)

    with pytest.raises(Refusal) as caught:
        await hurried_task(hurried())
    assert caught.value.reason == "DATABASE_UNAVAILABLE"
    commits.go.set()
    assert await group.submit(2) == 20


async def test_waiters_have_a_bound() -> None:
    """Further calls fail immediately with OVERLOADED."""
    commits = Commits()
    group = grouped(commits, waiters_max=2)
    calls = []
    for item in (1, 2, 3):
        calls.append(asyncio.create_task(group.submit(item)))
        await settled()
    with pytest.raises(Refusal) as caught:
        await group.submit(4)
    assert caught.value.reason == "OVERLOADED"
    commits.go.set()
    assert await asyncio.gather(*calls) == [10, 20, 30]


async def hurried_task(work: object) -> int:
    """Runs in its own task, since a deadline belongs to the task that sets it."""
    return await asyncio.create_task(work)  # type: ignore[arg-type]


async def test_what_a_stage_leaves_is_the_nexts() -> None:
    """The next stage gets the left-out items. If it fails, the answers of the first stage remain."""
    batches: list[list[int]] = []

    async def evens(items: Sequence[int], _wait: LockWait) -> Sequence[int | NoAnswer]:
        return [NoAnswer.LEFT_OUT if item % 2 else item * 10 for item in items]

    async def odds(items: Sequence[int], _wait: LockWait) -> Sequence[int]:
        batches.append(list(items))
        if 5 in items:
            raise Refusal("DATABASE_UNAVAILABLE", "away")
        return [-item for item in items]

    group = GroupCommit(
        [evens, odds], organization_of=nobodys, lanes=Lanes(1), items_max=100, waiters_max=100
    )
    assert await group.submit_all([1, 2, 3, 4]) == [-1, 20, -3, 40]
    calls = [asyncio.create_task(group.submit(item)) for item in (5, 6, 7)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert answers[1] == 60
    assert [isinstance(answer, Refusal) for answer in answers] == [True, False, True]
    assert batches == [[1, 3], [5, 7]]


async def test_a_batch_is_nobodys_call() -> None:
    """Log lines of a batch do not have the correlation id of one caller."""
    caller: ContextVar[str | None] = ContextVar("caller", default=None)
    seen: list[str | None] = []

    async def commit(items: Sequence[int], _wait: LockWait) -> Sequence[int]:
        seen.append(caller.get())
        return items

    group = GroupCommit([commit], organization_of=nobodys, lanes=Lanes(1), items_max=100, waiters_max=100)
    caller.set("one of many")
    assert await group.submit(1) == 1
    assert seen == [None]
