"""SetFreeze: nothing new is authorized until it is lifted."""

from __future__ import annotations

from governor_service.domain import errors
from governor_service.domain.organizations import ChangeRequest, Freeze, FreezeTarget, SetOutcome
from governor_service.store import freezes
from service_chassis.postgres.database import Connection, Database


async def set_freeze(
    database: Database, target: FreezeTarget, request: ChangeRequest, *, frozen: bool, reason: str
) -> Freeze:
    """Freezes or lifts. Holds that stand are settled, voided and replayed as before."""

    async def work(connection: Connection) -> tuple[SetOutcome, Freeze | None]:
        return await freezes.set_freeze(connection, target, request, frozen=frozen, reason=reason)

    outcome, freeze = await database.write(work, is_one_statement=True)
    if outcome is SetOutcome.REQUEST_ID_REUSED:
        raise errors.request_id_reused()
    assert freeze is not None
    return freeze
