"""Extend: keeps the hold of a call that takes longer than expected."""

from __future__ import annotations

from typing import assert_never

from governor_service.domain import errors
from governor_service.domain.authorization import (
    HOLD_DURATION_MAX,
    Ended,
    Extension,
    Hold,
    NotFound,
    NotLater,
    TooLate,
)
from governor_service.store.holds import HoldStore
from service_chassis.refusal import invalid_field, too_large


async def extend(holds: HoldStore, extension: Extension) -> Hold:
    """Sets a later expire_time on a hold that is PENDING or in SUSPENSE. A repeated call changes nothing."""
    match await holds.extend(extension):
        case Hold() as hold:
            return hold
        case NotLater():
            raise invalid_field("expire_time", "is earlier than the present one, or not after now")
        case TooLate():
            hours = HOLD_DURATION_MAX.total_seconds() / 3600
            raise too_large("expire_time", f"is more than {hours:g} hours from now")
        case Ended() as ended:
            raise errors.authorization_not_pending(ended)
        case NotFound():
            raise errors.authorization_not_found()
        case answer:
            assert_never(answer)
