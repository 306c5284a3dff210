"""The ledger is append-only, numbered without gaps by organization, and gives a workflow's cost."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import asyncpg
import pytest

from infin8.governor.v1 import entry_pb2
from infin8.governor.v1 import ledger_service_pb2 as ledger_pb2
from service_chassis.postgres.embedded import EmbeddedPostgres
from tests.governor.conftest import MINI, Governor, new_id, refusal

USAGE = entry_pb2.Usage(input_tokens=600, output_tokens=100, requests=1)
COST = 800_000


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ai_usage_ledger SET reason = 'x'",
        "DELETE FROM ai_usage_ledger",
        "TRUNCATE ai_usage_ledger",
        "UPDATE ai_usage_ledger SET reason = 'x' WHERE false",
    ],
)
@pytest.mark.parametrize("replication_role", ["origin", "replica"])
async def test_the_database_refuses_to_change_it(
    governor: Governor, postgres: EmbeddedPostgres, statement: str, replication_role: str
) -> None:
    """Changes are refused for the table's owner too, and where ordinary triggers are off."""
    await governor.settle(await governor.authorize(), USAGE)
    database = urlsplit(governor.dsn).path.removeprefix("/")
    connection = await asyncpg.connect(postgres.dsn(database))
    try:
        await connection.execute(f"SET session_replication_role = {replication_role}")
        await connection.execute("SET ROLE governor")
        assert await connection.fetchval(
            "SELECT tableowner = current_user FROM pg_tables WHERE tablename = 'ai_usage_ledger'"
        )
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await connection.execute(statement)
    finally:
        await connection.close()
    assert len(await governor.entries()) == 1


async def test_sequences_are_dense(governor: Governor) -> None:
    """Sequences are 1 … n by organization, at any concurrency."""
    held = await asyncio.gather(*(governor.authorize() for _ in range(20)))
    await asyncio.gather(*(governor.settle(hold, USAGE) for hold in held))
    assert [entry.sequence for entry in await governor.entries()] == list(range(1, 21))


async def test_what_a_workflow_cost(governor: Governor) -> None:
    """Cost in total and by served model, and what is held; zero for a workflow without entries."""
    request = ledger_pb2.GetWorkflowCostRequest(
        organization_id=governor.organization_id, workflow_id=governor.workflow_id
    )
    nothing = await governor.ledger.GetWorkflowCost(request)
    assert (nothing.cost_nano_usd, nothing.entries, list(nothing.models)) == (0, 0, [])

    for model in (None, None, MINI):
        await governor.settle(await governor.authorize(), USAGE, served_model=model or "")
    await governor.authorize()
    cost = await governor.ledger.GetWorkflowCost(request)
    assert (cost.cost_nano_usd, cost.entries, cost.held_nano_usd) == (2 * COST + 150_000, 3, 2_400_000)
    assert [(m.model, m.cost_nano_usd, m.entries, m.input_tokens, m.output_tokens) for m in cost.models] == [
        ("perplexity/sonar", 2 * COST, 2, 1200, 200),
        (MINI, 150_000, 1, 600, 100),
    ]


async def test_entries_page_by_sequence(governor: Governor) -> None:
    """Pages have each entry once; a token of another list is refused."""
    for _ in range(5):
        await governor.settle(await governor.authorize(), USAGE)
    request = ledger_pb2.ListEntriesRequest(organization_id=governor.organization_id, page_size=2)
    sequences: list[int] = []
    while True:
        page = await governor.ledger.ListEntries(request)
        sequences += [entry.sequence for entry in page.entries]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert sequences == [1, 2, 3, 4, 5]
    request.organization_id = new_id()
    refused = await refusal(governor.ledger.ListEntries(request))
    assert (refused.reason, refused.fields[0].field) == ("INVALID_FIELD", "page_token")


async def test_filters_narrow(governor: Governor) -> None:
    """Each filter alone finds the one entry that it matches."""
    await governor.settle(await governor.authorize(), USAGE)
    await governor.settle(await governor.authorize(labels={"team": "growth"}), USAGE)
    await governor.settle(await governor.authorize(), USAGE, served_model=MINI)
    await governor.settle(await governor.authorize())
    await governor.settle(await governor.authorize(workflow_id=(other := new_id())), USAGE)

    async def found(**narrow: object) -> list[int]:
        answer = await governor.ledger.ListEntries(
            ledger_pb2.ListEntriesRequest(organization_id=governor.organization_id, **narrow)  # type: ignore[arg-type]
        )
        return [entry.sequence for entry in answer.entries]

    assert await found() == [1, 2, 3, 4, 5]
    assert await found(label="team=growth") == [2]
    assert await found(model="openai/gpt-4o-mini-2024-07-18") == [3]
    assert await found(flag=entry_pb2.ENTRY_FLAG_MODEL_DRIFT) == [3]
    assert await found(kind=entry_pb2.ENTRY_KIND_UNKNOWN) == [4]
    assert await found(workflow_id=other) == [5]
    assert await found(workflow_id=new_id()) == []


@pytest.mark.own_world
async def test_the_documents_queries_run(governor: Governor) -> None:
    """The cost breakdown and the dearest workflows use the document's columns and are exact in USD."""
    await governor.settle(await governor.authorize(), USAGE)
    (breakdown,) = await governor.sql(
        "SELECT model, SUM(cost) as total_cost FROM ai_usage_ledger"
        f" WHERE workflow_id = '{governor.workflow_id}' GROUP BY model"
    )
    assert (breakdown["model"], str(breakdown["total_cost"])) == ("perplexity/sonar", "0.000800000")
    (dearest,) = await governor.sql(
        "SELECT workflow_id, SUM(cost) as total_cost FROM ai_usage_ledger GROUP BY workflow_id"
        " ORDER BY total_cost DESC LIMIT 10"
    )
    assert str(dearest["workflow_id"]) == governor.workflow_id
