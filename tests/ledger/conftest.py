"""The governor of tests/governor, with helpers for the ledger's tests."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

from infin8.governor.v1 import entry_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from tests.governor.conftest import SONAR, Governor, governor, new_id

__all__ = ["governor"]

USAGE = entry_pb2.Usage(input_tokens=600, output_tokens=100, requests=1)
COST = 800_000  # 600 × 1,000 + 100 × 2,000
HOLD = 2_400_000

VERIFY = (files("governor_service.store") / "verify.sql").read_text(encoding="utf-8")


def record_request(governor: Governor, **changes: Any) -> governor_pb2.RecordUsageRequest:
    """600 input and 100 output tokens of sonar: 800,000 nano-USD."""
    fields: dict[str, Any] = {
        "organization_id": governor.organization_id,
        "workflow_id": governor.workflow_id,
        "request_id": new_id(),
        "served_model": SONAR,
        "usage": USAGE,
    }
    return governor_pb2.RecordUsageRequest(**(fields | changes))


async def record(governor: Governor, **changes: Any) -> entry_pb2.LedgerEntry:
    return await governor.stub.RecordUsage(record_request(governor, **changes))


async def adjust(
    governor: Governor, entry: entry_pb2.LedgerEntry, corrected_cost_nano_usd: int, **changes: Any
) -> entry_pb2.LedgerEntry:
    fields: dict[str, Any] = {
        "organization_id": governor.organization_id,
        "request_id": new_id(),
        "entry_id": entry.entry_id,
        "corrected_cost_nano_usd": corrected_cost_nano_usd,
        "reason": "the provider's invoice",
    }
    return await governor.stub.Adjust(governor_pb2.AdjustRequest(**(fields | changes)))


def flags(entry: entry_pb2.LedgerEntry) -> set[str]:
    return {entry_pb2.EntryFlag.Name(flag).removeprefix("ENTRY_FLAG_") for flag in entry.flags}


async def figures(governor: Governor) -> tuple[int, int, int]:
    """Spent, held and unguarded of the workflow; the month must have the same."""
    workflow, month = await governor.workflow_budget(), await governor.month_budget()
    found = (workflow.spent_nano_usd, workflow.held_nano_usd, workflow.unguarded_nano_usd)
    assert found == (month.spent_nano_usd, month.held_nano_usd, month.unguarded_nano_usd)
    return found


async def violations(governor: Governor) -> list[tuple[Any, ...]]:
    """The rows of governor_service/store/verify.sql: none if every invariant holds."""
    return [tuple(row.values()) for row in await governor.sql(VERIFY)]


@pytest.fixture
async def verified_governor(governor: Governor) -> Any:
    """A governor whose database must still keep every invariant at the end of the test."""
    yield governor
    assert await violations(governor) == []
