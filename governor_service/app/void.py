"""Void: ends a hold whose call was never sent, or was refused without charge."""

from __future__ import annotations

from uuid import UUID

from governor_service.domain import errors
from governor_service.domain.authorization import Hold, VoidOutcome
from governor_service.store.holds import HoldStore


async def void(
    holds: HoldStore, organization_id: UUID, authorization_id: UUID, *, request_id: UUID | None, reason: str
) -> Hold:
    """Gives a hold back whole. With its request_id it also stops an Authorize that is still on its way."""
    answer = await holds.void(organization_id, authorization_id, request_id=request_id, reason=reason)
    if answer.hold is None:
        raise errors.authorization_not_found()
    if answer.outcome is VoidOutcome.AUTHORIZATION_NOT_PENDING:
        ended = answer.hold.authorization
        raise errors.authorization_not_pending(ended.state, ended.authorization_id, ended.entry_id)
    return answer.hold
