"""UpdateWorkflowData merges top-level keys atomically (S32)."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct

from service_chassis.refusal import Refusal
from tests.workflow.service import Client, outcomes


async def update(client: Client, workflow_id: str, data: dict[str, Any]) -> Any:
    return await client.call(
        "UpdateWorkflowData", workflow_id=workflow_id, workflow_data=ParseDict(data, Struct())
    )


async def test_writers_of_different_keys_all_survive(client: Client) -> None:
    """Two, and fifty, writers at once lose nothing, and the version stays the same."""
    workflow = await client.create()
    for writers in (2, 50):
        await outcomes([update(client, workflow.workflow_id, {f"key{n}": n}) for n in range(writers)])
        after = await client.get(workflow.workflow_id)
        assert MessageToDict(after.workflow_data) == {f"key{n}": n for n in range(writers)}
    assert after.version == workflow.version


async def test_a_key_is_replaced_whole(client: Client) -> None:
    """Only top-level keys are merged, and every JSON value comes back as it was."""
    workflow_id = (await client.create()).workflow_id
    first = {"notes": {"a": 1, "b": [True, None, "ü", 1.5]}, "kept": "yes"}
    await update(client, workflow_id, first)
    after = await update(client, workflow_id, {"notes": {"c": {}}})
    assert MessageToDict(after.workflow_data) == {"notes": {"c": {}}, "kept": "yes"}


async def test_data_survives_the_steps(client: Client) -> None:
    """A step that completes during writes loses no data, and data does not change the state."""
    workflow = await client.at("ICP_PENDING")
    await outcomes(
        [client.run(workflow, "ICP")]
        + [update(client, workflow.workflow_id, {f"key{n}": n}) for n in range(20)]
    )
    after = await client.get(workflow.workflow_id)
    assert len(MessageToDict(after.workflow_data)) == 20
    assert after.version == workflow.version + 2


async def test_the_bound_is_in_bytes_of_utf_8(client: Client) -> None:
    """Every script has the same room: characters count as stored, not as escaped."""
    workflow_id = (await client.create()).workflow_id
    after = await update(client, workflow_id, {"a": "я" * 120_000})
    assert len(after.workflow_data["a"]) == 120_000


async def test_the_whole_has_a_bound(client: Client) -> None:
    """The bound also applies to data that grew in parts, and the earlier data stays."""
    workflow_id = (await client.create()).workflow_id
    part = "x" * 100_000
    await update(client, workflow_id, {"a": part})
    await update(client, workflow_id, {"b": part})
    with pytest.raises(Refusal, match="INVALID_FIELD"):
        await update(client, workflow_id, {"c": part})
    after = await update(client, workflow_id, {"a": "small"})
    assert set(MessageToDict(after.workflow_data)) == {"a", "b"}


async def test_the_total_cost_follows_the_journal(client: Client) -> None:
    """A model call's cost is added to the workflow's total in nano-USD, and to its data in USD."""
    workflow = await client.at("ICP_PENDING")
    lease = await client.claim(workflow, "ICP")
    connection = await asyncpg.connect(client.dsn)
    insert = """
        INSERT INTO model_invocations (organization_id, workflow_id, step, item, attempt, request_id, epoch,
            state, requested_models, authorization_id, model, held_nano_usd, entry_id, cost_nano_usd,
            workflow_spent_nano_usd, dispatch_time, respond_time, end_time)
        VALUES ($1, $2, 'ICP', $3, 1, gen_random_uuid(), 1, 'SETTLED', '{m}', gen_random_uuid(), 'm', $4,
            gen_random_uuid(), $4, $5, now(), now(), now())
    """
    for item, cost, spent in [("a", 1_500_000, 1_500_000), ("b", 250_000, 2_000_000), ("c", 1, None)]:
        await connection.execute(insert, lease.organization_id, lease.workflow_id, item, cost, spent)
    in_usd = await connection.fetchval(
        "SELECT workflow_data ->> 'total_ai_cost' FROM intent_workflows WHERE id = $1", workflow.workflow_id
    )
    await connection.close()

    after = await client.get(workflow.workflow_id)
    assert after.total_ai_cost_nano_usd == 2_000_001
    assert float(in_usd) == 0.002000001
    with pytest.raises(Refusal, match="INVALID_FIELD"):
        await update(client, workflow.workflow_id, {"total_ai_cost": 0})
