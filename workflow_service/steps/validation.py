"""VALIDATION (S40): which clusters are worth an article. If none is, the step fails with NOTHING_VALID."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from pydantic import Field

from service_chassis.postgres.database import Connection
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.states import Step
from workflow_service.domain.steps import (
    KEYWORDS_MAX,
    ClusterVerdict,
    Sentence,
    ValidationInput,
    ValidationResult,
)
from workflow_service.domain.workflow import Workflow
from workflow_service.steps.model_step import Answer, Item, ModelStep, UnusableAnswerError
from workflow_service.steps.step_definition import cluster_of, icp_of
from workflow_service.store import results


class VerdictAnswer(Answer):
    cluster_id: UUID
    valid: bool
    confidence: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    reason: Sentence


class ValidationAnswer(Answer):
    verdicts: Annotated[tuple[VerdictAnswer, ...], Field(min_length=1, max_length=KEYWORDS_MAX)]


class ValidationStep(ModelStep[ValidationInput, ValidationInput, ValidationAnswer, ValidationResult]):
    step = Step.VALIDATION
    task = (
        "You judge keyword clusters for content planning. A cluster is valid if its keywords belong together "
        "and an article about it would serve customers of the given profile. Give one verdict for every "
        "cluster, by its cluster_id: valid or not, your confidence from 0 to 1, and the reason in a sentence."
    )
    answer_type = ValidationAnswer
    output_tokens_max = 1400  # a verdict takes some seventy tokens, half of them for the cluster's id

    async def read_input(self, connection: Connection, workflow: Workflow) -> ValidationInput:
        stored = await results.list_clusters(connection, workflow.organization_id, workflow.workflow_id)
        return ValidationInput(
            icp=icp_of(workflow), clusters=tuple(cluster_of(cluster) for _, cluster in stored)
        )

    async def store_result(
        self, connection: Connection, workflow: Workflow, result: ValidationResult
    ) -> None:
        await results.set_verdicts(
            connection, workflow.organization_id, workflow.workflow_id, result.verdicts
        )

    def items(self, step_input: ValidationInput) -> Sequence[Item[ValidationInput]]:
        return (Item("", step_input),)

    def check(self, payload: ValidationInput, answer: ValidationAnswer) -> ValidationAnswer:
        judged = [verdict.cluster_id for verdict in answer.verdicts]
        if sorted(judged) != sorted(cluster.cluster_id for cluster in payload.clusters):
            raise UnusableAnswerError(ErrorClass.UNPARSABLE_RESULT, "verdicts: not one for each cluster")
        if not any(verdict.valid for verdict in answer.verdicts):
            raise UnusableAnswerError(ErrorClass.NOTHING_VALID, "no cluster was found valid")
        return answer

    def combine(
        self,
        workflow_id: UUID,  # noqa: ARG002
        step_input: ValidationInput,  # noqa: ARG002
        answers: Sequence[ValidationAnswer],
    ) -> ValidationResult:
        (answer,) = answers
        return ValidationResult(
            verdicts=tuple(ClusterVerdict(**verdict.model_dump()) for verdict in answer.verdicts)
        )
