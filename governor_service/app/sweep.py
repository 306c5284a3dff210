"""The sweeper takes care of holds that nobody ended, after the retention time. Any number may run at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from governor_service.store.holds import HoldStore
from service_chassis.refusal import Refusal

AUTHOR = "sweeper"
_ORGANIZATIONS_AT_ONCE = 100
_HOLDS_AT_ONCE = 500

_log = structlog.get_logger()


async def sweep(holds: HoldStore, retention: timedelta) -> tuple[int, int]:
    """One round: how many holds were released, and how many charged as unknown.

    What is wrong with one organization is logged, and keeps no other's holds.
    """
    released = charged = 0
    for organization_id in await holds.organizations_to_sweep(
        retention=retention, limit=_ORGANIZATIONS_AT_ONCE
    ):
        try:
            counts = await holds.sweep(
                organization_id, retention=retention, limit=_HOLDS_AT_ONCE, author=AUTHOR
            )
        except Refusal:
            raise  # the database is away, for all of them
        except Exception as error:
            _log.warning(
                "sweep_failed", organization_id=str(organization_id), error_type=type(error).__name__
            )
            continue
        released += counts[0]
        charged += counts[1]
    return released, charged


async def keep_sweeping(holds: HoldStore, retention: timedelta, interval_seconds: float) -> None:
    """Round after round until cancelled, at once while there is more to do; trouble is logged."""
    while True:
        try:
            released, charged = await sweep(holds, retention)
        except Exception as error:
            _log.warning("sweep_failed", error_type=type(error).__name__)
        else:
            if released or charged:
                _log.info("swept", released_holds=released, charged_holds=charged)
                continue
        await asyncio.sleep(interval_seconds)
