"""The items that an organization has waiting for group commit, and how their callers are answered."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from governor_service.store.stages import Answers, NoAnswer
from service_chassis.refusal import Refusal

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(slots=True, eq=False)
class OrganizationQueue(Generic[Item, Answer]):
    """An organization's waiting items, oldest first. It takes turns in the rotation unless it is apart."""

    organization: int
    waiting: deque[Waiting[Item, Answer]] = field(default_factory=deque)
    is_apart: bool = False
    has_trouble: bool = False
    trouble_until: float = 0.0
    locked_since: float = 0.0

    def recalls_trouble(self) -> bool:
        """Whether it made trouble a moment ago; resets `has_trouble` once the moment has passed."""
        self.has_trouble = self.has_trouble and self.trouble_until > time.monotonic()
        return self.has_trouble

    def seconds_locked(self) -> float:
        """For how long batches have found it locked. The count starts again after one second."""
        now = time.monotonic()
        if now - self.locked_since > 1.0:
            self.locked_since = now
        return now - self.locked_since

    def is_idle(self) -> bool:
        """Whether the queue may be deleted."""
        return not (self.waiting or self.is_apart or self.recalls_trouble())

    def next(self, now: float) -> Waiting[Item, Answer] | None:
        """Takes the first item whose caller still waits out of the queue; None if there is none."""
        while self.waiting:
            one = self.waiting.popleft()
            if one.answer.done() or (one.monotonic_deadline is not None and one.monotonic_deadline <= now):
                continue
            one.has_left = True
            return one
        return None

    def drop_ended(self) -> int:
        """Drops the items whose callers no longer wait, and returns their number."""
        before = len(self.waiting)
        self.waiting = deque(one for one in self.waiting if not one.answer.done())
        return before - len(self.waiting)

    def put_back(self, items: Sequence[Waiting[Item, Answer]]) -> None:
        """Puts undecided items back at the front, in their order."""
        for one in reversed(items):
            one.has_left = False
            self.waiting.appendleft(one)


@dataclass(slots=True, eq=False)
class Waiting(Generic[Item, Answer]):
    item: Item
    answer: asyncio.Future[Answer]
    monotonic_deadline: float | None
    has_left: bool = False


def hand_out(
    batch: Sequence[Waiting[Item, Answer]], answers: Answers[Answer]
) -> tuple[list[Waiting[Item, Answer]], list[Waiting[Item, Answer]]]:
    """Gives the callers their answers; returns the items for the next stage, and the locked ones."""
    left_out: list[Waiting[Item, Answer]] = []
    locked: list[Waiting[Item, Answer]] = []
    for one, answer in zip(batch, answers, strict=True):
        if answer is NoAnswer.LEFT_OUT:
            left_out.append(one)
        elif answer is NoAnswer.LOCKED:
            locked.append(one)
        elif not one.answer.done():
            one.answer.set_result(answer)
    return left_out, locked


def give_up(waiting: Sequence[Waiting[Item, Answer]]) -> None:
    """Answers callers whose deadline passes with the refusal that fits how far their items got."""
    if any(one.has_left for one in waiting):
        refusal = Refusal(
            "DATABASE_UNAVAILABLE",
            "the database did not answer in time; what was asked may still be done",
            retry_after_seconds=1,
        )
    else:
        refusal = Refusal("DEADLINE_TOO_SHORT", "the deadline passed before the request could begin")
    fail(waiting, refusal)


def fail(batch: Iterable[Waiting[Item, Answer]], error: Exception) -> None:
    for one in batch:
        if not one.answer.done():
            one.answer.set_exception(error)
