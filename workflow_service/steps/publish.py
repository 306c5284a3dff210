"""PUBLISH (S42): delivers each article once. It makes no model call."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

from service_chassis.postgres.database import Connection
from workflow_service.domain.states import Step
from workflow_service.domain.steps import Article, PublishInput, PublishResult
from workflow_service.domain.workflow import Workflow
from workflow_service.steps.step_definition import StepDefinition
from workflow_service.store import results

_NAMESPACE: Final = UUID("b1c0a1de-27a4-5f5c-8d38-0d1c5e0c6a42")


class PublishStep(StepDefinition[PublishInput, PublishResult]):
    step = Step.PUBLISH

    async def read_input(self, connection: Connection, workflow: Workflow) -> PublishInput:
        stored = await results.list_articles(connection, workflow.organization_id, workflow.workflow_id)
        return PublishInput(
            articles=tuple(
                Article(
                    article_id=article.article_id,
                    cluster_id=article.cluster_id,
                    title=article.title,
                    slug=article.slug,
                    meta_description=article.meta_description,
                    body_markdown=article.body_markdown,
                )
                for _, article in stored
            )
        )

    async def store_result(self, connection: Connection, workflow: Workflow, result: PublishResult) -> None:
        await results.insert_publications(
            connection, workflow.organization_id, workflow.workflow_id, result.publications
        )


def delivery_key(workflow_id: UUID, article_id: UUID) -> UUID:
    """The idempotency key of an article's delivery: the same in every run of the step."""
    return uuid5(_NAMESPACE, f"{workflow_id}:{article_id}")
