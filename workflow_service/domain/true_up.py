"""When the provider's record of a call that was charged as unknown is looked up.

Records are late: seconds as a rule, minutes at times. So each look comes when as much time again has passed,
until an hour after the call was settled.
"""

from typing import Final

FIRST_LOOK_SECONDS: Final = 5.0
LAST_LOOK_SECONDS: Final = 3600.0


def next_look_seconds(age_seconds: float) -> float | None:
    """The wait for the look after one that found nothing; None after the last.

    `age_seconds`: the time since the call was settled.
    """
    if age_seconds >= LAST_LOOK_SECONDS:
        return None
    return min(max(age_seconds, FIRST_LOOK_SECONDS), LAST_LOOK_SECONDS - age_seconds)
