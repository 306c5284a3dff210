"""An outside worker does a step: claim, heartbeat, complete or fail, takeover (I8, I9)."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from google.protobuf.duration_pb2 import Duration

from infin8.workflow.v1 import errors_pb2, steps_pb2
from service_chassis.refusal import Refusal
from tests.workflow.service import ICP_MESSAGE, Client, outcomes, state_name


def held(lease: Any) -> dict[str, Any]:
    return {"workflow_id": lease.workflow_id, "lease_token": lease.lease_token, "epoch": lease.epoch}


async def expire(client: Client, workflow_id: str) -> None:
    """Makes the present lease expire a second ago."""
    connection = await asyncpg.connect(client.dsn)
    await connection.execute(
        "UPDATE intent_workflows SET lease_expire_time = clock_timestamp() - interval '1 s' WHERE id = $1",
        workflow_id,
    )
    await connection.close()


async def test_a_worker_does_every_step(client: Client) -> None:
    """Claim returns the typed input; complete takes the typed result, whose derived ids are optional."""
    workflow = await client.create()

    async def claim(step: str) -> Any:
        nonlocal workflow
        workflow = await client.advance(workflow)
        while (due := state_name(workflow).removesuffix("_PENDING")) != step:
            # The built-in executor does a step that this test has no result for.
            workflow = await client.advance(await client.run(workflow, due))
        lease = await client.claim(workflow, step)
        assert lease.WhichOneof("input") == step.lower()
        assert state_name(lease.workflow) == f"{step}_PROCESSING"
        return lease

    async def complete(lease: Any, **result: Any) -> None:
        nonlocal workflow
        workflow = await client.call("CompleteStep", **held(lease), **result)
        assert not workflow.replayed

    lease = await claim("ICP")
    assert lease.icp.organization_name == "Acme"
    await complete(lease, icp=ICP_MESSAGE)
    assert workflow.icp == ICP_MESSAGE

    lease = await claim("COMPETITOR")
    assert lease.competitor.icp == ICP_MESSAGE
    await complete(
        lease,
        competitor=steps_pb2.CompetitorResult(
            keywords=[
                steps_pb2.SeedKeyword(keyword=keyword, competitor_url=url, intent="i", reason="r")
                for keyword, url in zip(
                    ("Lead scoring", "crm"), lease.competitor.competitor_urls, strict=True
                )
            ]
        ),
    )
    workflow = await client.review(await client.advance(workflow), approve=1)

    lease = await claim("CLUSTERING")
    assert [seed.keyword for seed in lease.clustering.keywords] == ["Lead scoring"]
    await complete(
        lease,
        clustering=steps_pb2.ClusteringResult(
            clusters=[steps_pb2.ClusterResult(pillar_keyword="Lead scoring", theme="scores")]
        ),
    )

    lease = await claim("VALIDATION")
    (cluster,) = lease.validation.clusters
    verdict = steps_pb2.ClusterVerdict(cluster_id=cluster.cluster_id, valid=True, confidence=0.9, reason="r")
    await complete(lease, validation=steps_pb2.ValidationResult(verdicts=[verdict]))

    lease = await claim("ARTICLE")
    assert list(lease.article.clusters) == [cluster]
    draft = steps_pb2.ArticleDraft(
        cluster_id=cluster.cluster_id,
        title="Scores",
        slug="scores",
        meta_description="m",
        body_markdown="# b",
    )
    await complete(lease, article=steps_pb2.ArticleResult(articles=[draft]))

    lease = await claim("PUBLISH")
    (article,) = lease.publish.articles
    publication = steps_pb2.Publication(article_id=article.article_id, location="https://acme.example/scores")
    await complete(lease, publish=steps_pb2.PublishResult(publications=[publication]))
    assert state_name(await client.advance(workflow)) == "COMPLETED"


async def test_a_repeated_claim_gets_the_same_lease(client: Client) -> None:
    """Token, epoch, times and input are the first ones, also after the step has ended."""
    workflow = await client.at("ICP_PENDING")
    request_id = str(uuid4())
    first = await client.claim(workflow, "ICP", request_id=request_id)
    again = await client.claim(workflow, "ICP", request_id=request_id)
    await client.call("CompleteStep", **held(first), icp=ICP_MESSAGE)
    late = await client.claim(workflow, "ICP", request_id=request_id)

    assert again.replayed
    assert late.replayed
    for lease in (again, late):
        lease.replayed = False
        assert lease == first


@pytest.mark.parametrize("ending", ["CompleteStep", "FailStep"])
async def test_a_repeated_ending_by_the_same_lease_succeeds(client: Client, ending: str) -> None:
    """A repetition changes nothing; the other ending with that lease is LEASE_LOST."""
    lease = await client.claim(await client.at("ICP_PENDING"), "ICP")
    fields: dict[str, dict[str, Any]] = {
        "CompleteStep": {"icp": ICP_MESSAGE},
        "FailStep": {"reason": "no luck"},
    }

    first = await client.call(ending, **held(lease), **fields[ending])
    second = await client.call(ending, **held(lease), **fields[ending])

    assert (first.replayed, second.replayed) == (False, True)
    second.replayed = False
    assert first == second
    (other,) = fields.keys() - {ending}
    with pytest.raises(Refusal, match="LEASE_LOST"):
        await client.call(other, **held(lease), **fields[other])


async def test_of_concurrent_completions_one_is_accepted(client: Client) -> None:
    """A result is accepted once, and all callers get the same answer."""
    lease = await client.claim(await client.at("ICP_PENDING"), "ICP")
    answers, refused = await outcomes(
        [client.call("CompleteStep", **held(lease), icp=ICP_MESSAGE) for _ in range(10)]
    )
    assert not refused
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 9
    assert {answer.version for answer in answers} == {lease.workflow.version + 1}


async def test_a_worker_reports_why_it_failed(client: Client) -> None:
    """The failure has the worker's class, reason and message; without a class it is REPORTED_BY_WORKER."""
    lease = await client.claim(await client.at("ICP_PENDING"), "ICP")
    failed = await client.call("FailStep", **held(lease), reason="quota", message="try tomorrow")
    assert failed.last_error.error_class == errors_pb2.ERROR_CLASS_REPORTED_BY_WORKER
    assert (failed.last_error.reason, failed.last_error.message) == ("quota", "try tomorrow")

    lease = await client.claim(failed, "ICP")
    assert lease.epoch == 2
    failed = await client.call(
        "FailStep", **held(lease), reason="late", error_class=errors_pb2.ERROR_CLASS_TIMEOUT
    )
    assert failed.last_error.error_class == errors_pb2.ERROR_CLASS_TIMEOUT


async def test_a_live_lease_is_not_taken_over(client: Client) -> None:
    """A claim that expects X_PROCESSING is STATE_CONFLICT with the lease's expire_time."""
    lease = await client.claim(await client.at("ICP_PENDING"), "ICP")
    with pytest.raises(Refusal) as raised:
        await client.claim(lease.workflow, "ICP")
    assert raised.value.reason == "STATE_CONFLICT"
    assert raised.value.metadata["expected"] == raised.value.metadata["actual"] == "ICP_PROCESSING"
    assert raised.value.metadata["lease_expire_time"] == lease.expire_time.ToJsonString()


async def test_an_expired_lease_is_taken_over_once(client: Client) -> None:
    """One of many claims takes over, at the next epoch, in the same state; the old lease is lost."""
    old = await client.claim(await client.at("ICP_PENDING"), "ICP")
    await expire(client, old.workflow_id)

    leases, refused = await outcomes([client.claim(old.workflow, "ICP") for _ in range(20)])

    (new,) = leases
    assert (new.epoch, new.workflow.version) == (2, old.workflow.version)
    assert new.lease_token != old.lease_token
    assert {refusal.reason for refusal in refused} == {"STATE_CONFLICT"}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("CompleteStep", {"icp": ICP_MESSAGE}),
        ("FailStep", {"reason": "x"}),
        ("HeartbeatStep", {}),
    ]
    for method, fields in calls:
        with pytest.raises(Refusal) as raised:
            await client.call(method, **held(old), **fields)
        assert raised.value.reason == "LEASE_LOST"
        assert raised.value.metadata == {"epoch": "2"}
    assert state_name(await client.call("CompleteStep", **held(new), icp=ICP_MESSAGE)) == "ICP_COMPLETED"


async def test_an_expired_lease_that_nobody_took_still_completes(client: Client) -> None:
    """A result after the lease's time is accepted if nobody took over, since the work is paid for."""
    lease = await client.claim(await client.at("ICP_PENDING"), "ICP")
    await expire(client, lease.workflow_id)
    assert state_name(await client.call("CompleteStep", **held(lease), icp=ICP_MESSAGE)) == "ICP_COMPLETED"


async def test_a_run_takes_over_what_a_worker_left(client: Client) -> None:
    """RunStep from X_PROCESSING does a step whose lease has expired, and no other; the worker has lost it."""
    lease = await client.claim(await client.at("ICP_PENDING"), "ICP")
    with pytest.raises(Refusal) as raised:
        await client.run(lease.workflow, "ICP")
    assert raised.value.reason == "STATE_CONFLICT"
    assert raised.value.metadata["lease_expire_time"] == lease.expire_time.ToJsonString()
    await expire(client, lease.workflow_id)
    done = await client.run(lease.workflow, "ICP")
    assert (state_name(done), done.epoch) == ("ICP_COMPLETED", lease.epoch + 1)
    with pytest.raises(Refusal, match="LEASE_LOST"):
        await client.call("CompleteStep", **held(lease), icp=ICP_MESSAGE)


async def test_a_step_is_taken_over_so_often_and_no_more(client: Client) -> None:
    """After five takeovers the step fails with LEASE_EXPIRED, and a worker can begin it anew."""
    lease = await client.claim(await client.at("ICP_PENDING"), "ICP")
    for epoch in range(2, 7):
        await expire(client, lease.workflow_id)
        lease = await client.claim(lease.workflow, "ICP")
        assert lease.epoch == epoch
    await expire(client, lease.workflow_id)
    with pytest.raises(Refusal) as raised:
        await client.claim(lease.workflow, "ICP")
    assert raised.value.metadata == {"expected": "ICP_PROCESSING", "actual": "ICP_FAILED"}
    failed = await client.get(lease.workflow_id)
    assert failed.last_error.error_class == errors_pb2.ERROR_CLASS_LEASE_EXPIRED
    assert failed.last_error.reason == "TAKEOVERS_EXHAUSTED"
    assert (await client.claim(failed, "ICP")).epoch == 7


async def test_a_heartbeat_extends_and_never_shortens(client: Client) -> None:
    """A longer duration counts from now, and a shorter one changes nothing."""
    lease = await client.claim(await client.at("ICP_PENDING"), "ICP")
    longer = await client.call("HeartbeatStep", **held(lease), lease_duration=Duration(seconds=3600))
    assert longer.expire_time.seconds >= lease.expire_time.seconds + 3000
    shorter = await client.call("HeartbeatStep", **held(lease), lease_duration=Duration(seconds=20))
    assert shorter.expire_time == longer.expire_time
    assert (longer.epoch, longer.workflow.version) == (lease.epoch, lease.workflow.version)


@pytest.mark.parametrize("change", [{"lease_token": str(uuid4())}, {"epoch": 7}])
async def test_a_lease_is_token_and_epoch(client: Client, change: dict[str, Any]) -> None:
    """A wrong token or a wrong epoch is LEASE_LOST, and nothing is changed."""
    lease = await client.claim(await client.at("ICP_PENDING"), "ICP")
    with pytest.raises(Refusal, match="LEASE_LOST"):
        await client.call("CompleteStep", **{**held(lease), **change}, icp=ICP_MESSAGE)
    assert await client.get(lease.workflow_id) == lease.workflow


async def test_a_cancellation_ends_the_lease(client: Client) -> None:
    """The worker's result is refused, and the history has the epoch that ended."""
    lease = await client.claim(await client.at("ICP_PENDING"), "ICP")
    await client.call("CancelWorkflow", workflow_id=lease.workflow_id, expected_state=lease.workflow.state)
    with pytest.raises(Refusal, match="LEASE_LOST"):
        await client.call("CompleteStep", **held(lease), icp=ICP_MESSAGE)
    history = (await client.call("ListTransitions", workflow_id=lease.workflow_id)).transitions
    assert history[-1].epoch == lease.epoch


async def test_a_result_of_another_step_is_refused(client: Client) -> None:
    """The result is INVALID_FIELD and the lease stays, so the right result is still accepted."""
    lease = await client.claim(await client.at("ICP_PENDING"), "ICP")
    with pytest.raises(Refusal, match="INVALID_FIELD"):
        await client.call(
            "CompleteStep",
            **held(lease),
            publish=steps_pb2.PublishResult(
                publications=[steps_pb2.Publication(article_id=str(uuid4()), location="x")]
            ),
        )
    assert state_name(await client.call("CompleteStep", **held(lease), icp=ICP_MESSAGE)) == "ICP_COMPLETED"


async def test_keywords_that_differ_in_case_and_spacing_are_one(client: Client) -> None:
    """A result that names a keyword twice is refused, since each keyword exists once (S30)."""
    lease = await client.claim(await client.at("COMPETITOR_PENDING"), "COMPETITOR")
    url = lease.competitor.competitor_urls[0]
    with pytest.raises(Refusal, match="INVALID_FIELD"):
        await client.call(
            "CompleteStep",
            **held(lease),
            competitor=steps_pb2.CompetitorResult(
                keywords=[
                    steps_pb2.SeedKeyword(keyword=keyword, competitor_url=url, intent="i", reason="r")
                    for keyword in ("Lead  Scoring", "lead scoring")
                ]
            ),
        )
    assert not (await client.call("ListKeywords", workflow_id=lease.workflow_id)).keywords
