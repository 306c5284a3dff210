"""Every policy and timeout stays in force behind a pooler that drops a connection's startup parameters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from governor_service.settings import GovernorSettings
from infin8.governor.v1 import budget_service_pb2, errors_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from service_chassis.postgres.database import Connection, Database
from tests.budgets.conftest import check_budget, get_organization, serving
from tests.governor.conftest import Governor, new_id, refusal

KEPT = (b"user", b"database")
LOCK_TIMEOUT_SECONDS = 0.3


@asynccontextmanager
async def pooler(dsn: str) -> AsyncIterator[str]:
    """The DSN of a proxy that forwards everything except the startup parameters."""
    target = urlsplit(dsn)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(4))
        startup = await reader.readexactly(length - 4)
        version, words = startup[:4], startup[4:].rstrip(b"\0").split(b"\0")
        if int.from_bytes(version) == 196_608:  # protocol 3.0; other numbers are requests to cancel
            parameters = dict(zip(words[::2], words[1::2], strict=True))
            kept = b"".join(key + b"\0" + parameters[key] + b"\0" for key in KEPT)
            startup = version + kept + b"\0"
        back, forth = await asyncio.open_connection(target.hostname, target.port)
        forth.write((len(startup) + 4).to_bytes(4) + startup)
        await asyncio.gather(pump(reader, forth), pump(back, writer))

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()

    server = await asyncio.start_server(handle, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    credentials = target.netloc.rpartition("@")[0]
    try:
        yield urlunsplit(target._replace(netloc=f"{credentials}@127.0.0.1:{port}"))
    finally:
        server.close()


@pytest.fixture
async def strict(governor_dsn: str) -> AsyncIterator[Governor]:
    async with (
        pooler(governor_dsn) as dsn,
        serving(
            dsn, unknown_organizations="deny", database_lock_timeout_seconds=LOCK_TIMEOUT_SECONDS
        ) as governor,
    ):
        governor.dsn = governor_dsn
        yield governor


async def test_the_pooler_drops_them(governor_dsn: str) -> None:
    """The proxy drops the parameters, so the tests below test something."""
    settings = GovernorSettings()
    async with pooler(governor_dsn) as dsn:
        database = await Database.open(dsn, settings, application_name="test")
        async with database.read() as connection:
            assert await connection.fetchval("SHOW lock_timeout") == "0"
        await database.close()


async def test_an_unknown_organization_is_denied(strict: Governor) -> None:
    """Every call that asks whether it may spend denies it: in sets, one by one and without a lock."""
    assert (await refusal(strict.authorize())).reason == "ORGANIZATION_UNKNOWN"
    assert (await check_budget(strict)).denial_reason == errors_pb2.ERROR_REASON_ORGANIZATION_UNKNOWN
    assert (await refusal(get_organization(strict))).reason == "ORGANIZATION_UNKNOWN"
    # It has a row, since it was seen, but is not set up, so the set-based decision sees it.
    await strict.sql("INSERT INTO organizations (organization_id) VALUES ($1)", strict.organization_id)
    items = [strict.authorize_request(), strict.authorize_request(organization_id=new_id())]
    answer = await strict.stub.BatchAuthorize(governor_pb2.BatchAuthorizeRequest(items=items))
    assert {result.error.reason for result in answer.results} == {
        errors_pb2.ERROR_REASON_ORGANIZATION_UNKNOWN
    }


@pytest.mark.parametrize("method", ["authorize", "settle", "void", "SetBudget", "SetOrganization"])
async def test_a_lock_is_not_waited_for_without_end(strict: Governor, method: str) -> None:
    """OVERLOADED after lock_timeout, long before the call's deadline; no session goes on waiting."""
    await set_budget(strict)
    held = await strict.authorize()
    calls: dict[str, Any] = {
        "authorize": lambda: strict.authorize(),
        "settle": lambda: strict.settle(held),
        "void": lambda: strict.void(held),
        "SetBudget": lambda: set_budget(strict),
        "SetOrganization": lambda: strict.budgets.SetOrganization(
            budget_service_pb2.SetOrganizationRequest(
                organization=budget_service_pb2.Organization(organization_id=strict.organization_id)
            )
        ),
    }
    other = await asyncpg.connect(strict.dsn)
    try:
        async with other.transaction():
            await other.execute("SELECT FROM organizations FOR UPDATE")
            before = time.monotonic()
            refused = await refusal(calls[method]())
            waited = time.monotonic() - before
            waiting = await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")
    finally:
        await other.close()
    assert refused.reason == "OVERLOADED"
    assert waited < 30 * LOCK_TIMEOUT_SECONDS
    assert waiting == 0


async def test_a_transaction_has_its_timeouts(governor_dsn: str) -> None:
    """Each transaction has all three timeouts, and they end with it."""
    settings = GovernorSettings(
        database_statement_timeout_seconds=7, database_idle_in_transaction_timeout_seconds=8
    )
    async with pooler(governor_dsn) as dsn:
        database = await Database.open(dsn, settings, application_name="test")

        async def timeouts(connection: Connection) -> list[str]:
            return [
                await connection.fetchval(f"SHOW {name}")
                for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
            ]

        assert await database.write(timeouts) == ["7s", "3s", "8s"]
        async with database.read() as connection:
            assert await timeouts(connection) == ["0", "0", "0"]
        await database.close()


async def set_budget(governor: Governor) -> None:
    await governor.set_workflow_limit(10**9)
