"""SetFreeze: no new hold is placed until the freeze is lifted."""

from __future__ import annotations

from uuid import UUID

from governor_service.domain import errors
from governor_service.domain.model_id import ModelId
from governor_service.domain.organizations import ChangeRequest, Freeze, FreezeTarget, SetOutcome
from governor_service.store import freezes
from governor_service.store.prices import price_at_time, resolve_model
from service_chassis.postgres.database import Connection, Database


async def set_freeze(
    database: Database,
    target: FreezeTarget,
    model: ModelId | None,
    request: ChangeRequest,
    *,
    frozen: bool,
    reason: str,
    allow_unpriced: bool,
) -> Freeze:
    """Freezes the target, or lifts its freeze. Existing holds can still be settled, voided and replayed.

    If the target is a model, that is frozen which `model` is now. Refuses a model without a price with
    MODEL_NOT_PRICED, since its name may be mistyped, unless `allow_unpriced`.
    """

    async def work(connection: Connection) -> tuple[SetOutcome, Freeze | None]:
        if model is None:
            return await freezes.set_freeze(connection, target, request, frozen=frozen, reason=reason)
        name = await resolve_model(connection, model, None)
        outcome, freeze = await freezes.set_freeze(
            connection, FreezeTarget(model=name), request, frozen=frozen, reason=reason
        )
        # Only a new change is refused: a replay is answered whatever has a price now.
        is_new = outcome is SetOutcome.SET
        if is_new and not allow_unpriced and await price_at_time(connection, name, {}, None) is None:
            # Raised within the transaction, which takes the change back.
            raise errors.model_not_priced(name)
        return outcome, freeze

    outcome, freeze = await database.write(work)
    if outcome is SetOutcome.REQUEST_ID_REUSED:
        raise errors.request_id_reused()
    assert freeze is not None
    return freeze


async def list_freezes(
    database: Database, organization_id: UUID | None, *, after: tuple[UUID, str] | None, limit: int
) -> list[Freeze]:
    """At most `limit` freezes in force after an organization and model (None: from the first on).

    `organization_id` None: every freeze; else those that concern the organization.
    """
    async with database.read() as connection:
        return await freezes.list_freezes(connection, organization_id, after=after, limit=limit)
