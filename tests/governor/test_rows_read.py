"""Look-ups by key read few rows, even with a plan that was made while the tables were empty."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.governor.conftest import ONE_SMALL_CALL, Governor

pytestmark = pytest.mark.own_world

FEW, MANY = 20, 300
# One token each way, by the granted model.
USED = """
p_served_models => ARRAY[''], p_input_tokens => '{1}', p_cached_input_tokens => '{0}',
p_cache_write_tokens => '{0}', p_cache_write_1h_tokens => '{0}', p_output_tokens => '{1}',
p_reasoning_tokens => '{0}', p_requests => '{1}', p_other_units => ARRAY[NULL::jsonb],
p_price_contexts => ARRAY[NULL::jsonb], p_provider_costs_nano_usd => '{NULL}',
p_provider_generation_ids => ARRAY[''], p_authors => '{test}', p_lock_timeout_milliseconds => 3000
"""


@pytest.fixture
async def connection(governor: Governor) -> AsyncIterator[asyncpg.Connection]:
    """A session that keeps its plans, as the sessions of the governor do."""
    connection = await asyncpg.connect(governor.dsn)
    yield connection
    await connection.close()


async def rows_read(connection: asyncpg.Connection, table: str) -> int:
    """How many rows of the table the present transaction has read."""
    found: int = await connection.fetchval(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = $1", table
    )
    return found


async def test_a_sweep_with_nothing_to_do_reads_no_holds(
    governor: Governor, connection: asyncpg.Connection
) -> None:
    """The number of live holds does not matter."""
    await governor.authorize()
    await connection.execute(
        "INSERT INTO authorizations SELECT (jsonb_populate_record(a, jsonb_build_object("
        "'authorization_id', gen_random_uuid(), 'request_id', gen_random_uuid()))).*"
        f" FROM authorizations AS a, generate_series(1, {MANY})"
    )
    async with connection.transaction():
        assert await connection.fetch("SELECT organizations_to_sweep('0 s', 100)") == []
        assert await rows_read(connection, "authorizations") < FEW


async def test_a_true_cost_reads_its_own_entries(governor: Governor, connection: asyncpg.Connection) -> None:
    """The number of the organization's other rows does not matter."""
    holds = [await governor.authorize() for _ in range(8)]
    for held in holds:
        await governor.settle(held)

    async def true_up(authorization_id: str) -> int:
        async with connection.transaction():
            outcome = await connection.fetchval(
                "SELECT outcome FROM settle_sequential(p_organization_id => $1,"
                " p_authorization_ids => ARRAY[$2::uuid], p_settlement_hashes => ARRAY['\\x01'::bytea],"
                f" p_true_up_keys => ARRAY[$3::uuid], {USED})",
                UUID(governor.organization_id),
                UUID(authorization_id),
                uuid4(),
            )
            assert outcome == "SETTLED"
            return await rows_read(connection, "ai_usage_ledger")

    # After these calls the session keeps its plans.
    for held in holds[1:]:
        await true_up(held.authorization_id)
    await connection.execute(
        "SELECT record_usage("
        "p_organization_id => $1, p_idempotency_key => gen_random_uuid(), p_request_hash => '',"
        " p_workflow_id => $2, p_served_model => 'perplexity/sonar', p_input_tokens => 1,"
        " p_cached_input_tokens => 0, p_cache_write_tokens => 0, p_cache_write_1h_tokens => 0,"
        " p_output_tokens => 1, p_reasoning_tokens => 0, p_requests => 1, p_other_units => '{}',"
        " p_price_context => '{}', p_provider_cost_nano_usd => NULL, p_labels => '{}',"
        f" p_occurred_time => NULL, p_author => 'test') FROM generate_series(1, {MANY})",
        UUID(governor.organization_id),
        UUID(governor.workflow_id),
    )
    assert await true_up(holds[0].authorization_id) < FEW


async def test_a_batch_reads_its_own_holds_and_budgets(
    governor: Governor, connection: asyncpg.Connection
) -> None:
    """The number of the organization's other rows does not matter."""
    organization_id = UUID(governor.organization_id)

    async def read_so_far() -> int:
        return sum([await rows_read(connection, table) for table in ("authorizations", "budgets")])

    async def rows_read_by_a_pair() -> int:
        hold_id = uuid4()
        async with connection.transaction():
            before = await read_so_far()
            placed = await connection.fetch(
                f"SELECT * FROM authorize_set_based({ONE_SMALL_CALL})",
                organization_id,
                hold_id,
            )
            settled = await connection.fetch(
                "SELECT * FROM settle_set_based(p_organization_ids => ARRAY[$1::uuid],"
                f" p_authorization_ids => ARRAY[$2::uuid], p_settlement_hashes => '{{a}}', {USED})",
                organization_id,
                hold_id,
            )
            assert (len(placed), len(settled)) == (2, 2)
            return await read_so_far() - before

    await governor.authorize()
    for _ in range(8):  # after these calls the session keeps its plans
        await rows_read_by_a_pair()
    await connection.execute(
        "INSERT INTO authorizations SELECT (jsonb_populate_record(a, jsonb_build_object("
        "'authorization_id', gen_random_uuid(), 'request_id', gen_random_uuid()))).*"
        f" FROM authorizations AS a, generate_series(1, {MANY}) WHERE a.state = 'PENDING'"
    )
    await connection.execute(
        "INSERT INTO budgets (organization_id, budget_key)"
        f" SELECT $1, 'workflow/' || gen_random_uuid() FROM generate_series(1, {MANY})",
        organization_id,
    )
    assert await rows_read_by_a_pair() < FEW
