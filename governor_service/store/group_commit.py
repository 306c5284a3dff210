"""Group commit: items that arrive while a batch is in flight make up the next one.

There is no timer. A batch leaves as soon as a lane is free, with whatever has gathered by then: alone an
item waits for nothing, under load one transaction, one fsync and one lock on a hot row serve many.

Several kinds of items may share their lanes. They take turns then, and what waits for its turn gathers,
instead of waiting for the other kind's row locks in the database.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Generic, TypeVar

from service_chassis.deadline import seconds_left
from service_chassis.refusal import Refusal

Item = TypeVar("Item")
Answer = TypeVar("Answer")


LARGE_BATCH_ITEMS = 100
"""From so many on, a batch costs each of its items hardly less, and gains nothing from waiting for more."""


class Lanes:
    """How many batches may be in flight: so many that have gathered, and as many again that are large."""

    def __init__(self, number: int) -> None:
        self.gathered = asyncio.Semaphore(number)
        self.large = asyncio.Semaphore(number)


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Item, Answer]):
    item: Item
    answer: asyncio.Future[Answer]
    monotonic_deadline: float | None
    has_left: bool = False


class GroupCommit(Generic[Item, Answer]):
    """Commits items in batches. Each of the `stages` answers items in order, in one transaction.

    What a stage answers None, having done nothing about it, is left to the next; the last one answers all.

    An item that cannot be committed with the others is tried alone, so that it fails alone; a Refusal (the
    database is away) is everybody's.
    """

    def __init__(
        self,
        stages: Sequence[Callable[[Sequence[Item]], Awaitable[Sequence[Answer | None]]]],
        *,
        lanes: Lanes,
        items_max: int,
        waiters_max: int,
    ) -> None:
        self._stages = stages
        self._lanes = lanes
        self._items_max = items_max
        self._waiters_max = waiters_max
        self._queue: deque[_Waiting[Item, Answer]] = deque()
        self._waits_for_lane = False
        self._sending: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item) -> Answer:
        """The item's answer, once its batch has committed."""
        return (await self.submit_all([item]))[0]

    async def submit_all(self, items: Sequence[Item]) -> list[Answer]:
        """The answers of items that arrive together, in their order.

        DEADLINE_TOO_SHORT: the deadline passed before they left, and nothing was done. A caller who is
        cancelled before they leave takes them along; afterwards they are committed as they would have been.
        """
        if len(self._queue) >= self._waiters_max:
            raise Refusal("OVERLOADED", "too many requests wait for the database", retry_after_seconds=1)
        left = seconds_left()
        monotonic_deadline = None if left is None else time.monotonic() + left
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(item, loop.create_future(), monotonic_deadline) for item in items]
        self._queue.extend(waiting)
        self._call_a_lane()
        timer = None if left is None else loop.call_later(left, _give_up, waiting)
        try:
            if len(waiting) == 1:
                return [await waiting[0].answer]  # most calls; gather() is dear for one
            return list(await asyncio.gather(*(one.answer for one in waiting)))
        finally:
            if timer:
                timer.cancel()

    def _call_a_lane(self) -> None:
        """For whatever is in the queue by the time the lane is there."""
        if len(self._queue) >= LARGE_BATCH_ITEMS and not self._lanes.large.locked():
            self._send_by(self._lanes.large)
        elif not self._waits_for_lane:
            self._waits_for_lane = True
            self._send_by(self._lanes.gathered)

    def _send_by(self, lane: asyncio.Semaphore) -> None:
        # In a context of its own: a log line of a batch must not name the call that woke the lane.
        task = asyncio.create_task(self._send_batch(lane), context=Context())
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send_batch(self, lane: asyncio.Semaphore) -> None:
        async with lane:
            if lane is self._lanes.gathered:
                self._waits_for_lane = False
            batch = self._next_batch()
            if self._queue:
                self._call_a_lane()
            if not batch:
                return  # it left by another lane, or whoever called has given up since
            try:
                await self._commit(batch, self._stages)
            except Exception as error:
                _fail(batch, error)

    def _next_batch(self) -> list[_Waiting[Item, Answer]]:
        now = time.monotonic()
        batch: list[_Waiting[Item, Answer]] = []
        while self._queue and len(batch) < self._items_max:
            one = self._queue.popleft()
            if one.answer.done() or (one.monotonic_deadline is not None and one.monotonic_deadline <= now):
                continue
            one.has_left = True
            batch.append(one)
        return batch

    async def _commit(
        self,
        batch: Sequence[_Waiting[Item, Answer]],
        stages: Sequence[Callable[[Sequence[Item]], Awaitable[Sequence[Answer | None]]]],
    ) -> None:
        try:
            answers = await stages[0]([one.item for one in batch])
        except Refusal:
            raise
        except Exception:
            if len(batch) == 1:
                raise
            for one in batch:
                try:
                    await self._commit([one], stages)
                except Exception as error:
                    _fail([one], error)
            return
        left: list[_Waiting[Item, Answer]] = []
        for one, answer in zip(batch, answers, strict=True):
            if answer is None:
                left.append(one)
            elif not one.answer.done():
                one.answer.set_result(answer)
        if left:
            await self._commit(left, stages[1:])


def _give_up(waiting: Sequence[_Waiting[Item, Answer]]) -> None:
    """Tells those who wait, in time, that their deadline passes."""
    if any(one.has_left for one in waiting):
        refusal = Refusal(
            "DATABASE_UNAVAILABLE",
            "the database did not answer in time; what was asked may still be done",
            retry_after_seconds=1,
        )
    else:
        refusal = Refusal("DEADLINE_TOO_SHORT", "the deadline passed before the request could begin")
    _fail(waiting, refusal)


def _fail(batch: Sequence[_Waiting[Item, Answer]], error: Exception) -> None:
    for one in batch:
        if not one.answer.done():
            one.answer.set_exception(error)
