"""Two requests under one request_id are the same if they have the same meaning, however they are written."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration

from infin8.workflow.v1 import steps_pb2, workflow_pb2, workflow_service_pb2
from service_chassis.refusal import Refusal
from tests.workflow.service import COMPETITORS, Client

Changes = dict[str, Any]


async def test_a_creation(client: Client) -> None:
    """Ids in capitals and an explicit default publish target are the same request."""
    request_id = str(uuid4())
    first = await client.create(request_id=request_id)
    directory = workflow_pb2.PublishTarget(directory=workflow_pb2.DirectoryTarget())
    again = await client.create(
        request_id=request_id.upper(),
        organization_id=client.organization_id.upper(),
        publish_target=directory,
    )
    assert (again.replayed, again.workflow_id) == (True, first.workflow_id)
    profile = workflow_pb2.Profile(
        organization_name="Acme", organization_url="https://acme.example", competitor_urls=COMPETITORS[:1]
    )
    elsewhere = workflow_pb2.PublishTarget(directory=workflow_pb2.DirectoryTarget(path="blog"))
    for other in ({"profile": profile}, {"publish_target": elsewhere}, {"display_name": "Other"}):
        with pytest.raises(Refusal, match="REQUEST_ID_REUSED"):
            await client.create(request_id=request_id, **other)


@pytest.mark.parametrize(
    ("method", "first", "same", "other"),
    [
        ("RunStep", {"wait": False}, {}, {"expected_state": "WORKFLOW_STATE_ICP_FAILED"}),
        ("RunStep", {}, {"wait": True}, {"step": "STEP_COMPETITOR"}),
        ("RunWorkflow", {}, {"wait": False}, {"expected_state": "WORKFLOW_STATE_ICP_FAILED"}),
        (
            "ClaimStep",
            {},
            {"lease_duration": Duration(seconds=30)},
            {"lease_duration": Duration(seconds=31)},
        ),
        ("CancelWorkflow", {"reason": "a\nb"}, {"reason": "a\nb"}, {"reason": "a b"}),
    ],
)
async def test_calls_that_move_a_workflow(
    client: Client, method: str, first: Changes, same: Changes, other: Changes
) -> None:
    """`wait` is not part of the content, and a default may be left out."""
    workflow = await client.at("ICP_PENDING")
    content: Changes = {"expected_state": workflow.state}
    if method in ("RunStep", "ClaimStep"):
        content["step"] = "STEP_ICP"
    request_id, workflow_id = str(uuid4()), workflow.workflow_id
    done = await client.call(method, request_id=request_id, workflow_id=workflow_id, **content | first)
    assert not done.replayed
    again = await client.call(
        method, request_id=request_id.upper(), workflow_id=workflow_id.upper(), **content | same
    )
    assert again.replayed
    with pytest.raises(Refusal, match="REQUEST_ID_REUSED"):
        await client.call(method, request_id=request_id, workflow_id=workflow_id, **content | other)


async def test_a_review(client: Client) -> None:
    """Decisions may be in any order, and a keyword without a decision equals a rejected one."""
    workflow = await client.at("SEED_REVIEW_PENDING")
    listed = await client.call("ListKeywords", workflow_id=workflow.workflow_id)
    one, two, three = [keyword.keyword for keyword in listed.keywords][:3]
    request_id = str(uuid4())

    async def review(*decisions: tuple[str, steps_pb2.ReviewDecision.ValueType]) -> Any:
        return await client.call(
            "SubmitSeedReview",
            workflow_id=workflow.workflow_id,
            request_id=request_id,
            expected_state=workflow.state,
            decisions=[
                workflow_service_pb2.KeywordDecision(keyword=keyword, decision=decision)
                for keyword, decision in decisions
            ],
        )

    approved, rejected = steps_pb2.REVIEW_DECISION_APPROVED, steps_pb2.REVIEW_DECISION_REJECTED
    assert not (await review((one, approved), (two, approved))).replayed
    assert (await review((three, rejected), (two.upper(), approved), (f" {one}", approved))).replayed
    with pytest.raises(Refusal, match="REQUEST_ID_REUSED"):
        await review((one, approved), (two, rejected))


async def test_reasons_have_lines(client: Client) -> None:
    """Reasons may have line breaks in requests, results and failures."""
    workflow = await client.at("COMPETITOR_PENDING")
    lease = await client.claim(workflow, "COMPETITOR")
    leased = {
        "workflow_id": workflow.workflow_id,
        "lease_token": lease.lease_token,
        "epoch": lease.epoch,
    }
    failed = await client.call("FailStep", reason="a\r\n\tb", message="c\nd", **leased)
    assert (failed.last_error.reason, failed.last_error.message) == ("a\r\n\tb", "c\nd")

    lease = await client.claim(failed, "COMPETITOR")
    leased |= {"lease_token": lease.lease_token, "epoch": lease.epoch}
    keyword = {"keyword": "crm", "competitor_url": COMPETITORS[0], "intent": "x", "reason": "a\n\tb"}
    result = steps_pb2.CompetitorResult(keywords=[steps_pb2.SeedKeyword(**keyword | {"intent": "a\nb"})])
    with pytest.raises(Refusal) as raised:
        await client.call("CompleteStep", competitor=result, **leased)
    assert [violation.field for violation in raised.value.fields] == ["competitor.keywords[0].intent"]
    result = steps_pb2.CompetitorResult(keywords=[steps_pb2.SeedKeyword(**keyword)])
    await client.call("CompleteStep", competitor=result, **leased)
    listed = await client.call("ListKeywords", workflow_id=workflow.workflow_id)
    assert [each.reason for each in listed.keywords] == ["a\n\tb"]
