"""What happens to workflows, as those who watch are told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from workflow_service.domain.states import WorkflowState
from workflow_service.domain.workflow import LastError


class EventType(StrEnum):
    """The names are the proto enum's without its prefix."""

    TRANSITION = "TRANSITION"
    TAKEN_OVER = "TAKEN_OVER"
    RETRY = "RETRY"
    BUDGET_WAIT = "BUDGET_WAIT"
    ATTEMPTS_EXHAUSTED = "ATTEMPTS_EXHAUSTED"
    PAUSED = "PAUSED"
    RESUMED = "RESUMED"


@dataclass(frozen=True, slots=True)
class WorkflowEvent:
    """`from_state` is a TRANSITION's; attempts and `next_time` are a RETRY's. `epoch` 0: no lease."""

    offset: int
    event_id: UUID
    organization_id: UUID
    workflow_id: UUID
    type: EventType
    state: WorkflowState
    from_state: WorkflowState | None
    version: int
    epoch: int
    actor: str
    reason: str
    error: LastError | None
    attempt: int
    attempts_max: int
    next_time: datetime | None
    total_ai_cost_nano_usd: int
    create_time: datetime
