"""Stages of a batch: what group commit asks of the statements that decide it, and what they answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class LockWait:
    """How long a stage waits for each lock; with 0 it leaves out organizations that are locked.

    `is_patient` waits happen beside the lanes, and take connections that are not kept free for the lanes.
    """

    milliseconds: int
    is_patient: bool = False


NO_WAIT: Final = LockWait(0)
SHORT_WAIT: Final = LockWait(100)


class NoAnswer(Enum):
    """What a stage has done nothing about, and why."""

    LEFT_OUT = "the next stage decides it"
    LOCKED = "somebody else has locked its organization"


Answers: TypeAlias = Sequence[Answer | NoAnswer]
Stage: TypeAlias = Callable[[Sequence[Item], LockWait], Awaitable[Answers[Answer]]]
