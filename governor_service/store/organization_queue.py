"""What an organization has waiting for group commit, and how those who wait are answered."""

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
    """What an organization has waiting, oldest first. Its turn comes by the rotation, or it is apart."""

    organization: int
    waiting: deque[Waiting[Item, Answer]] = field(default_factory=deque)
    is_apart: bool = False
    has_trouble: bool = False
    trouble_until: float = 0.0
    locked_since: float = 0.0

    def recalls_trouble(self) -> bool:
        """Whether it made trouble a moment ago. Later it is forgotten."""
        self.has_trouble = self.has_trouble and self.trouble_until > time.monotonic()
        return self.has_trouble

    def seconds_locked(self) -> float:
        """For how long batches have found it locked; after a second they start counting anew."""
        now = time.monotonic()
        if now - self.locked_since > 1.0:
            self.locked_since = now
        return now - self.locked_since

    def is_idle(self) -> bool:
        """Whether nothing has to be remembered of it."""
        return not (self.waiting or self.is_apart or self.recalls_trouble())

    def next(self, now: float) -> Waiting[Item, Answer] | None:
        """The first item that somebody still waits for. It has left."""
        while self.waiting:
            one = self.waiting.popleft()
            if one.answer.done() or (one.monotonic_deadline is not None and one.monotonic_deadline <= now):
                continue
            one.has_left = True
            return one
        return None

    def drop_ended(self) -> int:
        """Forgets items that nobody waits for any more; how many."""
        before = len(self.waiting)
        self.waiting = deque(one for one in self.waiting if not one.answer.done())
        return before - len(self.waiting)

    def put_back(self, items: Sequence[Waiting[Item, Answer]]) -> None:
        """Puts items that nothing was done about before all others."""
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
    """Hands answers out to those who wait; returns what is for the next stage, and what is locked."""
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
    """Tells those who wait, in time, that their deadline passes."""
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
