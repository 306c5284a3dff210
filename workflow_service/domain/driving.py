"""What the service does next, by itself, with a workflow that is due."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias
from uuid import UUID

from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.states import (
    ADVANCES,
    FAILED,
    PROCESSING,
    WORKING_STEPS,
    Step,
    WorkflowState,
    pending,
    step_of,
)
from workflow_service.domain.workflow import LastError, Workflow

BUDGET_WAIT_SECONDS: Final = 60.0
RETRY_INITIAL_SECONDS: Final = 1.0
RETRY_DELAY_MAX_SECONDS: Final = 30.0

_BEGINS: Final = {pending(step): step for step in WORKING_STEPS}
# Trouble that passes, and in which nothing was sent: the governor or the database could not be reached.
_PASSING_REASONS: Final = frozenset({"DATABASE_UNAVAILABLE", "OVERLOADED", "SHUTTING_DOWN"})


class OnBudgetExceeded(StrEnum):
    """What a run does when a budget does not suffice: it ends, or it waits until the budget does."""

    FAIL = "FAIL"
    WAIT = "WAIT"


@dataclass(frozen=True, slots=True)
class Run:
    """That a workflow is to run. `actor` asked for it."""

    actor: str
    on_budget_exceeded: OnBudgetExceeded


@dataclass(frozen=True, slots=True)
class DueWorkflow:
    """A workflow that is due.

    `takeovers` and `failed_attempts` are those of the present step. `is_retry_due`: a failed step's next try
    was set, and its time has come.
    """

    workflow: Workflow
    run: Run | None
    lease_token: UUID | None
    has_live_lease: bool
    takeovers: int
    failed_attempts: int
    is_retry_due: bool


@dataclass(frozen=True, slots=True)
class LeaseStep:
    """Lease the step, which is PROCESSING, to this instance's executor."""

    step: Step


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Fail the step: its lease ran out too often."""

    step: Step


@dataclass(frozen=True, slots=True)
class BeginStep:
    """From PENDING or FAILED to PROCESSING, with a lease for this instance's executor."""

    step: Step
    actor: str


@dataclass(frozen=True, slots=True)
class Advance:
    target: WorkflowState
    actor: str


@dataclass(frozen=True, slots=True)
class RetryLater:
    """The step is run again after `delay_seconds`."""

    delay_seconds: float


@dataclass(frozen=True, slots=True)
class EndRun:
    """The service has nothing more to do with the workflow."""

    has_used_up_attempts: bool = False


Act: TypeAlias = LeaseStep | GiveUp | BeginStep | Advance | RetryLater | EndRun


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a step is taken over, and how often a run tries one, before it is given up."""

    takeovers_max: int
    attempts_max: int


def next_act(due: DueWorkflow, patience: Patience, *, jitter: float) -> Act:
    """The caller draws `jitter` from [0, 1)."""
    state = due.workflow.state
    step = step_of(state)
    if state in PROCESSING:
        assert step is not None
        return (
            GiveUp(step)
            if due.lease_token is not None
            and not due.has_live_lease
            and due.takeovers >= patience.takeovers_max
            else LeaseStep(step)
        )
    if due.run is None:
        return EndRun()
    if state in FAILED:
        assert step is not None
        if due.is_retry_due:
            return BeginStep(step, due.run.actor)
        delay_seconds = retry_delay_seconds(
            due.workflow.last_error,
            due.run.on_budget_exceeded,
            failed_attempts=due.failed_attempts,
            attempts_max=patience.attempts_max,
            jitter=jitter,
        )
        if delay_seconds is not None:
            return RetryLater(delay_seconds)
        return EndRun(has_used_up_attempts=due.failed_attempts > 0)
    if state in _BEGINS:
        return BeginStep(_BEGINS[state], due.run.actor)
    if state in ADVANCES:
        return Advance(ADVANCES[state], due.run.actor)
    return EndRun()


def retry_delay_seconds(
    error: LastError | None,
    on_budget_exceeded: OnBudgetExceeded,
    *,
    failed_attempts: int,
    attempts_max: int,
    jitter: float,
) -> float | None:
    """How long a run waits before it tries the step again; None if it does not.

    `failed_attempts` are those before this one. A budget is waited for without end. Failures of model calls
    are not tried again here: each call had its attempts, and they were paid for.
    """
    if error is None:
        return None
    if error.error_class is ErrorClass.BUDGET_DENIED:
        return BUDGET_WAIT_SECONDS if on_budget_exceeded is OnBudgetExceeded.WAIT else None
    if not passes_by_itself(error) or failed_attempts + 1 >= attempts_max:
        return None
    delay = min(RETRY_INITIAL_SECONDS * 2.0 ** min(failed_attempts, 64), RETRY_DELAY_MAX_SECONDS)
    return delay * (0.5 + jitter / 2)


def passes_by_itself(error: LastError) -> bool:
    return error.error_class is ErrorClass.GOVERNOR_UNAVAILABLE or (
        error.error_class is ErrorClass.INTERNAL and error.reason in _PASSING_REASONS
    )
