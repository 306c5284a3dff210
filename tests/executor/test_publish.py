"""PUBLISH delivers each article once, under its own key, and records its location."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

import pytest

from tests.executor.conftest import Bench
from tests.executor.examples import WORKFLOW, cluster
from tests.models.http_server import answer, serving
from tests.models.published import hosting, no_waits
from tests.models.wordpress import WordPress
from workflow_service.app.execute_step import StepExecutor, StepFailed
from workflow_service.app.publish_articles import Deliver, Publishing
from workflow_service.clients.publishing.delivery import Delivery, PublishFailed
from workflow_service.clients.publishing.publishers import Publishers
from workflow_service.clients.publishing.wordpress import WordPressAccount
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.states import Step
from workflow_service.domain.steps import Article, PublishInput, PublishResult, article_id, check_result
from workflow_service.domain.workflow import Lease, PublishKind, PublishTarget
from workflow_service.steps.publish import delivery_key
from workflow_service.store.deliveries import Deliveries

__all__ = ["no_waits"]


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


def executor_with(bench: Bench, deliver: Deliver, deliveries: Deliveries | None = None) -> StepExecutor:
    publishing = Publishing(deliveries or bench.workflows.deliveries, deliver)
    return StepExecutor(bench.caller, bench.workflows.journal, publishing)


class FailsOnce:
    """A receiver that fails at the second article, and notes what it took."""

    def __init__(self) -> None:
        self.received: list[tuple[UUID, str]] = []
        self.is_away = True

    async def deliver(self, _: PublishTarget, delivery: Delivery) -> str:
        assert delivery.key == delivery_key(delivery.workflow_id, delivery.article.article_id)
        if self.is_away and self.received:
            raise PublishFailed("the receiver is away", is_temporary=True)
        self.received.append((delivery.key, delivery.article.slug))
        return f"https://receiver.example/{delivery.article.slug}"


async def test_articles_are_delivered_and_nothing_is_charged(bench: Bench, tmp_path: Path) -> None:
    """By default each article is a Markdown file, and the next run finds the files."""
    lease = await bench.workflows.lease(Step.PUBLISH, STEP_INPUT)
    result = await bench.executor.execute(lease)
    assert isinstance(result, PublishResult)
    check_result(STEP_INPUT, result)
    written = files_below(tmp_path / str(lease.organization_id))
    assert sorted(map(str, written)) == sorted(publication.location for publication in result.publications)
    again = await bench.workflows.fail_and_claim(lease)
    assert await bench.executor.execute(again) == result
    assert files_below(tmp_path) == written
    assert await bench.entries(lease) == []


async def test_a_run_after_a_failure_goes_on_with_the_rest(bench: Bench) -> None:
    """The step fails with PUBLISH_FAILED; the next run sends what is missing, and nothing again."""
    receiver = FailsOnce()
    executor = executor_with(bench, receiver.deliver)
    lease = await bench.workflows.lease(Step.PUBLISH, STEP_INPUT)
    with pytest.raises(StepFailed) as caught:
        await executor.execute(lease)
    assert caught.value.error.error_class is ErrorClass.PUBLISH_FAILED
    assert caught.value.error.message == "the receiver is away"
    receiver.is_away = False
    result = await executor.execute(await bench.workflows.fail_and_claim(lease))
    assert isinstance(result, PublishResult)
    check_result(STEP_INPUT, result)
    assert [slug for _, slug in receiver.received] == ["one", "two"]
    assert len({key for key, _ in receiver.received}) == 2


class Cut(BaseException):
    """The process is gone."""


class CutOff(Deliveries):
    """The process ends between a delivery and its record."""

    async def insert(self, *_: object) -> None:
        raise Cut


async def run_until_cut(bench: Bench, lease: Lease, publishers: Publishers) -> None:
    deliveries = CutOff(bench.workflows.database)
    with pytest.raises(Cut):
        await executor_with(bench, publishers.publish, deliveries).execute(lease)


async def test_a_file_that_was_written_but_not_recorded(bench: Bench, tmp_path: Path) -> None:
    """The next run finds the file, and writes no second one."""
    lease = await bench.workflows.lease(Step.PUBLISH, STEP_INPUT)
    await run_until_cut(bench, lease, bench.publishers)
    (written,) = files_below(tmp_path)
    written.write_text("as it was")
    await bench.executor.execute(await bench.workflows.take_over(lease))
    assert len(files_below(tmp_path)) == 2
    assert written.read_text() == "as it was"


async def test_a_webhook_that_was_called_but_not_recorded(bench: Bench) -> None:
    """The next run repeats that one delivery with its key, so by keys each article arrived once."""
    async with serving(answer(200, b"")) as server:
        target = PublishTarget(PublishKind.WEBHOOK, server.base_url)
        lease = await bench.workflows.lease(Step.PUBLISH, STEP_INPUT, publish_target=target)
        await run_until_cut(bench, lease, bench.publishers)
        await bench.executor.execute(await bench.workflows.take_over(lease))
    keys = [received.headers["webhook-id"] for received in server.received]
    one, two = (str(delivery_key(lease.workflow_id, each.article_id)) for each in STEP_INPUT.articles)
    assert keys == [one, one, two]


@pytest.mark.usefixtures("no_waits")
@pytest.mark.parametrize("renames_slugs", [False, True])
async def test_a_post_that_was_made_but_not_recorded(bench: Bench, renames_slugs: bool) -> None:
    """The next run finds the post on the site by our key, and makes no second one."""
    site = WordPress(renames_slugs=renames_slugs, fails_after_posting=1)
    async with hosting(site.app) as origin:
        url = f"{origin}/blog"
        target = PublishTarget(PublishKind.WORDPRESS, url)
        lease = await bench.workflows.lease(Step.PUBLISH, STEP_INPUT, publish_target=target)
        publishers = bench.publishers_with(wordpress_accounts=[WordPressAccount(url, "editor", "abcd")])
        await run_until_cut(bench, lease, publishers)
        again = await bench.workflows.take_over(lease)
        result = await executor_with(bench, publishers.publish).execute(again)
        await publishers.close()
    assert isinstance(result, PublishResult)
    assert [post["title"] for post in site.posts] == ["one", "two"]
    locations = [publication.location for publication in result.publications]
    assert locations == [f"https://blog.example/{post['slug']}/" for post in site.posts]


async def test_two_runs_at_once_record_one_location(bench: Bench) -> None:
    """If a run that was given up delivers as well, the location that was recorded first stays."""
    lease = await bench.workflows.lease(Step.PUBLISH, STEP_INPUT)
    ids = (lease.organization_id, lease.workflow_id, STEP_INPUT.articles[0].article_id)
    deliveries = bench.workflows.deliveries
    await deliveries.insert(*ids, "https://receiver.example/first")
    await asyncio.gather(*(deliveries.insert(*ids, f"https://receiver.example/{n}") for n in range(5)))
    found = await deliveries.of_workflow(lease.organization_id, lease.workflow_id)
    assert found == {ids[2]: "https://receiver.example/first"}


def test_a_delivery_key_names_one_article_of_one_workflow() -> None:
    """A key is the same in every run, and different for another article or workflow."""
    one, two = (each.article_id for each in STEP_INPUT.articles)
    assert delivery_key(WORKFLOW, one) == delivery_key(WORKFLOW, one)
    assert len({delivery_key(WORKFLOW, one), delivery_key(WORKFLOW, two), delivery_key(one, one)}) == 3
