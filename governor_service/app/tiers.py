"""ListTiers and SetTier: subscription levels."""

from __future__ import annotations

from governor_service.domain import errors
from governor_service.domain.organizations import ChangeRequest, SetOutcome, Tier, TierTerms
from governor_service.store import tiers
from service_chassis.postgres.database import Connection, Database


async def list_tiers(database: Database, *, after_tier: str, limit: int) -> list[Tier]:
    """At most `limit` tiers after a name, by name."""
    async with database.read() as connection:
        return await tiers.list_tiers(connection, after_tier=after_tier, limit=limit)


async def set_tier(database: Database, terms: TierTerms, request: ChangeRequest) -> Tier:
    """Creates a tier or replaces all of it. It applies from the next decision on."""

    async def work(connection: Connection) -> tuple[SetOutcome, Tier | None]:
        return await tiers.set_tier(connection, terms, request)

    outcome, tier = await database.write(work)
    if outcome is SetOutcome.REQUEST_ID_REUSED:
        raise errors.request_id_reused()
    assert tier is not None
    return tier
