"""One matrix, in code, in the database and over gRPC; other transitions are refused (S24–S26, I8)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest

from infin8.workflow.v1 import workflow_pb2
from service_chassis.postgres.database import Database
from service_chassis.postgres.embedded import EmbeddedPostgres
from service_chassis.postgres.migrate import migrate
from service_chassis.settings import DatabaseSettings
from tests.workflow.service import Client, state_name
from workflow_service.app.record_matrix import record_matrix
from workflow_service.domain.states import (
    ADVANCES,
    TERMINAL,
    TRANSITIONS,
    WORKING_STEPS,
    Step,
    WorkflowState,
    completed,
    due,
    failed,
    pending,
    processing,
    step_of,
)

EDGES = {(source.value, target.value) for source, targets in TRANSITIONS.items() for target in targets}


@pytest.fixture
async def connection(workflow_dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(workflow_dsn)
    yield connection
    await connection.close()


def test_the_matrix_is_the_requirements() -> None:
    """There are 29 states, with the edges that the requirements list."""
    assert len(WorkflowState) == 29
    working = {
        edge
        for step in WORKING_STEPS
        for edge in [
            (pending(step), processing(step)),
            (processing(step), completed(step)),
            (processing(step), failed(step)),
            (failed(step), processing(step)),
        ]
    }
    between = {
        ("CREATED", "ICP_PENDING"),
        ("ICP_COMPLETED", "COMPETITOR_PENDING"),
        ("COMPETITOR_COMPLETED", "SEED_REVIEW_PENDING"),
        ("SEED_REVIEW_PENDING", "SEED_REVIEW_COMPLETED"),
        ("SEED_REVIEW_COMPLETED", "CLUSTERING_PENDING"),
        ("CLUSTERING_COMPLETED", "VALIDATION_PENDING"),
        ("VALIDATION_COMPLETED", "ARTICLE_PENDING"),
        ("ARTICLE_COMPLETED", "PUBLISH_PENDING"),
        ("PUBLISH_COMPLETED", "COMPLETED"),
    }
    cancels = {(state, "CANCELLED") for state in WorkflowState if state not in TERMINAL}
    assert working | between | cancels == EDGES


async def test_the_database_gets_the_matrix_from_the_code(
    postgres: EmbeddedPostgres, connection: Any
) -> None:
    """Instances that start at once write the matrix to the database and keep its older edges."""
    name = f"workflow_{uuid4().hex}"
    await postgres.ensure_database(name, role="workflow")
    dsn = postgres.dsn(name, role="workflow")
    await migrate(dsn, files("migrations.workflow"))
    databases = [await Database.open(dsn, DatabaseSettings(), application_name="test") for _ in range(3)]
    try:
        async with databases[0].read() as fresh:
            assert await matrix(fresh) == set()
            await fresh.execute("INSERT INTO legal_transitions VALUES ('ICP_COMPLETED', 'EARLIER_PENDING')")
        await asyncio.gather(*(record_matrix(database) for database in databases))
        async with databases[0].read() as started:
            assert await matrix(started) == EDGES | {("ICP_COMPLETED", "EARLIER_PENDING")}
    finally:
        for database in databases:
            await database.close()
    assert await matrix(connection) == EDGES


async def matrix(connection: Any) -> set[tuple[str, str]]:
    rows = await connection.fetch("SELECT from_state, to_state FROM legal_transitions")
    return {(row["from_state"], row["to_state"]) for row in rows}


async def test_get_state_machine_serves_the_same_matrix(client: Client) -> None:
    """The matrix is a flat list of edges, and also a list by state."""
    machine = await client.call("GetStateMachine")

    def name(value: Any) -> str:
        return str(workflow_pb2.WorkflowState.Name(value)).removeprefix("WORKFLOW_STATE_")

    assert {(name(edge.from_state), name(edge.to_state)) for edge in machine.transitions} == EDGES
    assert [name(each.state) for each in machine.states] == [state.value for state in WorkflowState]
    assert {
        (name(each.state), name(to)) for each in machine.states for to in each.allowed_transitions
    } == EDGES
    assert {name(each.state) for each in machine.states if each.terminal} == TERMINAL


def test_what_is_due_leads_on() -> None:
    """Every state that is not terminal waits for its step, the next one, or the end."""
    for state in WorkflowState:
        if state in TERMINAL or state is WorkflowState.PUBLISH_COMPLETED:
            assert due(state) is None
        elif state in ADVANCES:
            assert due(state) is step_of(ADVANCES[state])
        else:
            assert due(state) is step_of(state)
    assert due(WorkflowState.SEED_REVIEW_PENDING) is Step.SEED_REVIEW


async def test_the_database_refuses_every_illegal_transition(client: Client, connection: Any) -> None:
    """Each pair of states that is no edge is refused, also to the owner, from CREATED and CANCELLED."""
    workflow_id = UUID((await client.create()).workflow_id)
    move = "UPDATE intent_workflows SET state = $2, version = version + 1 WHERE id = $1"
    for target in WorkflowState:
        if target.value not in TRANSITIONS[WorkflowState.CREATED] and target != "CREATED":
            await refused(connection, move, workflow_id, target.value)
    await connection.execute(move, workflow_id, "CANCELLED")
    for target in WorkflowState:
        if target != "CANCELLED":
            await refused(connection, move, workflow_id, target.value)


@pytest.mark.parametrize(
    "change",
    [
        "state = 'ICP_PENDING', version = 3",
        "state = 'ICP_PENDING', lease_epoch = 1",
        "state = 'ICP_PENDING', lease_token = NULL, lease_epoch = 7",
        "version = 2",
        "lease_epoch = 1",
        "lease_token = gen_random_uuid()",
        "state = 'NO_SUCH_STATE', version = 2",
        "id = gen_random_uuid()",
        "organization_id = gen_random_uuid()",
        "icp = '{}'",
        "error_class = 'INTERNAL', error_reason = '', error_message = ''",
    ],
)
async def test_the_database_refuses_what_cannot_be(client: Client, connection: Any, change: str) -> None:
    """Versions grow by one and only at a transition, epochs only with a new lease; leases, errors and results
    exist only in their states.
    """
    workflow_id = UUID((await client.create()).workflow_id)
    with pytest.raises(asyncpg.PostgresError):
        await connection.execute(f"UPDATE intent_workflows SET {change} WHERE id = $1", workflow_id)


async def test_not_even_a_replicating_superuser_gets_round_the_guards(
    client: Client, postgres: EmbeddedPostgres, workflow_dsn: str
) -> None:
    """The guards are in force even where ordinary triggers are disabled."""
    await client.at("ICP_PENDING")
    administrator = await asyncpg.connect(postgres.dsn(urlsplit(workflow_dsn).path.strip("/")))
    try:
        await administrator.execute("SET session_replication_role = replica")
        with pytest.raises(asyncpg.CheckViolationError):
            await administrator.execute("UPDATE intent_workflows SET state = 'CREATED', version = 3")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await administrator.execute("DELETE FROM workflow_transitions")
    finally:
        await administrator.close()


async def refused(connection: Any, sql: str, *arguments: Any) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(sql, *arguments)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE workflow_transitions SET actor = 'x'",
        "DELETE FROM workflow_transitions",
        "TRUNCATE workflow_transitions",
        "UPDATE legal_transitions SET to_state = 'CREATED'",
        "DELETE FROM legal_transitions",
    ],
)
async def test_history_and_matrix_only_grow(client: Client, connection: Any, change: str) -> None:
    """The database refuses to change or delete their rows, also to the owner."""
    await client.at("ICP_PENDING")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(change)


async def test_history_has_every_transition(client: Client) -> None:
    """The history has versions without gaps, joined legal edges, actor and reason, and epochs of leases."""
    workflow = await client.at("COMPLETED")

    history = (await client.call("ListTransitions", workflow_id=workflow.workflow_id)).transitions

    assert [line.version for line in history] == list(range(2, workflow.version + 1))
    assert [line.from_state for line in history[1:]] == [line.to_state for line in history[:-1]]
    states = [workflow_pb2.WorkflowState.Name(line.to_state) for line in history]
    assert states[-1] == "WORKFLOW_STATE_COMPLETED"
    epochs = [line.epoch for line in history if line.epoch]
    assert epochs == [epoch for epoch in range(1, len(WORKING_STEPS) + 1) for _ in range(2)]
    assert {line.actor for line in history} == {"anonymous", "service"}
    assert state_name(workflow) == "COMPLETED"
    assert not workflow.allowed_transitions


async def test_advance_goes_where_no_work_is_and_nowhere_else(client: Client) -> None:
    """AdvanceWorkflow is illegal from a state that only a step's work leaves."""
    for target in ("ICP_PENDING", "SEED_REVIEW_PENDING", "COMPLETED"):
        workflow = await client.at(target)
        with pytest.raises(Exception, match="ILLEGAL_TRANSITION"):
            await client.advance(workflow)
