"""SubmitSeedReview: only keywords that a person approved are used in later steps (S38)."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from infin8.workflow.v1 import steps_pb2, workflow_service_pb2
from service_chassis.refusal import Refusal
from tests.workflow.service import Client, outcomes, state_name

APPROVED = steps_pb2.REVIEW_DECISION_APPROVED
REJECTED = steps_pb2.REVIEW_DECISION_REJECTED


async def submit(client: Client, workflow: Any, decisions: dict[str, Any], **fields: Any) -> Any:
    return await client.call(
        "SubmitSeedReview",
        workflow_id=workflow.workflow_id,
        expected_state=workflow.state,
        decisions=[
            workflow_service_pb2.KeywordDecision(keyword=keyword, decision=decision)
            for keyword, decision in decisions.items()
        ],
        **fields,
    )


async def keywords(client: Client, workflow: Any) -> list[Any]:
    return list((await client.call("ListKeywords", workflow_id=workflow.workflow_id)).keywords)


async def test_what_is_not_decided_is_rejected(client: Client) -> None:
    """Keywords without a decision are rejected; case and spacing do not matter."""
    workflow = await client.at("SEED_REVIEW_PENDING")
    first, second, *_ = await keywords(client, workflow)
    assert first.decision == steps_pb2.REVIEW_DECISION_UNSPECIFIED

    done = await submit(client, workflow, {first.keyword.upper(): APPROVED, second.keyword: REJECTED})

    assert state_name(done) == "SEED_REVIEW_COMPLETED"
    assert [keyword.decision for keyword in await keywords(client, workflow)] == [APPROVED] + [REJECTED] * 5
    assert all(keyword.HasField("decide_time") for keyword in await keywords(client, workflow))


@pytest.mark.parametrize("approved", ["none", "all rejected"])
async def test_nothing_approved_is_refused_and_leaves_nothing(client: Client, approved: str) -> None:
    """NOTHING_APPROVED: the workflow still waits, and its keywords have no decision."""
    workflow = await client.at("SEED_REVIEW_PENDING")
    names = [keyword.keyword for keyword in await keywords(client, workflow)]
    decisions = dict.fromkeys(names, REJECTED) if approved == "all rejected" else {}
    with pytest.raises(Refusal, match="NOTHING_APPROVED"):
        await submit(client, workflow, decisions)
    assert await client.get(workflow.workflow_id) == workflow
    assert not any(keyword.decision for keyword in await keywords(client, workflow))


async def test_an_unknown_keyword_is_refused(client: Client) -> None:
    """An unknown keyword is INVALID_FIELD with its path, also beside a known one."""
    workflow = await client.at("SEED_REVIEW_PENDING")
    first = (await keywords(client, workflow))[0].keyword
    with pytest.raises(Refusal) as raised:
        await submit(client, workflow, {first: APPROVED, "no such keyword": APPROVED})
    assert [violation.field for violation in raised.value.fields] == ["decisions[1].keyword"]
    assert state_name(await client.get(workflow.workflow_id)) == "SEED_REVIEW_PENDING"


async def test_of_concurrent_reviews_one_stands(client: Client) -> None:
    """The other reviews get STATE_CONFLICT, and the decisions are the winner's."""
    workflow = await client.at("SEED_REVIEW_PENDING")
    names = [keyword.keyword for keyword in await keywords(client, workflow)]
    done, refused = await outcomes([submit(client, workflow, {name: APPROVED}) for name in names])
    assert len(done) == 1
    assert [refusal.reason for refusal in refused] == ["STATE_CONFLICT"] * 5
    assert sum(keyword.decision == APPROVED for keyword in await keywords(client, workflow)) == 1


async def test_a_repeated_review_gets_its_answer(client: Client) -> None:
    """The same decisions are a replay; other decisions are REQUEST_ID_REUSED."""
    workflow = await client.at("SEED_REVIEW_PENDING")
    names = [keyword.keyword for keyword in await keywords(client, workflow)]
    request_id = str(uuid4())
    first = await submit(client, workflow, {names[0]: APPROVED}, request_id=request_id)
    again = await submit(client, workflow, {names[0]: APPROVED}, request_id=request_id)
    assert again.replayed
    assert again.version == first.version
    with pytest.raises(Refusal, match="REQUEST_ID_REUSED"):
        await submit(client, workflow, {names[1]: APPROVED}, request_id=request_id)
