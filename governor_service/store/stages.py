"""Stages of a batch: the statements that decide it, as group commit calls them, and their answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class LockWait:
    """How long a stage waits for each lock. With 0 it answers LOCKED for organizations that are locked.

    An `is_patient` wait happens beside the lanes, and does not use the connections reserved for the lanes.
    """

    milliseconds: int
    is_patient: bool = False


NO_WAIT: Final = LockWait(0)
SHORT_WAIT: Final = LockWait(100)


class NoAnswer(Enum):
    """Why a stage did nothing about an item."""

    LEFT_OUT = "the next stage decides it"
    LOCKED = "somebody else has locked its organization"


Answers: TypeAlias = Sequence[Answer | NoAnswer]
Stage: TypeAlias = Callable[[Sequence[Item], LockWait], Awaitable[Answers[Answer]]]
