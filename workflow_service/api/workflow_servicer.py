"""infin8.workflow.v1.WorkflowService: all RPCs, from four groups."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from service_chassis.postgres.database import Database
from workflow_service.api.lifecycle_rpcs import LifecycleRpcs
from workflow_service.api.listing_rpcs import ListingRpcs
from workflow_service.api.step_rpcs import StepRpcs
from workflow_service.api.watching_rpcs import WatchingRpcs
from workflow_service.app.run_step import StepRunner
from workflow_service.app.run_workflow import WorkflowRunner
from workflow_service.app.watch import Watch


class WorkflowServicer(LifecycleRpcs, StepRpcs, ListingRpcs, WatchingRpcs):
    def __init__(
        self,
        database: Database,
        step_runner: StepRunner,
        workflow_runner: WorkflowRunner,
        watch: Watch,
        *,
        changed: Callable[[], None],
        lease_duration: timedelta,
        lease_duration_min: timedelta,
        takeovers_max: int,
        allow_private_targets: bool,
    ) -> None:
        """`lease_duration` is the duration of a lease whose worker asks for none. `changed` is called when
        workflows were paused or resumed.
        """
        LifecycleRpcs.__init__(self, database, allow_private_targets=allow_private_targets)
        StepRpcs.__init__(
            self,
            database,
            step_runner=step_runner,
            workflow_runner=workflow_runner,
            lease_duration=lease_duration,
            lease_duration_min=lease_duration_min,
            takeovers_max=takeovers_max,
        )
        ListingRpcs.__init__(self, database)
        WatchingRpcs.__init__(self, database, watch, changed=changed)
