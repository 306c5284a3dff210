"""PUBLISH delivers each article once, under its own key, and records its location."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from tests.executor.conftest import Bench
from tests.executor.examples import WORKFLOW, cluster
from workflow_service.app.execute_step import StepExecutor, StepFailed
from workflow_service.clients.publishers import PublishFailed
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.states import Step
from workflow_service.domain.steps import Article, PublishInput, PublishResult, article_id, check_result
from workflow_service.steps.publish import delivery_key


def article(pillar: str) -> Article:
    cluster_id = cluster(pillar).cluster_id
    return Article(
        article_id=article_id(WORKFLOW, cluster_id),
        cluster_id=cluster_id,
        title=pillar,
        slug=pillar,
        meta_description="About it.",
        body_markdown=f"All about {pillar}.",
    )


STEP_INPUT = PublishInput(articles=(article("one"), article("two")))


def files_below(directory: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in directory.rglob("*.md")}


class FailsOnce:
    """A receiver that fails at the second article, and remembers articles by their keys."""

    def __init__(self) -> None:
        self.received: list[tuple[UUID, str]] = []
        self.is_away = True

    async def publish(self, article: Article, *, workflow_id: UUID, idempotency_key: UUID) -> str:
        assert idempotency_key == delivery_key(workflow_id, article.article_id)
        if self.is_away and self.received:
            raise PublishFailed("the receiver is away", is_temporary=True)
        self.received.append((idempotency_key, article.slug))
        return f"https://receiver.example/{article.slug}"


async def test_articles_are_delivered_and_nothing_is_charged(bench: Bench, tmp_path: Path) -> None:
    """By default each article is a Markdown file, and the next run finds the files."""
    lease = await bench.workflows.lease(Step.PUBLISH, STEP_INPUT)
    result = await bench.executor.execute(lease)
    assert isinstance(result, PublishResult)
    check_result(STEP_INPUT, result)
    written = files_below(tmp_path)
    assert sorted(map(str, written)) == sorted(publication.location for publication in result.publications)
    again = await bench.workflows.fail_and_claim(lease)
    assert await bench.executor.execute(again) == result
    assert files_below(tmp_path) == written
    assert await bench.entries(lease) == []


async def test_a_delivery_that_fails_fails_the_step_and_is_repeated_under_its_key(bench: Bench) -> None:
    """The step fails with PUBLISH_FAILED; the next run sends the same keys, so the receiver knows repeats."""
    receiver = FailsOnce()
    executor = StepExecutor(bench.caller, bench.workflows.journal, lambda _: receiver)
    lease = await bench.workflows.lease(Step.PUBLISH, STEP_INPUT)
    with pytest.raises(StepFailed) as caught:
        await executor.execute(lease)
    assert caught.value.error.error_class is ErrorClass.PUBLISH_FAILED
    assert caught.value.error.message == "the receiver is away"
    receiver.is_away = False
    await executor.execute(await bench.workflows.fail_and_claim(lease))
    assert [slug for _, slug in receiver.received] == ["one", "one", "two"]
    assert len({key for key, _ in receiver.received}) == 2


def test_a_delivery_key_names_one_article_of_one_workflow() -> None:
    """A key is the same in every run, and different for another article or workflow."""
    one, two = (each.article_id for each in STEP_INPUT.articles)
    assert delivery_key(WORKFLOW, one) == delivery_key(WORKFLOW, one)
    assert len({delivery_key(WORKFLOW, one), delivery_key(WORKFLOW, two), delivery_key(one, one)}) == 3
