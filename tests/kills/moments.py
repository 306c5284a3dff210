"""The moments of faults 1 to 5, on purpose: a write is held up before its commit, and its process killed.

Triggers take a shared advisory lock for the moment that a write belongs to. That costs nothing until somebody
holds the lock exclusively: then the next such write waits, and can be seen waiting.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import asyncpg

_SPACE = 20_773


@dataclass(frozen=True)
class Moment:
    """A write that is held up. `number` is its lock."""

    number: int
    what: str
    database: str
    table: str
    condition: str


MOMENTS = (
    Moment(1, "before the hold is committed", "governor", "authorizations", "TG_OP = 'INSERT'"),
    Moment(2, "hold placed, not in the journal", "workflow", "model_invocations", "NEW.state = 'AUTHORIZED'"),
    Moment(3, "between hold and dispatch", "workflow", "model_invocations", "NEW.state = 'DISPATCHED'"),
    Moment(4, "answered, not in the journal", "workflow", "model_invocations", "NEW.state = 'RESPONDED'"),
    Moment(5, "between answer and settle", "governor", "ai_usage_ledger", "TG_OP = 'INSERT'"),
    Moment(6, "settled, not in the journal", "workflow", "model_invocations", "NEW.state = 'SETTLED'"),
    Moment(
        7,
        "between settle and the step's commit",
        "workflow",
        "intent_workflows",
        "TG_OP = 'UPDATE' AND NEW.state LIKE '%\\_COMPLETED' AND NEW.state <> OLD.state",
    ),
)


async def install(dsn: str, database: str) -> None:
    """`dsn` is the superuser's, of this database."""
    connection = await asyncpg.connect(dsn)
    try:
        for table in {moment.table for moment in MOMENTS if moment.database == database}:
            holds = "".join(
                f"IF {moment.condition} THEN "
                f"PERFORM pg_advisory_xact_lock_shared({_SPACE}, {moment.number}); END IF; "
                for moment in MOMENTS
                if moment.table == table
            )
            await connection.execute(
                f"CREATE FUNCTION hold_{table}() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN {holds} RETURN NEW; END $$"
            )
            await connection.execute(
                f"CREATE TRIGGER aaa_hold BEFORE INSERT OR UPDATE ON {table} "
                f"FOR EACH ROW EXECUTE FUNCTION hold_{table}()"
            )
    finally:
        await connection.close()


async def until_held(connection: asyncpg.Connection, moment: Moment, *, seconds: float) -> int | None:
    """Holds the moment's writes up. The client's port of the first one, or None if there was none in time.

    `release` must follow.
    """
    await connection.execute("SELECT pg_advisory_lock($1, $2)", _SPACE, moment.number)
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        port = await connection.fetchval(
            "SELECT a.client_port FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) "
            "WHERE l.locktype = 'advisory' AND l.classid = $1 AND l.objid = $2 AND NOT l.granted LIMIT 1",
            _SPACE,
            moment.number,
        )
        if port is not None:
            return int(port)
        await asyncio.sleep(0.005)
    return None


async def release(connection: asyncpg.Connection) -> None:
    await connection.execute("SELECT pg_advisory_unlock_all()")
