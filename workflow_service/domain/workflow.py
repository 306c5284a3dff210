"""A workflow and what belongs to it, as the layers pass them to one another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.states import Step, WorkflowState
from workflow_service.domain.steps import IcpResult, SeedKeyword, StepInput


@dataclass(frozen=True, slots=True)
class WorkflowKey:
    """Which workflow, of which organization."""

    organization_id: UUID
    workflow_id: UUID


class PublishKind(StrEnum):
    DIRECTORY = "DIRECTORY"
    WEBHOOK = "WEBHOOK"
    WORDPRESS = "WORDPRESS"


@dataclass(frozen=True)
class PublishTarget:
    """Where articles go. `location` is a URL, or for DIRECTORY a relative path ("" is the workflow's id)."""

    kind: PublishKind
    location: str


@dataclass(frozen=True)
class Profile:
    """The organization as its caller described it. `linkedin_url` may be "". URLs are distinct."""

    organization_name: str
    organization_url: str
    linkedin_url: str
    competitor_urls: tuple[str, ...]


@dataclass(frozen=True)
class LastError:
    """Why a step failed, without secrets. `reason` is short: the governor's ErrorReason if it refused."""

    error_class: ErrorClass
    reason: str
    message: str


class WaitKind(StrEnum):
    """What a workflow waits for. The names are the proto enum's without its prefix."""

    CALLER = "CALLER"
    REVIEW = "REVIEW"
    SLOT = "SLOT"
    LEASE_HOLDER = "LEASE_HOLDER"
    WORKER = "WORKER"
    RETRY = "RETRY"
    BUDGET = "BUDGET"
    RESUME = "RESUME"


@dataclass(frozen=True)
class Waiting:
    """What a workflow waits for, since when, and at the latest until when.

    `attempt` of `attempts_max` has failed; both are 0 unless a run tries the step again.
    """

    kind: WaitKind
    since_time: datetime
    next_time: datetime | None = None
    attempt: int = 0
    attempts_max: int = 0


@dataclass(frozen=True)
class Pause:
    """Nothing new is begun while a workflow is paused."""

    since_time: datetime
    actor: str
    reason: str


@dataclass(frozen=True)
class Workflow:
    """A workflow at one instant.

    `version` begins at 1 and grows by one at each transition. `epoch` counts the leases so far.
    `lease_expire_time` is set only while a step is processing. `total_ai_cost_nano_usd` is the governor's
    latest figure.
    """

    workflow_id: UUID
    organization_id: UUID
    display_name: str
    state: WorkflowState
    version: int
    profile: Profile
    publish_target: PublishTarget
    workflow_data: dict[str, Any]
    icp: IcpResult | None
    total_ai_cost_nano_usd: int
    last_error: LastError | None
    epoch: int
    lease_expire_time: datetime | None
    create_time: datetime
    update_time: datetime
    waiting: Waiting | None = None
    pause: Pause | None = None


@dataclass(frozen=True)
class Lease:
    """A worker's time-bound ownership of a step. `epoch` is its fencing number."""

    organization_id: UUID
    workflow_id: UUID
    step: Step
    lease_token: UUID
    epoch: int
    expire_time: datetime
    workflow: Workflow
    input: StepInput


@dataclass(frozen=True)
class Transition:
    """One line of a workflow's history. `epoch` is 0 if no lease began or ended."""

    from_state: WorkflowState
    to_state: WorkflowState
    version: int
    actor: str
    reason: str
    epoch: int
    total_ai_cost_nano_usd: int
    create_time: datetime


class ReviewDecision(StrEnum):
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


@dataclass(frozen=True)
class StoredKeyword:
    """A seed keyword of a workflow. `decision` and `decide_time` are None until the review."""

    seed: SeedKeyword
    decision: ReviewDecision | None
    create_time: datetime
    decide_time: datetime | None


@dataclass(frozen=True)
class StoredCluster:
    """A cluster of a workflow. `valid` and `confidence` are None until VALIDATION is completed."""

    cluster_id: UUID
    pillar_keyword: str
    supporting_keywords: tuple[str, ...]
    theme: str
    valid: bool | None
    confidence: float | None
    reason: str
    create_time: datetime


@dataclass(frozen=True)
class StoredArticle:
    """An article of a workflow. `location` is "" and `publish_time` is None until PUBLISH is completed."""

    article_id: UUID
    cluster_id: UUID
    title: str
    slug: str
    meta_description: str
    body_markdown: str
    location: str
    create_time: datetime
    publish_time: datetime | None
