"""ARTICLE (S41): one article for each valid cluster. One call for each article."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from service_chassis.postgres.database import Connection
from workflow_service.domain.states import Step
from workflow_service.domain.steps import (
    Article,
    ArticleInput,
    ArticleResult,
    Block,
    Cluster,
    IcpResult,
    Line,
    Sentence,
    article_id,
    slugify,
)
from workflow_service.domain.workflow import Workflow
from workflow_service.steps.model_step import Answer, Item, ModelStep, Payload
from workflow_service.steps.step_definition import cluster_of, icp_of
from workflow_service.store import results

_SLUG_MAX = 100


class ArticlePayload(Payload):
    organization_name: Line
    icp: IcpResult
    cluster: Cluster


class ArticleAnswer(Answer):
    title: Line
    slug: Line
    meta_description: Sentence
    body_markdown: Block


class ArticleStep(ModelStep[ArticleInput, ArticlePayload, ArticleAnswer, ArticleResult]):
    step = Step.ARTICLE
    task = (
        "You write an article for the organization's website, for readers of the given customer profile, "
        "about the given keyword cluster: its pillar keyword is the subject, the supporting keywords are "
        "covered in sections. Give a title, a slug of lower-case words joined by hyphens, a meta "
        "description of at most 160 characters, and the body in Markdown, of about 800 words and without "
        "the title."
    )
    answer_type = ArticleAnswer
    output_tokens_max = 3000  # the default would cut an article off, and the whole call would be lost
    calls_at_once = True

    async def read_input(self, connection: Connection, workflow: Workflow) -> ArticleInput:
        stored = await results.list_clusters(connection, workflow.organization_id, workflow.workflow_id)
        return ArticleInput(
            organization_name=workflow.profile.organization_name,
            icp=icp_of(workflow),
            clusters=tuple(cluster_of(cluster) for _, cluster in stored if cluster.valid),
        )

    async def store_result(self, connection: Connection, workflow: Workflow, result: ArticleResult) -> None:
        await results.insert_articles(
            connection, workflow.organization_id, workflow.workflow_id, result.articles
        )

    def items(self, step_input: ArticleInput) -> Sequence[Item[ArticlePayload]]:
        return [
            Item(
                str(cluster.cluster_id),
                ArticlePayload(
                    organization_name=step_input.organization_name, icp=step_input.icp, cluster=cluster
                ),
            )
            for cluster in step_input.clusters
        ]

    def combine(
        self, workflow_id: UUID, step_input: ArticleInput, answers: Sequence[ArticleAnswer]
    ) -> ArticleResult:
        taken: set[str] = set()
        articles = []
        for cluster, answer in zip(step_input.clusters, answers, strict=True):
            slug = _free_slug(slugify(answer.slug) or slugify(answer.title) or "article", taken)
            taken.add(slug)
            articles.append(
                Article(
                    article_id=article_id(workflow_id, cluster.cluster_id),
                    cluster_id=cluster.cluster_id,
                    title=answer.title,
                    slug=slug,
                    meta_description=answer.meta_description,
                    body_markdown=answer.body_markdown,
                )
            )
        return ArticleResult(articles=tuple(articles))


def _free_slug(slug: str, taken: set[str]) -> str:
    """The first of `slug`, `slug-2`, `slug-3`, … that no earlier article has."""
    candidate, number = slug, 1
    while candidate in taken:
        number += 1
        suffix = f"-{number}"
        candidate = slug[: _SLUG_MAX - len(suffix)].rstrip("-") + suffix
    return candidate
