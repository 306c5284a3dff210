"""The refusals about workflows. Each is made in one place, so that its text is always the same."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from service_chassis.refusal import Refusal
from workflow_service.domain.states import TRANSITIONS, WorkflowState


def workflow_not_found() -> Refusal:
    """The text is the same for another organization's workflow and for one that does not exist."""
    return Refusal("WORKFLOW_NOT_FOUND", "the organization has no such workflow")


def illegal_transition(from_state: WorkflowState, to_state: WorkflowState) -> Refusal:
    return Refusal(
        "ILLEGAL_TRANSITION",
        f"there is no transition from {from_state} to {to_state}",
        metadata={"from": from_state.value, "to": to_state.value},
    )


def require_edge(from_state: WorkflowState, to_state: WorkflowState) -> None:
    """Raises ILLEGAL_TRANSITION if the matrix has no such edge."""
    if to_state not in TRANSITIONS[from_state]:
        raise illegal_transition(from_state, to_state)


def state_conflict(
    expected: WorkflowState, actual: WorkflowState, *, lease_expire_time: datetime | None = None
) -> Refusal:
    """`lease_expire_time` is that of the live lease that prevents a takeover."""
    metadata = {"expected": expected.value, "actual": actual.value}
    message = f"expected {expected}, and the workflow is in {actual}"
    if expected is actual and lease_expire_time is not None:
        metadata["lease_expire_time"] = lease_expire_time.isoformat().replace("+00:00", "Z")
        message = f"{actual} is still leased"
    return Refusal("STATE_CONFLICT", message, metadata=metadata)


def paused() -> Refusal:
    return Refusal("PAUSED", "the workflow is paused; nothing new is begun until it is resumed")


def lease_lost(present_epoch: int) -> Refusal:
    return Refusal(
        "LEASE_LOST",
        "the lease is not, or no longer, the workflow's",
        metadata={"epoch": str(present_epoch)},
    )


def request_id_reused(request_id: UUID) -> Refusal:
    return Refusal(
        "REQUEST_ID_REUSED",
        "the request_id was used for another request",
        metadata={"request_id": str(request_id)},
    )
