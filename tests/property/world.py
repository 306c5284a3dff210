"""The real governor that is compared with the model: its database, its clock, its RPCs and its state."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from importlib.resources import files
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
from google.protobuf.message import Message

from governor_service.__main__ import ERROR_DOMAIN, services
from governor_service.api.budget_servicer import BudgetServicer
from governor_service.api.governor_servicer import GovernorServicer
from governor_service.api.pricing_servicer import PricingServicer
from governor_service.settings import GovernorSettings
from governor_service.store.holds import HoldStore
from infin8.governor.v1 import (
    budget_service_pb2_grpc,
    governor_service_pb2_grpc,
    ledger_service_pb2_grpc,
    pricing_service_pb2_grpc,
)
from infin8.governor.v1.governor_service_pb2 import ListAuthorizationsRequest
from infin8.governor.v1.ledger_service_pb2 import ListEntriesRequest
from service_chassis.postgres.database import Database
from service_chassis.postgres.embedded import EmbeddedPostgres
from service_chassis.refusal import Refusal
from service_chassis.rpc.errors import from_rpc_error
from service_chassis.rpc.server import GrpcServer
from tests.property.books import DEFAULT_TIER, RETENTION
from tests.property.operations import (
    Entry,
    HoldSeen,
    Operation,
    SetFreeze,
    Sweep,
    Swept,
)
from tests.property.standing import QUERY, Standing, read_standing
from tests.property.wire import Wire

WORKFLOWS = 2

VERIFY = (files("governor_service.store") / "verify.sql").read_text(encoding="utf-8")

# The clock is fixed until a program moves it, so that exact instants can be tested.
_CLOCK = """
CREATE TABLE clock (now timestamptz NOT NULL);
INSERT INTO clock VALUES (clock_timestamp());
CREATE OR REPLACE FUNCTION governor_now() RETURNS timestamptz
LANGUAGE sql VOLATILE
RETURN (SELECT c.now FROM clock AS c);
"""


class World:
    """One governor on one database."""

    def __init__(self, postgres: EmbeddedPostgres, template: str) -> None:
        self._postgres = postgres
        self._template = template
        self._name = f"governor_{uuid4().hex}"

    async def open(self) -> None:
        administrator = await asyncpg.connect(self._postgres.dsn("postgres"))
        try:
            await administrator.execute(
                f"CREATE DATABASE {self._name} TEMPLATE {self._template} OWNER governor"
            )
        finally:
            await administrator.close()
        # Crash safety is tested elsewhere. The planner takes tables that were never analyzed for large ones,
        # so it would compile every query.
        dsn = f"{self._postgres.dsn(self._name, 'governor')}&synchronous_commit=off&jit=off"
        self._connection = await asyncpg.connect(dsn)
        await self._connection.execute(_CLOCK)
        settings = GovernorSettings(database_pool_size=4)
        self._database = await Database.open(dsn, settings, application_name="model")
        holds = HoldStore(self._database, settings, denies_unknown=False)
        self._holds = holds
        self._servicers = (
            GovernorServicer(holds, self._database),
            BudgetServicer(self._database, denies_unknown=False),
            PricingServicer(self._database),
        )
        self._server = GrpcServer(
            host="127.0.0.1",
            port=0,
            services=services(self._database, holds, denies_unknown=False),
            error_domain=ERROR_DOMAIN,
        )
        port = await self._server.start()
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self._stubs = (
            governor_service_pb2_grpc.GovernorServiceStub(self._channel),
            budget_service_pb2_grpc.BudgetServiceStub(self._channel),
            pricing_service_pb2_grpc.PricingServiceStub(self._channel),
        )
        self._ledger = ledger_service_pb2_grpc.LedgerServiceStub(self._channel)
        self._verify = await self._connection.prepare(VERIFY.rstrip().rstrip(";"))

    async def close(self) -> None:
        await self._channel.close()
        await self._server.stop(1)
        await self._database.close()
        await self._connection.close()
        administrator = await asyncpg.connect(self._postgres.dsn("postgres"))
        try:
            await administrator.execute(f"DROP DATABASE {self._name} WITH (FORCE)")
        finally:
            await administrator.close()

    async def begin(self, now: datetime) -> Wire:
        """A program's own organizations, and the shared state in its initial form."""
        await self.set_clock(now)
        wire = Wire(2)
        await self.do(wire, [DEFAULT_TIER, SetFreeze(None, None, None, frozen=False)], over_grpc=False)
        # A workflow's first hold creates its accounts, and its id must be known by then.
        for workflow in range(WORKFLOWS):
            wire.workflow_id(workflow)
        return wire

    async def set_clock(self, now: datetime) -> None:
        await self._connection.execute("UPDATE clock SET now = $1", now)

    async def do(self, wire: Wire, operations: Iterable[Operation], *, over_grpc: bool) -> list[Any]:
        """Sends all of them at once; returns the answer or the refusal of each."""
        sent = [(operation, wire) for operation in operations]
        return list(await asyncio.gather(*(self._one(*each, over_grpc=over_grpc) for each in sent)))

    async def _one(self, operation: Operation, wire: Wire, *, over_grpc: bool) -> Any:
        if isinstance(operation, Sweep):
            swept = await self._holds.sweep(
                wire.organizations[operation.organization], retention=RETENTION, limit=100, author="model"
            )
            return Swept(swept.released_holds, swept.charged_holds)
        method, message = wire.message(operation)
        return await (self._over_grpc if over_grpc else self._in_process)(method, message)

    async def _in_process(self, method: str, message: Message) -> Any:
        servicer = next(servicer for servicer in self._servicers if hasattr(servicer, method))
        try:
            return await getattr(servicer, method)(message, None)
        except Refusal as refusal:
            return refusal

    async def _over_grpc(self, method: str, message: Message) -> Any:
        stub = next(stub for stub in self._stubs if hasattr(stub, method))
        try:
            return await getattr(stub, method)(message, timeout=30)
        except grpc.aio.AioRpcError as error:
            refusal = from_rpc_error(error)
            if refusal is None:
                raise
            return refusal

    async def standing(self, wire: Wire) -> Standing:
        """The state of a program's organizations. Adds the ids that were created since to `wire`."""
        return read_standing(await self._connection.fetch(QUERY, wire.organizations, wire.prefix), wire)

    async def read_all(self, wire: Wire) -> list[tuple[list[Entry], dict[int, HoldSeen]]]:
        """Each organization's ledger, and its holds by request, over gRPC."""
        found = []
        for organization in wire.organizations:
            listed = await self._ledger.ListEntries(
                ListEntriesRequest(organization_id=str(organization), page_size=1000)
            )
            holds = await self._stubs[0].ListAuthorizations(
                ListAuthorizationsRequest(organization_id=str(organization), page_size=1000)
            )
            seen = [wire.hold(hold) for hold in holds.authorizations]
            found.append(
                ([wire.entry(entry) for entry in listed.entries], {hold.request: hold for hold in seen})
            )
        return found

    async def violations(self) -> list[str]:
        """The rows of verify.sql: none if every invariant holds."""
        return [str(tuple(row)) for row in await self._verify.fetch()]
