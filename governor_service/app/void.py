"""Void: ends a hold whose call was never sent, or was refused without charge."""

from __future__ import annotations

from typing import assert_never

from governor_service.domain import errors
from governor_service.domain.authorization import Ended, Hold, HoldTarget, NotFound
from governor_service.store.holds import HoldStore


async def void(holds: HoldStore, target: HoldTarget, *, reason: str) -> Hold:
    """Releases the whole hold. By request_id it also stops an Authorize that has not been decided yet."""
    match await holds.void(target, reason=reason):
        case Hold() as hold:
            return hold
        case Ended() as ended:
            raise errors.authorization_not_pending(ended)
        case NotFound():
            raise errors.authorization_not_found()
        case answer:
            assert_never(answer)
