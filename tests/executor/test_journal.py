"""The journal of model calls: guarded moves on a real database."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from infin8.workflow.v1 import invocations_pb2
from tests.executor.conftest import WorkflowDatabase
from workflow_service.api.render import invocation_message
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.states import Step
from workflow_service.domain.workflow import Lease
from workflow_service.store.invocations import (
    CallUsage,
    Invocation,
    InvocationState,
    Response,
    list_invocations,
    request_id,
)

USAGE = CallUsage(100, 10, 5, 50, 20, 1, 3, {"web_searches": 2})
ANSWERED = Response(
    answer="{}", served_model="m", generation_id="gen-1", usage=USAGE, provider_cost_nano_usd=9
)


async def requested(workflows: WorkflowDatabase, lease: Lease, attempt: int = 1) -> Invocation:
    row = await workflows.journal.request_if_leased(
        lease.organization_id,
        lease.workflow_id,
        lease.step,
        "",
        attempt,
        epoch=lease.epoch,
        models=["perplexity/sonar"],
    )
    assert row is not None
    return row


async def in_state(workflows: WorkflowDatabase, lease: Lease, state: str, attempt: int = 1) -> Invocation:
    """A call that came to `state` along the path that the migration draws."""
    journal = workflows.journal
    row: Invocation | None = await requested(workflows, lease, attempt)
    assert row is not None
    if state == "REQUESTED":
        return row
    if state in ("VOIDING", "VOIDED"):
        row = await journal.void_if_unanswered(row, ErrorClass.RATE_LIMITED)
        assert row is not None
        if state == "VOIDED":
            row = await journal.end_void_if_voiding(row)
            assert row is not None
        return row
    row = await journal.authorize_if_requested(
        row, authorization_id=uuid4(), model="m", held_nano_usd=100, output_tokens_max=700
    )
    assert row is not None
    if state == "AUTHORIZED":
        return row
    row = await journal.dispatch_if_authorized_and_leased(row)
    assert row is not None
    if state == "DISPATCHED":
        return row
    row = await journal.respond_if_dispatched(row, ANSWERED)
    assert row is not None
    if state == "RESPONDED":
        return row
    row = await journal.settle_if_responded(
        row, entry_id=uuid4(), cost_nano_usd=42, workflow_spent_nano_usd=42
    )
    assert row is not None
    return row


MOVES: dict[str, set[str]] = {
    "authorize": {"REQUESTED"},
    "dispatch": {"AUTHORIZED"},
    "respond": {"DISPATCHED"},
    "settle": {"RESPONDED"},
    "void": {"REQUESTED", "AUTHORIZED", "DISPATCHED"},
    "end_void": {"VOIDING"},
    "deny": {"REQUESTED"},
    "settle_voiding": {"VOIDING"},
}
TARGETS = {
    "authorize": "AUTHORIZED",
    "dispatch": "DISPATCHED",
    "respond": "RESPONDED",
    "settle": "SETTLED",
    "void": "VOIDING",
    "end_void": "VOIDED",
    "deny": "VOIDED",
    "settle_voiding": "SETTLED",
}


async def move(workflows: WorkflowDatabase, name: str, row: Invocation) -> Invocation | None:
    journal = workflows.journal
    match name:
        case "authorize":
            return await journal.authorize_if_requested(
                row,
                authorization_id=uuid4(),
                model="m",
                held_nano_usd=1,
                output_tokens_max=1,
            )
        case "dispatch":
            return await journal.dispatch_if_authorized_and_leased(row)
        case "respond":
            return await journal.respond_if_dispatched(row, ANSWERED)
        case "settle":
            return await journal.settle_if_responded(
                row, entry_id=uuid4(), cost_nano_usd=1, workflow_spent_nano_usd=1
            )
        case "void":
            return await journal.void_if_unanswered(row, ErrorClass.TIMEOUT)
        case "end_void":
            return await journal.end_void_if_voiding(row)
        case "deny":
            return await journal.deny_if_requested(row, ErrorClass.BUDGET_DENIED)
        case _:
            return await journal.settle_if_voiding(
                row, authorization_id=uuid4(), model="m", held_nano_usd=1, entry_id=uuid4(), cost_nano_usd=1
            )


async def test_every_move_starts_from_its_own_state_only(workflow_database: WorkflowDatabase) -> None:
    """Each move succeeds from its own states, and changes nothing in every other state."""
    lease = await workflow_database.lease(Step.ICP)
    attempt = 0
    for name, sources in MOVES.items():
        for state in InvocationState:
            attempt += 1
            row = await in_state(workflow_database, lease, state.value, attempt)
            moved = await move(workflow_database, name, row)
            now = await workflow_database.journal.get(lease.organization_id, row.request_id)
            if state.value in sources:
                assert moved is not None, (name, state)
                assert moved.state.value == TARGETS[name]
                assert now == moved
            else:
                assert moved is None, (name, state)
                assert now == row


@pytest.mark.parametrize("name", ["authorize", "dispatch", "respond", "void", "deny"])
async def test_a_row_that_was_taken_over_is_out_of_reach(
    workflow_database: WorkflowDatabase, name: str
) -> None:
    """Once the next epoch has adopted a row, only that epoch moves it."""
    lease = await workflow_database.lease(Step.ICP)
    row = await in_state(workflow_database, lease, min(MOVES[name]))
    taken = await workflow_database.take_over(lease)
    [adopted] = await workflow_database.journal.adopt_open_if_leased(
        lease.organization_id,
        lease.workflow_id,
        lease.step,
        epoch=taken.epoch,
        call_deadline=timedelta(0),
    )
    assert adopted.epoch == taken.epoch
    assert await move(workflow_database, name, row) is None
    assert await move(workflow_database, name, adopted) is not None


@pytest.mark.parametrize("how", ["take_over", "cancel"])
async def test_nothing_is_begun_or_sent_without_the_lease(
    workflow_database: WorkflowDatabase, how: str
) -> None:
    """After a takeover or a cancellation the old epoch can neither write, dispatch nor adopt a call."""
    lease = await workflow_database.lease(Step.ICP)
    row = await in_state(workflow_database, lease, "AUTHORIZED")
    await getattr(workflow_database, how)(lease)
    journal = workflow_database.journal
    assert await journal.dispatch_if_authorized_and_leased(row) is None
    ids = (lease.organization_id, lease.workflow_id, lease.step)
    assert await journal.request_if_leased(*ids, "", 2, epoch=lease.epoch, models=["m"]) is None
    assert await journal.adopt_open_if_leased(*ids, epoch=lease.epoch, call_deadline=timedelta(0)) == []


async def test_what_has_ended_is_not_adopted(workflow_database: WorkflowDatabase) -> None:
    """Adoption takes the open rows, and only those."""
    lease = await workflow_database.lease(Step.ICP)
    for attempt, state in enumerate(InvocationState, start=1):
        await in_state(workflow_database, lease, state.value, attempt)
    taken = await workflow_database.take_over(lease)
    adopted = await workflow_database.journal.adopt_open_if_leased(
        lease.organization_id,
        lease.workflow_id,
        lease.step,
        epoch=taken.epoch,
        call_deadline=timedelta(0),
    )
    assert {row.state.value for row in adopted} == {s.value for s in InvocationState} - {"SETTLED", "VOIDED"}


async def test_what_may_still_be_answered_is_not_adopted(workflow_database: WorkflowDatabase) -> None:
    """A DISPATCHED call stays with its holder until its deadline, counted from its dispatch."""
    lease = await workflow_database.lease(Step.ICP)
    await in_state(workflow_database, lease, "DISPATCHED")
    taken = await workflow_database.take_over(lease)
    ids = (lease.organization_id, lease.workflow_id, lease.step)
    for deadline, states in ((timedelta(hours=1), []), (timedelta(0), ["DISPATCHED"])):
        adopted = await workflow_database.journal.adopt_open_if_leased(
            *ids, epoch=taken.epoch, call_deadline=deadline
        )
        assert [row.state.value for row in adopted] == states


async def test_an_attempt_is_written_once(workflow_database: WorkflowDatabase) -> None:
    """If two write the same attempt at once, one succeeds."""
    lease = await workflow_database.lease(Step.ICP)

    async def request() -> Invocation | None:
        return await workflow_database.journal.request_if_leased(
            lease.organization_id, lease.workflow_id, lease.step, "", 1, epoch=1, models=["m"]
        )

    rows = await asyncio.gather(*(request() for _ in range(8)))
    assert sum(row is not None for row in rows) == 1


async def test_a_move_is_made_once(workflow_database: WorkflowDatabase) -> None:
    """If eight settle a row at once, one succeeds."""
    lease = await workflow_database.lease(Step.ICP)
    row = await in_state(workflow_database, lease, "RESPONDED")
    moved = await asyncio.gather(*(move(workflow_database, "settle", row) for _ in range(8)))
    assert sum(one is not None for one in moved) == 1


def test_a_request_id_names_one_attempt() -> None:
    """It is derived: the same after a crash, and different for another workflow, step, item or attempt."""
    workflow = uuid4()
    names = {
        request_id(workflow, Step.ICP, "", 1),
        request_id(workflow, Step.ICP, "", 2),
        request_id(workflow, Step.ICP, "a", 1),
        request_id(workflow, Step.COMPETITOR, "", 1),
        request_id(uuid4(), Step.ICP, "", 1),
    }
    assert len(names) == 5
    assert request_id(workflow, Step.ICP, "", 1) in names


async def test_a_response_is_read_as_it_was_written(workflow_database: WorkflowDatabase) -> None:
    """Answer, usage, cost and names are read back as written, and so are missing ones."""
    lease = await workflow_database.lease(Step.ICP)
    assert (await in_state(workflow_database, lease, "SETTLED")).response == ANSWERED
    dispatched = await in_state(workflow_database, lease, "DISPATCHED", 2)
    unknown = Response(error_class=ErrorClass.TIMEOUT)
    responded = await workflow_database.journal.respond_if_dispatched(dispatched, unknown)
    assert responded is not None
    assert responded.response == unknown


@pytest.mark.own_world
async def test_a_correction_is_made_once(workflow_database: WorkflowDatabase) -> None:
    """An outcome that was charged as unknown is corrected once, and the workflow's total changes with it."""
    lease = await workflow_database.lease(Step.ICP)
    journal = workflow_database.journal
    dispatched = await in_state(workflow_database, lease, "DISPATCHED")
    responded = await journal.respond_if_dispatched(dispatched, Response(error_class=ErrorClass.TIMEOUT))
    assert responded is not None
    settled = await journal.settle_if_responded(
        responded, entry_id=uuid4(), cost_nano_usd=100, workflow_spent_nano_usd=100
    )
    assert settled is not None

    async def correct() -> Invocation | None:
        return await journal.correct_if_settled_unknown(
            settled, usage=USAGE, difference_nano_usd=-70, workflow_spent_nano_usd=30
        )

    corrected = await correct()
    assert corrected is not None
    assert (corrected.cost_nano_usd, corrected.response.usage) == (30, USAGE)
    assert await correct() is None
    [row] = await workflow_database.sql("SELECT total_ai_cost_nano_usd FROM intent_workflows")
    assert row["total_ai_cost_nano_usd"] == 30


@pytest.mark.own_world
@pytest.mark.parametrize(
    "change",
    [
        "state = 'DISPATCHED'",
        "state = 'RESPONDED', dispatch_time = now(), respond_time = now()",
        "state = 'SETTLED', end_time = now()",
        "state = 'SETTLED', end_time = now(), entry_id = gen_random_uuid(), cost_nano_usd = 1",
        "state = 'VOIDED', end_time = now()",
        "answer = '{}'",
        "input_tokens = 1",
        "cache_write_1h_tokens = 1",
        """other_units = '{"web_searches": 1}'""",
        "cost_nano_usd = 1",
        "held_nano_usd = -1",
        "attempt = 0",
        "state = 'LOST'",
        "error_class = 'BAD_LUCK'",
    ],
)
async def test_the_database_refuses_rows_that_cannot_be(
    workflow_database: WorkflowDatabase, change: str
) -> None:
    """A row without the columns that its state needs is refused, whoever writes it."""
    lease = await workflow_database.lease(Step.ICP)
    await requested(workflow_database, lease)
    with pytest.raises(asyncpg.CheckViolationError):
        await workflow_database.sql(f"UPDATE model_invocations SET {change}")


@pytest.mark.own_world
@pytest.mark.parametrize(
    "change",
    [
        "cache_write_1h_tokens = cache_write_tokens + 1",
        "cache_write_1h_tokens = -1",
        "reasoning_tokens = NULL",
        "other_units = '[]'",
        """other_units = '{"web_searches": -1}'""",
        """other_units = '{"web_searches": "1"}'""",
    ],
)
async def test_the_database_refuses_counts_that_cannot_be(
    workflow_database: WorkflowDatabase, change: str
) -> None:
    """Parts above their whole, and other units that are no counts."""
    await in_state(workflow_database, await workflow_database.lease(Step.ICP), "SETTLED")
    with pytest.raises(asyncpg.CheckViolationError):
        await workflow_database.sql(f"UPDATE model_invocations SET {change}")


async def test_callers_see_the_whole_usage(workflow_database: WorkflowDatabase) -> None:
    """ListInvocations shows every count of the journal; none if the provider reported none."""
    lease = await workflow_database.lease(Step.ICP)
    settled = invocation_message(await in_state(workflow_database, lease, "SETTLED"))
    assert settled.usage == invocations_pb2.Usage(
        input_tokens=100,
        cached_input_tokens=10,
        cache_write_tokens=5,
        output_tokens=50,
        reasoning_tokens=20,
        requests=1,
        cache_write_1h_tokens=3,
        other_units={"web_searches": 2},
    )
    assert not invocation_message(await in_state(workflow_database, lease, "DISPATCHED", 2)).HasField("usage")


async def test_pages_follow_the_order_of_the_calls(workflow_database: WorkflowDatabase) -> None:
    """Pages have every call once, oldest first, and none of another organization."""
    lease = await workflow_database.lease(Step.ICP)
    for attempt in range(1, 6):
        await requested(workflow_database, lease, attempt)
    await requested(workflow_database, await workflow_database.lease(Step.ICP))
    seen: list[int] = []
    after: Any = None
    async with workflow_database.database.read() as connection:
        while page := await list_invocations(
            connection, lease.organization_id, lease.workflow_id, after=after, limit=2
        ):
            seen += [row.attempt for row in page]
            after = (page[-1].create_time, page[-1].request_id)
        other = await list_invocations(connection, uuid4(), lease.workflow_id, after=None, limit=2)
    assert seen == [1, 2, 3, 4, 5]
    assert other == []
