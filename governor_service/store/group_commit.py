"""Group commit: items that arrive while a batch is in flight make up the next one.

There is no timer. A batch leaves as soon as a lane is free, with the items that have gathered by then. A
single item leaves at once; under load many items share one transaction, one fsync and one lock on a hot row.

Several kinds of items may share their lanes. A kind then waits for its turn in memory, and not for the other
kind's row locks in the database.

Organizations are kept apart:

- A batch takes one item of each organization in turn, and at most `ORGANIZATION_ITEMS_MAX` of one of them.
  The number of items that one organization has waiting is bounded. Its items keep their order.
- A batch waits for locks for a short time only (`SHORT_WAIT`). If that fails, it is sent again without the
  organizations that are locked (`NO_WAIT`). Each of these is decided apart, in its own transaction, while
  the lane goes on: with a short wait once more, then with a long one.
- If a batch fails for another reason, its organizations are decided apart, too. If an organization then
  fails again, its items are tried one by one.
- An organization that made trouble stays apart for a moment, so that the next batches do not wait for it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import Context
from typing import Final, Generic

from governor_service.store.lanes import Lanes
from governor_service.store.organization_queue import (
    Answer,
    Item,
    OrganizationQueue,
    Waiting,
    fail,
    give_up,
    hand_out,
)
from governor_service.store.stages import NO_WAIT, SHORT_WAIT, Answers, LockWait, Stage
from service_chassis.deadline import seconds_left
from service_chassis.postgres.database import Contended
from service_chassis.refusal import Refusal

LARGE_BATCH_ITEMS: Final = 100
"""A batch of this size does not wait for more items: a larger one costs hardly less for each item."""
ORGANIZATION_ITEMS_MAX: Final = 200
"""How many items of one organization a batch takes. This bounds how long the others wait for them."""
OWN_LOCK_SECONDS: Final = 0.3
"""An organization locked for longer counts as locked by others, even if another batch of ours has it."""
QUEUES_KEPT: Final = 1_000
"""How many organizations have a queue before the idle queues are deleted."""
TROUBLE_SECONDS: Final = 1.0
"""How long an organization is decided apart after it made trouble."""


class GroupCommit(Generic[Item, Answer]):
    """Commits items in batches. Each of the `stages` answers items in order, in one transaction.

    The next stage decides the items that a stage has LEFT_OUT. The last stage leaves nothing out.

    A Refusal that is not Contended, as when the database is away, is the answer to all items of the batch.
    """

    def __init__(
        self,
        stages: Sequence[Stage[Item, Answer]],
        *,
        organization_of: Callable[[Item], int],
        lanes: Lanes,
        items_max: int,
        waiters_max: int,
        organization_waiters_max: int | None = None,
        locked_waiters_max: int | None = None,
        is_always_apart: bool = False,
    ) -> None:
        """`organization_of` is the organization's id as a number, since a UUID is slow to hash.

        `waiters_max` bounds the items that wait for the lanes, and separately the items that wait apart.

        `organization_waiters_max` bounds the waiting items of one organization, `locked_waiters_max` those of
        an organization that is locked or makes other trouble. `is_always_apart`: each transaction has the
        items of one organization only.
        """
        self._stages = stages
        self._organization_of = organization_of
        self._lanes = lanes
        self._items_max = items_max
        self._waiters_max = waiters_max
        self._organization_waiters_max = organization_waiters_max or waiters_max
        self._locked_waiters_max = locked_waiters_max or self._organization_waiters_max
        self._is_always_apart = is_always_apart
        # Idle queues are deleted only when there are too many, since most are soon used again.
        self._queues: dict[int, OrganizationQueue[Item, Answer]] = {}
        self._queues_max = QUEUES_KEPT
        # The queues that have items waiting and are not apart. The first is next.
        self._rotation: deque[OrganizationQueue[Item, Answer]] = deque()
        self._waiting_for_lanes = 0
        self._waiting_apart = 0
        self._waits_for_lane = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item) -> Answer:
        """The item's answer, once its batch has committed.

        OVERLOADED: too many items wait already, of all organizations or of this one; or the organization
        stayed locked. DEADLINE_TOO_SHORT: the deadline passed before the item left, and nothing was done.
        If the caller is cancelled before the item leaves, the item is dropped; later it is still committed.
        """
        left = seconds_left()
        deadline = None if left is None else time.monotonic() + left
        waiting: Waiting[Item, Answer] = Waiting(item, asyncio.get_running_loop().create_future(), deadline)
        queue = self._queue_of(item)
        if refusal := self._refusal_for_full(queue):
            raise refusal
        self._append(queue, waiting)
        self._call_lane()
        if left is None:
            return await waiting.answer
        timer = asyncio.get_running_loop().call_later(left, give_up, (waiting,))
        try:
            return await waiting.answer
        finally:
            timer.cancel()

    async def submit_all(self, items: Sequence[Item]) -> list[Answer | Exception]:
        """The answer of each item, or the exception that `submit` would raise for it, in the items' order.

        If every item was refused, the first refusal is raised.
        """
        left = seconds_left()
        deadline = None if left is None else time.monotonic() + left
        loop = asyncio.get_running_loop()
        waiting: list[Waiting[Item, Answer]] = [
            Waiting(item, loop.create_future(), deadline) for item in items
        ]
        self._append_all(waiting)
        timer = None if left is None else loop.call_later(left, give_up, waiting)
        try:
            ends = await asyncio.gather(*(one.answer for one in waiting), return_exceptions=True)
        finally:
            if timer:
                timer.cancel()
        answers: list[Answer | Exception] = []
        for end in ends:
            if isinstance(end, BaseException) and not isinstance(end, Exception):
                raise end  # cancelled
            answers.append(end)
        refusals = [answer for answer in answers if isinstance(answer, Refusal)]
        if refusals and len(refusals) == len(answers):
            raise refusals[0]
        return answers

    def _append_all(self, waiting: Iterable[Waiting[Item, Answer]]) -> None:
        # The items of one organization are accepted or refused together: the bound is checked once for them.
        refusals: dict[int, Refusal | None] = {}
        for one in waiting:
            queue = self._queue_of(one.item)
            if queue.organization not in refusals:
                refusals[queue.organization] = self._refusal_for_full(queue)
            if refusal := refusals[queue.organization]:
                one.answer.set_exception(refusal)
            else:
                self._append(queue, one)
        self._call_lane()

    def _queue_of(self, item: Item) -> OrganizationQueue[Item, Answer]:
        organization = self._organization_of(item)
        queue = self._queues.get(organization)
        if queue is None:
            if len(self._queues) >= self._queues_max:
                self._forget_idle()
            queue = self._queues[organization] = OrganizationQueue(organization)
        return queue

    def _append(self, queue: OrganizationQueue[Item, Answer], one: Waiting[Item, Answer]) -> None:
        queue.waiting.append(one)
        if queue.is_apart:
            self._waiting_apart += 1
        elif self._is_always_apart or (queue.has_trouble and queue.recalls_trouble()):
            self._set_apart(queue)
        else:
            self._waiting_for_lanes += 1
            if len(queue.waiting) == 1:
                self._rotation.append(queue)

    def _refusal_for_full(self, queue: OrganizationQueue[Item, Answer]) -> Refusal | None:
        waiting = self._waiting_apart if queue.is_apart else self._waiting_for_lanes
        if waiting >= self._waiters_max:
            return _overloaded("too many requests wait for the database")
        if queue.is_apart and queue.has_trouble and len(queue.waiting) >= self._locked_waiters_max:
            self._waiting_apart -= queue.drop_ended()
            if len(queue.waiting) >= self._locked_waiters_max:
                return _overloaded("others were changing the same data for too long")
        if len(queue.waiting) >= self._organization_waiters_max:
            return _overloaded("too many requests of the organization wait for the database")
        return None

    def _call_lane(self) -> None:
        """Starts a batch. It takes the items that wait when its lane becomes free."""
        if not self._rotation:
            return
        if self._waiting_for_lanes >= LARGE_BATCH_ITEMS and not self._lanes.large.locked():
            self._start(self._send_batch(self._lanes.large))
        elif not self._waits_for_lane:
            self._waits_for_lane = True
            self._start(self._send_batch(self._lanes.gathered))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        # The context is empty: a log line of a batch must not name the call that started it.
        task = asyncio.create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_batch(self, lane: asyncio.Semaphore) -> None:
        async with lane:
            if lane is self._lanes.gathered:
                self._waits_for_lane = False
            batch = self._next_batch()
            self._call_lane()
            if not batch:
                return  # another lane took the items, or their callers have given up
            organizations = frozenset(self._organization_of(one.item) for one in batch)
            self._lanes.in_flight.append(organizations)
            try:
                await self._commit(batch, organizations)
            finally:
                self._lanes.in_flight = [each for each in self._lanes.in_flight if each is not organizations]

    async def _commit(self, batch: list[Waiting[Item, Answer]], organizations: frozenset[int]) -> None:
        for stage in self._stages:
            try:
                answers = await self._decide(stage, batch, organizations)
            except Contended:
                self._take_apart(batch)
                return
            except Refusal as refusal:
                fail(batch, refusal)
                return
            except Exception as error:
                if len(batch) == 1:
                    fail(batch, error)
                self._take_apart(batch)
                return
            batch, locked = hand_out(batch, answers)
            # Last to first: each item is put back at the front, so they keep their order.
            locked = [one for one in reversed(locked) if not self._takes_turn_again(one, organizations)]
            self._take_apart(reversed(locked))
            if not batch:
                return

    async def _decide(
        self,
        stage: Stage[Item, Answer],
        batch: Sequence[Waiting[Item, Answer]],
        organizations: frozenset[int],
    ) -> Answers[Answer]:
        """Decides with a short wait for locks; if that fails, without the organizations that are locked."""
        items = [one.item for one in batch]
        while True:
            try:
                return await stage(items, SHORT_WAIT)
            except Contended:
                # Our own older batch may have the locks. It ends soon, so this batch waits once more.
                if not self._lanes.has_older_with(organizations):
                    break
        return await stage(items, NO_WAIT)

    def _next_batch(self) -> list[Waiting[Item, Answer]]:
        now = time.monotonic()
        batch: list[Waiting[Item, Answer]] = []
        rotation = self._rotation
        for _ in range(ORGANIZATION_ITEMS_MAX):
            if not rotation:
                break
            for _ in range(len(rotation)):
                queue = rotation.popleft()
                waited = len(queue.waiting)
                one = queue.next(now)
                left = len(queue.waiting)
                self._waiting_for_lanes -= waited - left
                if left:
                    rotation.append(queue)
                if one is not None:
                    batch.append(one)
                    if len(batch) == self._items_max:
                        return batch
        return batch

    def _takes_turn_again(self, one: Waiting[Item, Answer], organizations: frozenset[int]) -> bool:
        """Puts an item back at the front if another batch of ours has its organization; whether it did."""
        queue = self._queue_of(one.item)
        if (
            queue.is_apart
            or queue.seconds_locked() > OWN_LOCK_SECONDS
            or not self._lanes.has_another_with(queue.organization, organizations)
        ):
            return False
        if not queue.waiting:
            self._rotation.appendleft(queue)
        queue.put_back([one])
        self._waiting_for_lanes += 1
        self._call_lane()
        return True

    def _take_apart(self, items: Iterable[Waiting[Item, Answer]]) -> None:
        """Puts undecided items back into their queues, and decides each of their organizations apart."""
        by_organization: dict[int, list[Waiting[Item, Answer]]] = {}
        for one in items:
            if not one.answer.done():
                by_organization.setdefault(self._organization_of(one.item), []).append(one)
        for own in by_organization.values():
            queue = self._queue_of(own[0].item)
            if not queue.is_apart:
                if queue.waiting:
                    self._rotation.remove(queue)
                    self._waiting_for_lanes -= len(queue.waiting)
                self._set_apart(queue)
            self._put_back(queue, own)

    def _set_apart(self, queue: OrganizationQueue[Item, Answer]) -> None:
        queue.is_apart = True
        self._waiting_apart += len(queue.waiting)
        self._start(self._decide_apart(queue))

    def _put_back(
        self, queue: OrganizationQueue[Item, Answer], items: Sequence[Waiting[Item, Answer]]
    ) -> None:
        queue.put_back(items)
        self._waiting_apart += len(items)

    async def _decide_apart(self, queue: OrganizationQueue[Item, Answer]) -> None:
        """Decides an organization's items in their own transactions until it makes no more trouble."""
        while True:
            wait = self._lanes.long_wait if queue.has_trouble else SHORT_WAIT
            slots = self._lanes.patient if wait.is_patient else self._lanes.apart
            if not await _acquired(slots, self._lanes.long_wait):
                fail(self._next_apart(queue), _overloaded("too many organizations are held up"))
                continue
            try:
                batch = self._next_apart(queue)
                if not batch:
                    break
                is_fine = await self._commit_apart(queue, batch, wait)
            finally:
                slots.release()
            queue.has_trouble = not is_fine
            queue.trouble_until = time.monotonic() + TROUBLE_SECONDS
            if is_fine and not self._is_always_apart:
                break
        queue.is_apart = False
        if queue.waiting:
            self._waiting_apart -= len(queue.waiting)
            self._waiting_for_lanes += len(queue.waiting)
            self._rotation.append(queue)
            self._call_lane()

    def _next_apart(self, queue: OrganizationQueue[Item, Answer]) -> list[Waiting[Item, Answer]]:
        now = time.monotonic()
        waited = len(queue.waiting)
        batch: list[Waiting[Item, Answer]] = []
        while len(batch) < ORGANIZATION_ITEMS_MAX and (one := queue.next(now)):
            batch.append(one)
        self._waiting_apart -= waited - len(queue.waiting)
        return batch

    async def _commit_apart(
        self, queue: OrganizationQueue[Item, Answer], batch: list[Waiting[Item, Answer]], wait: LockWait
    ) -> bool:
        """Whether the organization made no trouble. If a short wait fails, its items are put back."""
        for stage in self._stages:
            try:
                answers = await stage([one.item for one in batch], wait)
            except Contended as refusal:
                if wait.is_patient:
                    fail(batch, refusal)
                else:
                    self._put_back(queue, batch)
                return False
            except Refusal as refusal:
                fail(batch, refusal)
                return True  # the trouble is the database's, not the organization's
            except Exception as error:
                if len(batch) == 1:
                    fail(batch, error)
                else:
                    for one in batch:
                        await self._commit_apart(queue, [one], self._lanes.long_wait)
                return False
            batch, locked = hand_out(batch, answers)
            if locked:
                self._put_back(queue, locked)
                return False
            if not batch:
                break
        return True

    def _forget_idle(self) -> None:
        for queue in list(self._queues.values()):
            if queue.is_idle():
                del self._queues[queue.organization]
        self._queues_max = max(QUEUES_KEPT, 2 * len(self._queues))


async def _acquired(slots: asyncio.Semaphore, longest: LockWait) -> bool:
    try:
        async with asyncio.timeout(longest.milliseconds / 1000):
            return await slots.acquire()
    except TimeoutError:
        return False


def _overloaded(message: str) -> Refusal:
    return Refusal("OVERLOADED", message, retry_after_seconds=1)
