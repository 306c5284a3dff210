"""A test that changes shared things fails, and does not affect the tests after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service_chassis.postgres.embedded import EmbeddedPostgres
from tests.acceptance.served_pair import eventually
from tests.chassis.processes import processes_of, start_owner
from tests.governor.conftest import Governor, governor
from tests.shared_world import PREFIX, Administrator, SharedGovernor, remove_abandoned

__all__ = ["governor"]


@pytest.fixture
def shared(administrator: Administrator) -> Iterator[SharedGovernor]:
    """Another shared governor, so that the one that tests use stays unchanged."""
    shared = SharedGovernor(administrator)
    shared.ensure_running()
    yield shared
    shared.stop()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO prices (model, effective_time, input_nano_usd_per_mtok, output_nano_usd_per_mtok,"
        " source, author) VALUES ('x/y', now(), 1, 1, 'test', 'test')",
        "UPDATE tiers SET workflow_limit_nano_usd = 1",
        "INSERT INTO freezes VALUES (every_organization(), '', 'test', 'test', now())",
        "CREATE OR REPLACE FUNCTION governor_now() RETURNS timestamptz LANGUAGE sql RETURN now()",
        "ALTER TABLE ai_usage_ledger DISABLE TRIGGER ai_usage_ledger_is_append_only",
    ],
    ids=["price", "tier", "freeze", "function", "trigger"],
)
def test_a_change_is_found(shared: SharedGovernor, statement: str) -> None:
    """The test fails, and the next one gets a new database and a new process."""
    shared.assert_unchanged()
    before = (shared.dsn, shared.target)
    shared.execute(statement)
    with pytest.raises(AssertionError, match="own_world"):
        shared.assert_unchanged()
    shared.ensure_running()
    shared.assert_unchanged()
    assert shared.dsn != before[0]
    assert shared.target != before[1]


def test_a_governor_that_ended_is_replaced(shared: SharedGovernor) -> None:
    """The test during which the governor ended fails, and the next one gets a new governor."""
    before = shared.dsn
    shared.kill()
    with pytest.raises(AssertionError, match="ended"):
        shared.assert_unchanged()
    shared.ensure_running()
    shared.assert_unchanged()
    assert shared.dsn != before


async def test_sql_without_an_organization_is_refused(governor: Governor) -> None:
    """SQL that names no organization would see data of other tests."""
    assert (
        await governor.sql("SELECT FROM budgets WHERE organization_id = $1", governor.organization_id) == []
    )
    with pytest.raises(AssertionError, match="own_world"):
        await governor.sql("SELECT FROM budgets")


@pytest.mark.own_world
async def test_in_an_own_world_it_is_allowed(governor: Governor) -> None:
    """An own world has no data of other tests."""
    assert await governor.sql("SELECT FROM organizations") == []


async def test_what_a_killed_run_left_is_removed(scratch_dir: Path) -> None:
    """An abandoned server is ended and its data removed; a server in use stays."""
    used, abandoned = (scratch_dir / f"{PREFIX}{name}" for name in ("used", "abandoned"))
    server = EmbeddedPostgres(used)
    await server.start()
    owner, _ = await start_owner(abandoned)
    remove_abandoned(scratch_dir)
    assert processes_of(abandoned)
    owner.kill()
    await owner.wait()
    remove_abandoned(scratch_dir)
    assert not abandoned.exists()
    eventually(lambda: not processes_of(abandoned), 30)
    assert processes_of(used)
    await server.stop()
