"""GetAuthorization: looks one hold up."""

from __future__ import annotations

from uuid import UUID

from governor_service.domain import errors
from governor_service.domain.authorization import Hold
from governor_service.store.holds import HoldStore


async def get_authorization(holds: HoldStore, organization_id: UUID, authorization_id: UUID) -> Hold:
    """One hold of the organization's."""
    hold = await holds.find(organization_id, authorization_id)
    if hold is None:
        raise errors.authorization_not_found()
    return hold
