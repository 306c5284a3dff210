"""The governor takes every usage that `usage_of` reads, whatever vendor it comes from."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from governor_client import SyncGovernorClient, usage_of
from infin8.governor.v1.entry_pb2 import Usage
from tests.client.test_usage_of import ANSWERS
from tests.governor.conftest import SONAR, Governor, governor

__all__ = ["governor"]


@pytest.mark.parametrize("vendor", ANSWERS)
async def test_an_answer_is_settled_as_it_says(governor: Governor, vendor: str) -> None:
    """Nothing is refused, and the entry has every count."""
    answer, usage = ANSWERS[vendor]

    def work() -> Usage:
        with (
            SyncGovernorClient.connect(governor.target) as client,
            client.governed_call(
                organization_id=UUID(governor.organization_id),
                workflow_id=UUID(governor.workflow_id),
                models=[SONAR],
                input_tokens_max=1000,
                output_tokens_max=700,
            ) as call,
        ):
            call.dispatch()
            return call.settle(usage_of(answer)).entry.usage

    assert await asyncio.to_thread(work) == usage
