"""Of any number of callers that race for one step one wins, and the others get STATE_CONFLICT (S27, S29)."""

from __future__ import annotations

import asyncio

import pytest

from tests.workflow.service import Client, PlainExecutor, outcomes, served, state_name


@pytest.mark.parametrize("racers", [3, 20])
async def test_of_concurrent_runs_one_succeeds(client: Client, executor: PlainExecutor, racers: int) -> None:
    """The step runs once, and each loser gets ABORTED with the state that it expected."""
    workflow = await client.at("COMPETITOR_PENDING")

    done, refused = await outcomes([client.run(workflow, "COMPETITOR") for _ in range(racers)])

    assert [state_name(answer) for answer in done] == ["COMPETITOR_COMPLETED"]
    assert [refusal.reason for refusal in refused] == ["STATE_CONFLICT"] * (racers - 1)
    assert {refusal.metadata["expected"] for refusal in refused} == {"COMPETITOR_PENDING"}
    assert executor.runs["COMPETITOR"] == 1  # type: ignore[index]
    keywords = (await client.call("ListKeywords", workflow_id=workflow.workflow_id)).keywords
    assert len(keywords) == 6
    assert len({keyword.keyword for keyword in keywords}) == 6


async def test_of_a_thousand_claims_one_wins(client: Client) -> None:
    """999 claims get STATE_CONFLICT, none OVERLOADED, and the epoch is 1."""
    workflow = await client.at("ICP_PENDING")

    leases, refused = await outcomes([client.claim(workflow, "ICP") for _ in range(1000)])

    assert [lease.epoch for lease in leases] == [1]
    assert [refusal.reason for refusal in refused] == ["STATE_CONFLICT"] * 999
    assert {refusal.metadata["expected"] for refusal in refused} == {"ICP_PENDING"}
    assert {refusal.metadata["actual"] for refusal in refused} == {"ICP_PROCESSING"}


async def test_across_instances_one_wins(client: Client, executor: PlainExecutor, workflow_dsn: str) -> None:
    """Two instances on one database with ten callers each still have one winner."""
    workflow = await client.at("ICP_PENDING")
    async with served(workflow_dsn, executor) as other:
        done, refused = await outcomes(
            [each.run(workflow, "ICP") for each in (client, other) for _ in range(10)]
        )

    assert [state_name(answer) for answer in done] == ["ICP_COMPLETED"]
    assert [refusal.reason for refusal in refused] == ["STATE_CONFLICT"] * 19


async def test_a_loser_gets_a_conflict_even_when_the_winner_is_done(client: Client) -> None:
    """The expected transition is legal, so the loser gets a conflict and not an illegal transition."""
    workflow = await client.at("ICP_PENDING")
    await client.run(workflow, "ICP")

    _, refused = await outcomes([client.run(workflow, "ICP"), client.claim(workflow, "ICP")])

    assert [refusal.reason for refusal in refused] == ["STATE_CONFLICT"] * 2
    assert refused[0].metadata == {"expected": "ICP_PENDING", "actual": "ICP_COMPLETED"}


async def test_a_run_on_a_completed_step_is_illegal(client: Client) -> None:
    """No transition leads from X_COMPLETED back into the step, whoever asks."""
    workflow = await client.at("ICP_COMPLETED")

    _, refused = await outcomes([client.run(workflow, "ICP"), client.claim(workflow, "ICP")])

    assert [refusal.reason for refusal in refused] == ["ILLEGAL_TRANSITION"] * 2
    assert refused[0].metadata == {"from": "ICP_COMPLETED", "to": "ICP_PROCESSING"}


async def test_concurrent_advances_have_one_winner(client: Client) -> None:
    """AdvanceWorkflow is a compare-and-set like the other calls."""
    workflow = await client.create()

    done, refused = await outcomes([client.advance(workflow) for _ in range(20)])

    assert [state_name(answer) for answer in done] == ["ICP_PENDING"]
    assert {refusal.reason for refusal in refused} == {"STATE_CONFLICT"}


async def test_a_cancellation_and_a_run_do_not_both_win(client: Client, executor: PlainExecutor) -> None:
    """If a claim and a cancellation expect the same state, one of them moves the workflow."""
    workflow = await client.at("ICP_PENDING")
    executor.gate.clear()

    cancelling = client.call(
        "CancelWorkflow", workflow_id=workflow.workflow_id, expected_state=workflow.state
    )
    done, refused = await outcomes([cancelling, client.run(workflow, "ICP", wait=False)])

    assert len(done) == 1
    assert [refusal.reason for refusal in refused] == ["STATE_CONFLICT"]
    executor.gate.set()
    await asyncio.sleep(0)
