"""A database with the earlier, longer history keeps working: same schema, every row, every open hold."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import asyncpg
import pytest

from infin8.governor.v1 import authorization_pb2, entry_pb2
from infin8.governor.v1.governor_service_pb2 import GetAuthorizationRequest
from infin8.governor.v1.price_pb2 import COST_BASIS_GREATER, Rate
from infin8.governor.v1.pricing_service_pb2 import CreatePriceRequest
from service_chassis.postgres.embedded import EmbeddedPostgres
from service_chassis.postgres.migrate import MigrationEdited, migrate
from tests.budgets.conftest import at_time, serving
from tests.governor.conftest import MINI, SONAR, Governor, refusal
from tests.ledger.conftest import COST, HOLD, USAGE, flags, violations
from tests.migrations.conftest import fetch, restored, schema_of

THE_DUMP_WAS_MADE = "2026-11-27T23:14:00+00:00"  # its holds expire ten minutes later


def named(name: str) -> str:
    """The id of the thing with this name in the dumps."""
    return str(uuid5(NAMESPACE_URL, name))


@pytest.mark.parametrize("service", ["governor", "workflow"])
async def test_it_comes_to_the_schema_of_a_new_database(
    postgres: EmbeddedPostgres, request: pytest.FixtureRequest, service: str
) -> None:
    """Tables, constraints, indexes, functions, triggers and the runner's records equal a new database's."""
    request.getfixturevalue(f"{service}_template")
    new = await schema_of(postgres.dsn(f"{service}_template", role=service))
    async with restored(postgres, service) as dsn:
        # Versioned files newer than the folded ones are applied before the functions.
        assert (await migrate(dsn, files(f"migrations.{service}")))[-1] == "functions"
        assert await schema_of(dsn) == new
        assert await migrate(dsn, files(f"migrations.{service}")) == []


@pytest.mark.parametrize("service", ["governor", "workflow"])
async def test_it_keeps_every_row(postgres: EmbeddedPostgres, service: str) -> None:
    """Every table except the runner's own keeps all rows. Columns may be added to them."""
    async with restored(postgres, service) as dsn:
        tables = [
            table
            for (table,) in await fetch(
                dsn, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
            )
            if table != "schema_migrations"
        ]
        selects = {table: await select_all(dsn, table) for table in tables}
        rows = {table: await fetch(dsn, select) for table, select in selects.items()}
        assert rows["ai_usage_ledger" if service == "governor" else "model_invocations"]
        await migrate(dsn, files(f"migrations.{service}"))
        for table in tables:
            assert await fetch(dsn, selects[table]) == rows[table], table


async def select_all(dsn: str, table: str) -> str:
    """A query for the table's rows in the columns that it has now."""
    columns = await fetch(
        dsn,
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
        " WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped",
        table,
    )
    return f"SELECT ROW({columns[0][0]})::text FROM {table} ORDER BY 1"


async def test_open_holds_are_settled(postgres: EmbeddedPostgres) -> None:
    """Open holds are settled in each way, replays are answered, and no invariant is violated."""
    async with (
        restored(postgres, "governor") as dsn,
        serving(at_time(dsn, THE_DUMP_WAS_MADE)) as governor,
    ):
        governor.organization_id, governor.workflow_id = named("organization 0"), named("workflow 0")
        assert await violations(governor) == []
        assert (await governor.workflow_budget()).held_nano_usd > 2 * HOLD
        for request, usage, served in (
            ("open 0", USAGE, ""),
            ("open unknown 0", None, ""),
            ("open drift 0", USAGE, "perplexity/sonar"),
        ):
            settled = await governor.settle(await hold_of(governor, request), usage, served_model=served)
            assert "LATE" not in flags(settled.entry)
        assert settled.entry.granted_model == MINI
        assert (await governor.workflow_budget()).held_nano_usd == 0
        # A replay with usage would be other content, since hashes were computed differently then.
        again = await governor.settle(await hold_of(governor, "settled 0"))
        assert again.replayed
        assert await violations(governor) == []
        refused = await refusal(governor.authorize(models=[MINI]))
        assert refused.reason == "FROZEN"
        assert (await governor.authorize()).held_nano_usd == HOLD
        with pytest.raises(asyncpg.RestrictViolationError):
            await governor.sql("DELETE FROM ai_usage_ledger")


async def test_open_holds_keep_their_price(postgres: EmbeddedPostgres) -> None:
    """A hold of before tiers, units and variants is settled at the price that it was placed with."""
    async with (
        restored(postgres, "governor") as dsn,
        serving(at_time(dsn, THE_DUMP_WAS_MADE)) as governor,
    ):
        governor.organization_id, governor.workflow_id = named("organization 0"), named("workflow 0")
        held = await hold_of(governor, "open 0")
        before = await governor.stub.GetAuthorization(
            GetAuthorizationRequest(
                organization_id=governor.organization_id, authorization_id=held.authorization_id
            )
        )
        assert (before.model, before.held_nano_usd, before.price.model) == (SONAR, HOLD, SONAR)
        assert not before.HasField("cache_write_tokens_max")
        assert (dict(before.other_units_max), dict(before.price_context)) == ({}, {})
        dearer = await governor.prices.CreatePrice(
            CreatePriceRequest(
                model=SONAR,
                input_nano_usd_per_mtok=5_000_000_000,
                output_nano_usd_per_mtok=5_000_000_000,
                rates=[Rate(unit="web_searches", per=1000, nano_usd=10**10)],
            )
        )
        used = entry_pb2.Usage(input_tokens=600, output_tokens=100, other_units={"web_searches": 1})
        entry = (await governor.settle(held, used)).entry
        # 600 × 1,000 + 100 × 2,000: that price has no fee for searches.
        assert (entry.cost_nano_usd, entry.price_id) == (COST, before.price.price_id)
        assert entry.cost_basis == COST_BASIS_GREATER
        assert (await governor.authorize()).price == dearer
        assert await violations(governor) == []


async def hold_of(governor: Governor, request: str) -> authorization_pb2.Authorization:
    (row,) = await governor.sql(
        "SELECT authorization_id FROM authorizations WHERE organization_id = $1 AND request_id = $2",
        governor.organization_id,
        named(request),
    )
    return authorization_pb2.Authorization(authorization_id=str(row["authorization_id"]))


async def test_a_workflow_goes_on(postgres: EmbeddedPostgres) -> None:
    """An open call is settled, its workflow's total follows, and the guards are in force."""
    async with restored(postgres, "workflow") as dsn:
        await migrate(dsn, files("migrations.workflow"))
        await fetch(
            dsn,
            "UPDATE model_invocations SET state = 'SETTLED', respond_time = now(), end_time = now(),"
            " entry_id = authorization_id, cost_nano_usd = 7",
        )
        assert await fetch(dsn, "SELECT total_ai_cost_nano_usd FROM intent_workflows") == [(7,)]
        with pytest.raises(asyncpg.CheckViolationError, match="illegal transition"):
            await fetch(dsn, "UPDATE intent_workflows SET state = 'COMPLETED', version = version + 1")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only grows"):
            await fetch(dsn, "DELETE FROM workflow_transitions")


async def test_an_unfinished_earlier_history_is_refused(postgres: EmbeddedPostgres) -> None:
    """A history that stopped half-way is refused, since the folded files replace the whole."""
    async with restored(postgres, "governor") as dsn:
        await fetch(dsn, "DELETE FROM schema_migrations WHERE name = '0017_sweep_in_order.sql'")
        with pytest.raises(MigrationEdited, match="0001_prices"):
            await migrate(dsn, files("migrations.governor"))


def test_the_dumps_are_of_the_history_that_was_folded() -> None:
    """The dumps have exactly the folded history, so that the tests above test the right database."""
    for service, number in (("governor", 17), ("workflow", 3)):
        dump = Path(__file__).with_name(f"{service}_before_folding.sql").read_text("utf-8")
        folded = (files(f"migrations.{service}") / "folded.sql").read_text("utf-8")
        lines = [line.split()[2:] for line in folded.splitlines() if line.startswith("-- folded: ")]
        assert len(lines) == number
        for name, digest in lines:
            assert f"'{name}', '{digest}'" in dump
