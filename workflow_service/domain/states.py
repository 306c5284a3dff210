"""The states of a workflow and the matrix of its legal transitions.

This is the one place that has them. The service writes the matrix into its database when it starts
(`app/record_matrix.py`), and the database refuses every transition that is not in it.

    CREATED → ICP → COMPETITOR → SEED_REVIEW → CLUSTERING → VALIDATION → ARTICLE → PUBLISH → COMPLETED
    a working step X:  X_PENDING → X_PROCESSING → X_COMPLETED
                            X_FAILED ⇄ X_PROCESSING
    any state that is not terminal → CANCELLED
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from itertools import pairwise
from typing import Final


class Step(StrEnum):
    """The steps in their order. A person does SEED_REVIEW; all others are working steps."""

    ICP = "ICP"
    COMPETITOR = "COMPETITOR"
    SEED_REVIEW = "SEED_REVIEW"
    CLUSTERING = "CLUSTERING"
    VALIDATION = "VALIDATION"
    ARTICLE = "ARTICLE"
    PUBLISH = "PUBLISH"


class WorkflowState(StrEnum):
    """In the order in which a workflow passes them. The names are the proto enum's without its prefix."""

    CREATED = "CREATED"
    ICP_PENDING = "ICP_PENDING"
    ICP_PROCESSING = "ICP_PROCESSING"
    ICP_COMPLETED = "ICP_COMPLETED"
    ICP_FAILED = "ICP_FAILED"
    COMPETITOR_PENDING = "COMPETITOR_PENDING"
    COMPETITOR_PROCESSING = "COMPETITOR_PROCESSING"
    COMPETITOR_COMPLETED = "COMPETITOR_COMPLETED"
    COMPETITOR_FAILED = "COMPETITOR_FAILED"
    SEED_REVIEW_PENDING = "SEED_REVIEW_PENDING"
    SEED_REVIEW_COMPLETED = "SEED_REVIEW_COMPLETED"
    CLUSTERING_PENDING = "CLUSTERING_PENDING"
    CLUSTERING_PROCESSING = "CLUSTERING_PROCESSING"
    CLUSTERING_COMPLETED = "CLUSTERING_COMPLETED"
    CLUSTERING_FAILED = "CLUSTERING_FAILED"
    VALIDATION_PENDING = "VALIDATION_PENDING"
    VALIDATION_PROCESSING = "VALIDATION_PROCESSING"
    VALIDATION_COMPLETED = "VALIDATION_COMPLETED"
    VALIDATION_FAILED = "VALIDATION_FAILED"
    ARTICLE_PENDING = "ARTICLE_PENDING"
    ARTICLE_PROCESSING = "ARTICLE_PROCESSING"
    ARTICLE_COMPLETED = "ARTICLE_COMPLETED"
    ARTICLE_FAILED = "ARTICLE_FAILED"
    PUBLISH_PENDING = "PUBLISH_PENDING"
    PUBLISH_PROCESSING = "PUBLISH_PROCESSING"
    PUBLISH_COMPLETED = "PUBLISH_COMPLETED"
    PUBLISH_FAILED = "PUBLISH_FAILED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"


STEPS: Final = tuple(Step)
WORKING_STEPS: Final = tuple(step for step in Step if step is not Step.SEED_REVIEW)
TERMINAL: Final = frozenset({WorkflowState.COMPLETED, WorkflowState.CANCELLED})


def pending(step: Step) -> WorkflowState:
    return WorkflowState(f"{step}_PENDING")


def processing(step: Step) -> WorkflowState:
    """`step` is a working step."""
    return WorkflowState(f"{step}_PROCESSING")


def completed(step: Step) -> WorkflowState:
    return WorkflowState(f"{step}_COMPLETED")


def failed(step: Step) -> WorkflowState:
    """`step` is a working step."""
    return WorkflowState(f"{step}_FAILED")


_STEP_OF: Final = {
    WorkflowState(f"{step}_{phase}"): step
    for step in STEPS
    for phase in ("PENDING", "PROCESSING", "COMPLETED", "FAILED")
    if f"{step}_{phase}" in WorkflowState.__members__
}
PROCESSING: Final = frozenset(processing(step) for step in WORKING_STEPS)
FAILED: Final = frozenset(failed(step) for step in WORKING_STEPS)


def step_of(state: WorkflowState) -> Step | None:
    """The step that the state belongs to; None for CREATED, COMPLETED and CANCELLED."""
    return _STEP_OF.get(state)


def _advances() -> dict[WorkflowState, WorkflowState]:
    after = {WorkflowState.CREATED: pending(STEPS[0])}
    for step, following in pairwise(STEPS):
        after[completed(step)] = pending(following)
    after[completed(STEPS[-1])] = WorkflowState.COMPLETED
    return after


ADVANCES: Final[Mapping[WorkflowState, WorkflowState]] = _advances()
"""The transitions that hand out no lease."""


def _transitions() -> dict[WorkflowState, frozenset[WorkflowState]]:
    edges: dict[WorkflowState, set[WorkflowState]] = {state: set() for state in WorkflowState}
    for source, target in ADVANCES.items():
        edges[source].add(target)
    for step in WORKING_STEPS:
        edges[pending(step)].add(processing(step))
        edges[processing(step)].update({completed(step), failed(step)})
        edges[failed(step)].add(processing(step))
    edges[pending(Step.SEED_REVIEW)].add(completed(Step.SEED_REVIEW))
    for state in WorkflowState:
        if state not in TERMINAL:
            edges[state].add(WorkflowState.CANCELLED)
    return {source: frozenset(targets) for source, targets in edges.items()}


TRANSITIONS: Final[Mapping[WorkflowState, frozenset[WorkflowState]]] = _transitions()


def allowed_transitions(state: WorkflowState) -> tuple[WorkflowState, ...]:
    """The states that may follow `state`, in the order of the enum."""
    return tuple(target for target in WorkflowState if target in TRANSITIONS[state])


def due(state: WorkflowState) -> Step | None:
    """The step that a workflow in `state` waits for; None if no step is left."""
    following = ADVANCES.get(state, state)
    return step_of(following)
