"""Extend: a call that takes longer than was thought."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from governor_service.domain import errors
from governor_service.domain.authorization import HOLD_DURATION_MAX, ExtendOutcome, Hold
from governor_service.store.holds import HoldStore
from service_chassis.refusal import invalid_field, too_large


async def extend(
    holds: HoldStore, organization_id: UUID, authorization_id: UUID, expire_time: datetime
) -> Hold:
    """Sets a later expire_time on a hold that is PENDING or in SUSPENSE. Said twice, it is done once."""
    outcome, hold = await holds.extend(organization_id, authorization_id, expire_time)
    if hold is None:
        raise errors.authorization_not_found()
    match outcome:
        case ExtendOutcome.NOT_LATER:
            raise invalid_field("expire_time", "is earlier than it is, or not after now")
        case ExtendOutcome.TOO_LATE:
            hours = HOLD_DURATION_MAX.total_seconds() / 3600
            raise too_large("expire_time", f"is more than {hours:g} hours from now")
        case ExtendOutcome.EXTENDED:
            return hold
        case _:
            ended = hold.authorization
            raise errors.authorization_not_pending(ended.state, ended.authorization_id, ended.entry_id)
