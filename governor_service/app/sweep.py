"""The sweeper ends holds that nobody ended within the retention time. Several sweepers may run at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import structlog

from governor_service.domain.authorization import Swept
from governor_service.store.holds import HoldStore
from service_chassis.logs import RepeatedLines
from service_chassis.postgres.database import Contended
from service_chassis.refusal import Refusal

AUTHOR = "sweeper"
_ORGANIZATIONS_AT_ONCE = 100
_HOLDS_AT_ONCE = 500

_log = structlog.get_logger()
_trouble = RepeatedLines(_log)


async def sweep(holds: HoldStore, retention: timedelta) -> Swept:
    """One round. An error of one organization is logged, and the other organizations are still swept."""
    swept = Swept(0, 0)
    for organization_id in await holds.organizations_to_sweep(
        retention=retention, limit=_ORGANIZATIONS_AT_ONCE
    ):
        try:
            swept += await holds.sweep(
                organization_id, retention=retention, limit=_HOLDS_AT_ONCE, author=AUTHOR
            )
        except Contended as refusal:
            _warn(refusal, organization_id)  # its turn comes again in the next round
        except Refusal:
            raise  # the database is away, for all of them
        except Exception as error:
            _warn(error, organization_id)
    return swept


async def keep_sweeping(holds: HoldStore, retention: timedelta, interval_seconds: float) -> None:
    """Sweeps until cancelled, without a pause while there is more to do. Errors are logged."""
    while True:
        try:
            swept = await sweep(holds, retention)
        except Exception as error:
            _trouble.warning("sweep_failed", error_type=type(error).__name__)
        else:
            if swept != Swept(0, 0):
                _log.info("swept", released_holds=swept.released_holds, charged_holds=swept.charged_holds)
                continue
        await asyncio.sleep(interval_seconds)


def _warn(error: Exception, organization_id: UUID) -> None:
    _trouble.warning(
        "sweep_failed", error_type=type(error).__name__, example={"organization_id": str(organization_id)}
    )
