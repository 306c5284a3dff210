"""Keeps a lease, says why it is lost, and gives up a step whose leases ran out too often."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from service_chassis.postgres.database import Connection, Database
from service_chassis.refusal import Refusal
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.refusals import lease_lost, workflow_not_found
from workflow_service.domain.workflow import LastError
from workflow_service.store import leases, workflows
from workflow_service.store.leases import LeasedWorkflow, LeaseKey

TAKEOVERS_EXHAUSTED: Final = "TAKEOVERS_EXHAUSTED"


async def heartbeat_step(database: Database, key: LeaseKey, lease_duration: timedelta) -> LeasedWorkflow:
    """Raises WORKFLOW_NOT_FOUND, LEASE_LOST."""

    async def work(connection: Connection) -> LeasedWorkflow:
        leased = await leases.renew_if_leased(connection, key, lease_duration)
        if leased is None:
            raise await lost_lease(connection, key)
        return leased

    return await database.write(work)


async def lost_lease(connection: Connection, key: LeaseKey) -> Refusal:
    """The refusal for a lease that is not the present one: LEASE_LOST, or WORKFLOW_NOT_FOUND."""
    workflow = await workflows.get_workflow(connection, key.organization_id, key.workflow_id)
    return workflow_not_found() if workflow is None else lease_lost(workflow.epoch)


def taken_over_too_often(takeovers: int) -> LastError:
    return LastError(
        ErrorClass.LEASE_EXPIRED,
        TAKEOVERS_EXHAUSTED,
        f"the step was taken over {takeovers} times, and its lease ran out again",
    )
