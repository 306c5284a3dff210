"""How many output tokens a model is asked for: more than those that its last answer was cut off at."""

from dataclasses import dataclass
from typing import Final

OUTPUT_TOKENS_LIMIT: Final = 32_768
"""Models that are still not done by then do not come to an end."""
_GROWTH: Final = 3


@dataclass(frozen=True, slots=True)
class OutputTokens:
    at_most: int
    at_least: int | None = None
    """What the budget has to have; None: all of `at_most`."""


def output_tokens(usual: int, cut_off_at: int | None) -> OutputTokens | None:
    """`cut_off_at`: the most that the model was granted, and used up; None if it never was.

    None where there is no more to ask for. A budget that has too few for all grants half as many again at
    the least: fewer would end like the call before.
    """
    if cut_off_at is None:
        return OutputTokens(usual)
    more = min(_GROWTH * cut_off_at, OUTPUT_TOKENS_LIMIT)
    at_least = cut_off_at + (cut_off_at + 1) // 2
    return OutputTokens(more, at_least) if at_least <= more else None
