"""Results of the steps: keywords, clusters, articles, publications, and documents of all other steps.

They are written in the transaction that completes the step. A row that exists already is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar
from uuid import UUID

from pydantic import BaseModel

from service_chassis.postgres.database import Connection
from service_chassis.postgres.queries import load_queries
from workflow_service.domain.states import Step
from workflow_service.domain.steps import (
    Article,
    Cluster,
    ClusterVerdict,
    Publication,
    SeedKeyword,
    keyword_key,
)
from workflow_service.domain.workflow import ReviewDecision, StoredArticle, StoredCluster, StoredKeyword

QUERIES: Final = load_queries(__package__, "results.sql")
_ALL: Final = 1000  # more than one workflow can have: domain/steps.py has the bounds

ResultT = TypeVar("ResultT", bound=BaseModel)


async def insert_document(
    connection: Connection, organization_id: UUID, workflow_id: UUID, step: Step, result: BaseModel
) -> None:
    """Keeps the result of a step that has no table of its own."""
    await connection.execute(
        QUERIES["insert_document"], organization_id, workflow_id, step, result.model_dump(mode="json")
    )


async def get_document(
    connection: Connection,
    organization_id: UUID,
    workflow_id: UUID,
    step: Step,
    result_type: type[ResultT],
) -> ResultT | None:
    """What `insert_document` kept; None while the step is not completed."""
    document = await connection.fetchval(QUERIES["get_document"], organization_id, workflow_id, step)
    return None if document is None else result_type.model_validate(document)


async def insert_keywords(
    connection: Connection, organization_id: UUID, workflow_id: UUID, keywords: Iterable[SeedKeyword]
) -> None:
    await connection.executemany(
        QUERIES["insert_keyword"],
        [
            (
                organization_id,
                workflow_id,
                keyword_key(seed.keyword),
                position,
                seed.keyword,
                seed.competitor_url,
                seed.intent,
                seed.reason,
            )
            for position, seed in enumerate(keywords)
        ],
    )


async def decide_keywords(
    connection: Connection, organization_id: UUID, workflow_id: UUID, approved_keys: Sequence[str]
) -> None:
    """Approves the keywords with these keys, and rejects the others."""
    await connection.execute(QUERIES["decide_keywords"], organization_id, workflow_id, approved_keys)


async def list_keywords(
    connection: Connection,
    organization_id: UUID,
    workflow_id: UUID,
    *,
    after: tuple[int, str] | None = None,
    limit: int = _ALL,
) -> list[tuple[tuple[int, str], StoredKeyword]]:
    """A page, each item with its position. `after` is the position of the previous page's last item."""
    position, key = after or (None, None)
    records = await connection.fetch(
        QUERIES["list_keywords"], organization_id, workflow_id, position, key, limit
    )
    return [
        (
            (record["position"], record["keyword_key"]),
            StoredKeyword(
                seed=SeedKeyword(
                    keyword=record["keyword"],
                    competitor_url=record["competitor_url"],
                    intent=record["intent"],
                    reason=record["reason"],
                ),
                decision=None if record["decision"] is None else ReviewDecision(record["decision"]),
                create_time=record["create_time"],
                decide_time=record["decide_time"],
            ),
        )
        for record in records
    ]


async def insert_clusters(
    connection: Connection, organization_id: UUID, workflow_id: UUID, clusters: Iterable[Cluster]
) -> None:
    await connection.executemany(
        QUERIES["insert_cluster"],
        [
            (
                organization_id,
                workflow_id,
                cluster.cluster_id,
                position,
                cluster.pillar_keyword,
                list(cluster.supporting_keywords),
                cluster.theme,
            )
            for position, cluster in enumerate(clusters)
        ],
    )


async def set_verdicts(
    connection: Connection, organization_id: UUID, workflow_id: UUID, verdicts: Iterable[ClusterVerdict]
) -> None:
    await connection.executemany(
        QUERIES["set_verdict"],
        [
            (
                organization_id,
                workflow_id,
                verdict.cluster_id,
                verdict.valid,
                verdict.confidence,
                verdict.reason,
            )
            for verdict in verdicts
        ],
    )


async def list_clusters(
    connection: Connection,
    organization_id: UUID,
    workflow_id: UUID,
    *,
    after: tuple[int, UUID] | None = None,
    limit: int = _ALL,
) -> list[tuple[tuple[int, UUID], StoredCluster]]:
    """A page, each item with its position. `after` is the position of the previous page's last item."""
    position, cluster_id = after or (None, None)
    records = await connection.fetch(
        QUERIES["list_clusters"], organization_id, workflow_id, position, cluster_id, limit
    )
    return [
        (
            (record["position"], record["cluster_id"]),
            StoredCluster(
                cluster_id=record["cluster_id"],
                pillar_keyword=record["pillar_keyword"],
                supporting_keywords=tuple(record["supporting_keywords"]),
                theme=record["theme"],
                valid=record["valid"],
                confidence=record["confidence"],
                reason=record["reason"] or "",
                create_time=record["create_time"],
            ),
        )
        for record in records
    ]


async def insert_articles(
    connection: Connection, organization_id: UUID, workflow_id: UUID, articles: Iterable[Article]
) -> None:
    await connection.executemany(
        QUERIES["insert_article"],
        [
            (
                organization_id,
                workflow_id,
                article.article_id,
                position,
                article.cluster_id,
                article.title,
                article.slug,
                article.meta_description,
                article.body_markdown,
            )
            for position, article in enumerate(articles)
        ],
    )


async def insert_publications(
    connection: Connection, organization_id: UUID, workflow_id: UUID, publications: Iterable[Publication]
) -> None:
    await connection.executemany(
        QUERIES["insert_publication"],
        [
            (organization_id, workflow_id, publication.article_id, publication.location)
            for publication in publications
        ],
    )


async def list_articles(
    connection: Connection,
    organization_id: UUID,
    workflow_id: UUID,
    *,
    after: tuple[int, UUID] | None = None,
    limit: int = _ALL,
) -> list[tuple[tuple[int, UUID], StoredArticle]]:
    """A page, each item with its position. `after` is the position of the previous page's last item."""
    position, article_id = after or (None, None)
    records = await connection.fetch(
        QUERIES["list_articles"], organization_id, workflow_id, position, article_id, limit
    )
    return [
        (
            (record["position"], record["article_id"]),
            StoredArticle(
                article_id=record["article_id"],
                cluster_id=record["cluster_id"],
                title=record["title"],
                slug=record["slug"],
                meta_description=record["meta_description"],
                body_markdown=record["body_markdown"],
                location=record["location"] or "",
                create_time=record["create_time"],
                publish_time=record["publish_time"],
            ),
        )
        for record in records
    ]
