"""SetFreeze: no new hold is placed until the freeze is lifted."""

from __future__ import annotations

from governor_service.domain import errors
from governor_service.domain.organizations import ChangeRequest, Freeze, FreezeTarget, SetOutcome
from governor_service.store import freezes
from governor_service.store.prices import price_at_time
from service_chassis.postgres.database import Connection, Database


async def set_freeze(
    database: Database,
    target: FreezeTarget,
    request: ChangeRequest,
    *,
    frozen: bool,
    reason: str,
    allow_unpriced: bool,
) -> Freeze:
    """Freezes the target, or lifts its freeze. Existing holds can still be settled, voided and replayed.

    Refuses a model without a price with MODEL_NOT_PRICED, since its name may be mistyped, unless
    `allow_unpriced`.
    """

    async def work(connection: Connection) -> tuple[SetOutcome, Freeze | None]:
        model = target.model
        if model and not allow_unpriced and await price_at_time(connection, model, None) is None:
            raise errors.model_not_priced(model)
        return await freezes.set_freeze(connection, target, request, frozen=frozen, reason=reason)

    outcome, freeze = await database.write(work)
    if outcome is SetOutcome.REQUEST_ID_REUSED:
        raise errors.request_id_reused()
    assert freeze is not None
    return freeze
