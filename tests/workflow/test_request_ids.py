"""A request_id makes a call happen once (I4)."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from infin8.workflow.v1 import workflow_pb2
from service_chassis.refusal import Refusal
from tests.workflow.service import Client, outcomes, state_name

OTHER_ORGANIZATION = "0a4e5b1e-94a9-4fd5-9d2b-3f0e6f1f2c3d"


async def test_concurrent_creations_under_one_id_make_one_workflow(client: Client) -> None:
    """All callers get one workflow; all but one get it as a replay."""
    request_id = str(uuid4())
    answers, refused = await outcomes([client.create(request_id=request_id) for _ in range(20)])
    assert not refused
    assert len({answer.workflow_id for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 19
    assert len((await client.call("ListWorkflows")).workflows) == 1


async def test_a_repeated_creation_gets_the_first_answer(client: Client) -> None:
    """A replay gets the first answer, although the workflow has changed since."""
    request_id = str(uuid4())
    first = await client.create(request_id=request_id)
    await client.advance(first)
    again = await client.create(request_id=request_id)
    assert again.replayed
    again.replayed = False
    assert again == first


async def test_an_id_belongs_to_an_organization_and_a_method(client: Client) -> None:
    """Another organization, or another RPC, may use the same id."""
    request_id = str(uuid4())
    first = await client.create(request_id=request_id)
    second = await client.create(request_id=request_id, organization_id=OTHER_ORGANIZATION)
    assert first.workflow_id != second.workflow_id
    cancelled = await client.call(
        "CancelWorkflow",
        workflow_id=first.workflow_id,
        expected_state=first.state,
        request_id=request_id,
    )
    assert not cancelled.replayed


async def test_another_content_under_the_same_id_is_refused(client: Client) -> None:
    """REQUEST_ID_REUSED, and nothing is created."""
    request_id = str(uuid4())
    await client.create(request_id=request_id)
    with pytest.raises(Refusal) as raised:
        await client.create(request_id=request_id, display_name="Another")
    assert raised.value.reason == "REQUEST_ID_REUSED"
    assert raised.value.metadata == {"request_id": request_id}
    assert len((await client.call("ListWorkflows")).workflows) == 1


@pytest.mark.parametrize("method", ["RunStep", "RunWorkflow", "ClaimStep", "CancelWorkflow"])
async def test_every_method_that_takes_an_id_refuses_its_reuse(client: Client, method: str) -> None:
    """The refusal comes even if the other content names a workflow that does not exist."""
    workflow = await client.at("ICP_PENDING")
    request_id = str(uuid4())
    fields: dict[str, Any] = {"expected_state": workflow.state, "request_id": request_id}
    if method in ("RunStep", "ClaimStep"):
        fields["step"] = "STEP_ICP"
    first = await client.call(method, workflow_id=workflow.workflow_id, **fields)
    again = await client.call(method, workflow_id=workflow.workflow_id, **fields)
    assert (first.replayed, again.replayed) == (False, True)
    for changed in (
        {"workflow_id": str(uuid4())},
        {"workflow_id": workflow.workflow_id, "expected_state": workflow_pb2.WORKFLOW_STATE_ICP_FAILED},
    ):
        with pytest.raises(Refusal, match="REQUEST_ID_REUSED"):
            await client.call(method, **{**fields, **changed})


async def test_a_call_that_failed_left_nothing(client: Client) -> None:
    """After a failed call its id can be used again, with other content too."""
    workflow = await client.create()
    request_id = str(uuid4())
    with pytest.raises(Refusal, match="STATE_CONFLICT"):
        await client.claim(workflow, "ICP", "ICP_PENDING", request_id=request_id)
    with pytest.raises(Refusal, match="ILLEGAL_TRANSITION"):
        await client.claim(workflow, "ICP", request_id=request_id)
    workflow = await client.advance(workflow)
    lease = await client.claim(workflow, "ICP", request_id=request_id)
    assert not lease.replayed
    assert state_name(lease.workflow) == "ICP_PROCESSING"


async def test_a_repeated_cancellation_gets_its_answer(client: Client) -> None:
    """Of concurrent repetitions one cancels, and the others are replays."""
    workflow = await client.create()
    request_id = str(uuid4())
    answers, refused = await outcomes(
        [
            client.call(
                "CancelWorkflow",
                workflow_id=workflow.workflow_id,
                expected_state=workflow.state,
                request_id=request_id,
                reason="done with it",
            )
            for _ in range(10)
        ]
    )
    assert not refused
    assert {state_name(answer) for answer in answers} == {"CANCELLED"}
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 9
