"""GetAuthorization: looks one hold up."""

from __future__ import annotations

from governor_service.domain import errors
from governor_service.domain.authorization import Hold, HoldTarget
from governor_service.store.holds import HoldStore


async def get_authorization(holds: HoldStore, target: HoldTarget) -> Hold:
    """One hold of the organization's."""
    hold = await holds.find(target.organization_id, target.authorization_id)
    if hold is None:
        raise errors.authorization_not_found()
    return hold
