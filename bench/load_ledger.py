"""`python -m bench.load_ledger --database-url URL` fills a governor's database with five million entries.

A governor must have started on the database once, so that the schema and the price book exist. The role must
be a superuser. The entries belong to new organizations and are spread over the last four months. They look as
if holds had been settled: budgets, totals and sequences agree with them, as governor_service/store/verify.sql
can check. Only the ids of the holds are not derived from their request_ids, since no request is repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg

from service_chassis.postgres.queries import load_queries

ENTRIES = 5_000_000
_QUERIES = load_queries(__package__, "load_ledger.sql")
_MODELS = (
    "anthropic/claude-haiku-4.5",
    "google/gemini-2.5-flash",
    "openai/gpt-4.1-mini",
    "openai/gpt-4o-mini",
    "perplexity/sonar",
)
_SPAN = timedelta(days=120)
_ENTRIES_AT_A_TIME = 100_000
_CONNECTIONS = 2
_TABLES = (
    *("organizations", "authorizations", "ai_usage_ledger", "budgets"),
    *("daily_costs", "workflow_costs", "label_costs"),
)


async def load_ledger(dsn: str, organization_ids: Sequence[str], entries: int) -> None:
    """Gives each of the organizations, which must be new, an equal part of the entries."""
    each = entries // len(organization_ids)
    organizations_at_a_time = max(1, _ENTRIES_AT_A_TIME // each)
    first_time = datetime.now(UTC) - _SPAN
    chunks = [
        organization_ids[start : start + organizations_at_a_time]
        for start in range(0, len(organization_ids), organizations_at_a_time)
    ]

    async def work() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(_QUERIES["leave_totals_to_us"])
            await connection.execute(_QUERIES["make_plan"])
            while chunks:
                chunk = chunks.pop()
                async with connection.transaction():
                    await connection.execute(_QUERIES["clear_plan"])
                    await connection.execute(_QUERIES["plan"], chunk, each, _MODELS, first_time, _SPAN)
                    for name, query in _QUERIES.items():
                        if name.startswith("insert_"):
                            await connection.execute(query)
        finally:
            await connection.close()

    await asyncio.gather(*(work() for _ in range(_CONNECTIONS)))
    connection = await asyncpg.connect(dsn)
    try:
        for table in _TABLES:
            await connection.execute(f"VACUUM (ANALYZE) {table}")
        # Otherwise a checkpoint would run during the next measurement.
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.load_ledger", description=__doc__)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--entries", type=int, default=ENTRIES, help="in all (default: %(default)s)")
    parser.add_argument("--organizations", type=int, default=200, help="(default: %(default)s)")
    arguments = parser.parse_args()
    begin = time.monotonic()
    organization_ids = [str(uuid4()) for _ in range(arguments.organizations)]
    asyncio.run(load_ledger(arguments.database_url, organization_ids, arguments.entries))
    print(f"{arguments.entries} entries in {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
