"""Works on the items of a step, several at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from workflow_service.app.step_failed import StepFailed
from workflow_service.domain.error_class import ErrorClass

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")


async def answer_items(
    items: Sequence[ItemT],
    answer: Callable[[ItemT], Awaitable[AnswerT]],
    *,
    at_once: int,
) -> list[AnswerT]:
    """The answers, in the order of the items.

    After a failure no further item is begun. Those that have begun are worked on to their end, so that what
    they cost is not lost; then the failure of the first item is raised.

    While several are worked on, their holds together may be more than the budget has, although what they will
    cost is not. So an item that is denied is begun again when the others have ended.
    """
    waiting = deque(range(len(items)))
    answers: dict[int, AnswerT] = {}
    failures: dict[int, Exception] = {}
    working = min(at_once, len(items))

    async def work() -> None:
        nonlocal working
        while waiting and not failures:
            number = waiting.popleft()
            try:
                answers[number] = await answer(items[number])
            except Exception as error:
                if _is_denied(error) and working > 1:
                    waiting.appendleft(number)
                    break
                failures[number] = error
        working -= 1

    await asyncio.gather(*(work() for _ in range(working)))
    if failures:
        raise failures[min(failures)]
    return [answers[number] for number in range(len(items))]


def _is_denied(error: Exception) -> bool:
    return isinstance(error, StepFailed) and error.error.error_class is ErrorClass.BUDGET_DENIED
