"""CLUSTERING (S39): groups the approved keywords into hub-and-spoke clusters."""

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
    Cluster,
    ClusteringInput,
    ClusteringResult,
    Keyword,
    Sentence,
    cluster_id,
    keyword_key,
)
from workflow_service.domain.workflow import ReviewDecision, Workflow
from workflow_service.steps.model_step import Answer, Item, ModelStep, UnusableAnswerError
from workflow_service.store import results


class ClusterAnswer(Answer):
    pillar_keyword: Keyword
    supporting_keywords: Annotated[tuple[Keyword, ...], Field(max_length=KEYWORDS_MAX)]
    theme: Sentence


class ClusteringAnswer(Answer):
    clusters: Annotated[tuple[ClusterAnswer, ...], Field(min_length=1, max_length=KEYWORDS_MAX)]


class ClusteringStep(ModelStep[ClusteringInput, ClusteringInput, ClusteringAnswer, ClusteringResult]):
    step = Step.CLUSTERING
    task = (
        "You group search keywords into hub-and-spoke clusters for content planning. Each cluster has one "
        "pillar keyword, the broadest, the keywords that support it, and a theme in one sentence. Use only "
        "the given keywords, spelled as given, and each in one cluster only."
    )
    answer_type = ClusteringAnswer
    output_tokens_max = 1400  # thirty keywords, each once, with themes

    async def read_input(self, connection: Connection, workflow: Workflow) -> ClusteringInput:
        keywords = await results.list_keywords(connection, workflow.organization_id, workflow.workflow_id)
        return ClusteringInput(
            keywords=tuple(
                keyword.seed for _, keyword in keywords if keyword.decision is ReviewDecision.APPROVED
            )
        )

    async def store_result(
        self, connection: Connection, workflow: Workflow, result: ClusteringResult
    ) -> None:
        await results.insert_clusters(
            connection, workflow.organization_id, workflow.workflow_id, result.clusters
        )

    def items(self, step_input: ClusteringInput) -> Sequence[Item[ClusteringInput]]:
        return (Item("", step_input),)

    def check(self, payload: ClusteringInput, answer: ClusteringAnswer) -> ClusteringAnswer:
        """Drops keywords that were not approved or were used before, and clusters left without a pillar."""
        left = {keyword_key(seed.keyword): seed.keyword for seed in payload.keywords}
        clusters = []
        for cluster in answer.clusters:
            pillar = left.pop(keyword_key(cluster.pillar_keyword), None)
            if pillar is None:
                continue
            found = (left.pop(keyword_key(keyword), None) for keyword in cluster.supporting_keywords)
            supporting = tuple(keyword for keyword in found if keyword is not None)
            clusters.append(
                ClusterAnswer(pillar_keyword=pillar, supporting_keywords=supporting, theme=cluster.theme)
            )
        if not clusters:
            raise UnusableAnswerError(
                ErrorClass.UNPARSABLE_RESULT, "clusters: no pillar is one of the approved keywords"
            )
        return ClusteringAnswer(clusters=tuple(clusters))

    def combine(
        self,
        workflow_id: UUID,
        step_input: ClusteringInput,  # noqa: ARG002
        answers: Sequence[ClusteringAnswer],
    ) -> ClusteringResult:
        (answer,) = answers
        return ClusteringResult(
            clusters=tuple(
                Cluster(cluster_id=cluster_id(workflow_id, cluster.pillar_keyword), **cluster.model_dump())
                for cluster in answer.clusters
            )
        )
