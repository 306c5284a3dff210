"""Workflows whose services are killed come to their end by themselves and pay once (faults 1–5, I10)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kills.campaign import campaign


@pytest.mark.timeout(300)
@pytest.mark.parametrize("instances", [1, 2])
async def test_workflows_survive_kills(tmp_path: Path, instances: int) -> None:
    """A short `make kills`: every workflow is COMPLETED, no hold is left, and all books agree."""
    report = await campaign(tmp_path, kills=8, instances=instances, seed=instances)
    assert report.wrong == []
    assert report.kills.total() >= 8
    assert report.completed == report.begun > 0
