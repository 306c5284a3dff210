"""ListTiers and SetTier: subscription levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from governor_service.domain import errors
from governor_service.domain.model_id import ModelId
from governor_service.domain.organizations import ChangeRequest, SetOutcome, Tier, TierTerms
from governor_service.store import tiers
from governor_service.store.prices import resolve_model
from service_chassis.postgres.database import Connection, Database


async def list_tiers(database: Database, *, after_tier: str, limit: int) -> list[Tier]:
    """At most `limit` tiers after a name, by name."""
    async with database.read() as connection:
        return await tiers.list_tiers(connection, after_tier=after_tier, limit=limit)


async def set_tier(
    database: Database, terms: TierTerms, allowed_models: Sequence[ModelId], request: ChangeRequest
) -> Tier:
    """Creates a tier or replaces all of it. It applies from the next decision on.

    It allows the models that `allowed_models` are now.
    """

    async def work(connection: Connection) -> tuple[SetOutcome, Tier | None]:
        models = [await resolve_model(connection, model, None) for model in allowed_models]
        return await tiers.set_tier(
            connection, replace(terms, allowed_models=tuple(dict.fromkeys(models))), request
        )

    outcome, tier = await database.write(work)
    if outcome is SetOutcome.REQUEST_ID_REUSED:
        raise errors.request_id_reused()
    assert tier is not None
    return tier
