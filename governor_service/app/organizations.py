"""GetOrganization and SetOrganization: the tier and overrides of an organization."""

from __future__ import annotations

from uuid import UUID

from governor_service.domain import errors
from governor_service.domain.organizations import ChangeRequest, Organization, OrganizationChange, SetOutcome
from governor_service.store import organizations
from service_chassis.postgres.database import Connection, Database


async def get_organization(
    database: Database, organization_id: UUID, *, denies_unknown: bool
) -> Organization:
    """Before it is set up, an organization has the default tier. Then `denies_unknown` refuses it with
    ORGANIZATION_UNKNOWN."""
    async with database.read() as connection:
        organization = await organizations.find(connection, organization_id, denies_unknown=denies_unknown)
    if organization is None:
        raise errors.organization_unknown()
    return organization


async def set_organization(
    database: Database, change: OrganizationChange, request: ChangeRequest
) -> Organization:
    """Changes the fields that `change` names. The organization then counts as set up."""

    async def work(connection: Connection) -> tuple[SetOutcome, Organization | None]:
        return await organizations.set_organization(connection, change, request)

    outcome, organization = await database.write(work)
    if outcome is SetOutcome.TIER_NOT_FOUND:
        raise errors.tier_not_found(change.tier or "")
    if outcome is SetOutcome.REQUEST_ID_REUSED:
        raise errors.request_id_reused()
    assert organization is not None
    return organization
