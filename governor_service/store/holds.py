"""Holds: placed, ended and found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter
from uuid import UUID

from governor_service.domain.authorization import (
    HOLD_DURATION_MAX,
    Authorization,
    AuthorizationFilter,
    AuthorizeAnswer,
    AuthorizeOutcome,
    BudgetCheck,
    Ended,
    ExtendAnswer,
    Extension,
    Hold,
    HoldRequest,
    HoldTarget,
    NotFound,
    NotLater,
    PlannedCall,
    Swept,
    TooLate,
    VoidAnswer,
)
from governor_service.domain.ledger import SettleAnswer, SettleRequest
from governor_service.settings import GovernorSettings
from governor_service.store import records
from governor_service.store.group_commit import GroupCommit
from governor_service.store.lanes import Lanes
from governor_service.store.prices import KnownPrices
from governor_service.store.sequential import SequentialDecisions
from governor_service.store.set_based import SetBasedDecisions
from service_chassis.postgres.database import Connection, Database
from service_chassis.postgres.queries import load_queries

_QUERIES = load_queries(__package__, "holds.sql")


def connections_of_lanes(settings: GovernorSettings) -> int:
    """How many connections the lanes need at once, not counting those for long waits for locks."""
    return Lanes(settings.batch_lanes).connections


class HoldStore:
    """Places, ends and finds holds. Authorizations and settlements are committed in batches."""

    def __init__(self, database: Database, settings: GovernorSettings, *, denies_unknown: bool) -> None:
        """`denies_unknown`: an organization that was not set up may not spend."""
        self._database = database
        self._denies_unknown = denies_unknown
        self._prices = prices = KnownPrices()
        set_based = SetBasedDecisions(database, prices, denies_unknown=denies_unknown)
        sequential = SequentialDecisions(database, prices, denies_unknown=denies_unknown)
        is_cut = settings.batch_scope == "organization"
        group = partial(
            GroupCommit,
            organization_of=attrgetter("organization_id.int"),
            lanes=Lanes(
                settings.batch_lanes,
                patient_max=settings.batch_locked_organizations_max,
                long_wait_seconds=settings.database_lock_timeout_seconds,
            ),
            items_max=settings.batch_items_max,
            waiters_max=settings.batch_waiters_max,
            organization_waiters_max=settings.batch_organization_waiters_max,
            locked_waiters_max=settings.batch_locked_waiters_max,
            is_always_apart=is_cut,
        )
        self._authorizing: GroupCommit[HoldRequest, AuthorizeAnswer] = group(
            [sequential.authorize_one_organization] if is_cut else [set_based.authorize, sequential.authorize]
        )
        self._settling: GroupCommit[SettleRequest, SettleAnswer] = group(
            [sequential.settle_one_organization] if is_cut else [set_based.settle, sequential.settle]
        )

    async def authorize(self, request: HoldRequest) -> AuthorizeAnswer:
        """Decides a request."""
        return await self._authorizing.submit(request)

    async def authorize_all(self, requests: Sequence[HoldRequest]) -> list[AuthorizeAnswer | Exception]:
        """Decides requests; each has its own answer or failure."""
        return await self._authorizing.submit_all(requests)

    async def settle(self, request: SettleRequest) -> SettleAnswer:
        """Settles a hold."""
        return await self._settling.submit(request)

    async def settle_all(self, requests: Sequence[SettleRequest]) -> list[SettleAnswer | Exception]:
        """Settles holds; each has its own answer or failure."""
        return await self._settling.submit_all(requests)

    async def check_budget(self, call: PlannedCall) -> BudgetCheck:
        """The answer that Authorize would give now. Changes nothing."""
        async with self._database.read() as connection:
            row = await connection.fetchrow(
                _QUERIES["check_budget"],
                call.organization_id,
                call.workflow_id,
                dict(call.labels),
                [model.line for model in call.models],
                call.input_tokens_max,
                call.output_tokens_max,
                call.output_tokens_min,
                call.requests_max,
                call.cache_write_tokens_max,
                call.cache_write_1h_tokens_max,
                dict(call.other_units_max),
                dict(call.price_context),
                self._denies_unknown,
            )
        assert row is not None
        return BudgetCheck(
            outcome=AuthorizeOutcome(row["outcome"]),
            model=row["model"],
            output_tokens_max=row["output_tokens_max"],
            estimated_nano_usd=row["held_nano_usd"],
            budgets=records.budgets(row),
        )

    async def void(self, target: HoldTarget, *, reason: str) -> VoidAnswer:
        """Voids one hold. By request_id it also stops an Authorize that has not been decided yet."""

        async def work(connection: Connection) -> VoidAnswer:
            outcome = await connection.fetchval(
                _QUERIES["void"], target.organization_id, target.authorization_id, target.request_id, reason
            )
            hold = await self._find(connection, target.organization_id, target.authorization_id)
            if hold is None:
                return NotFound()
            return _ended(hold.authorization) if outcome == "AUTHORIZATION_NOT_PENDING" else hold

        return await self._database.write(work)

    async def extend(self, extension: Extension) -> ExtendAnswer:
        """Sets a later expire_time on a live hold."""

        async def work(connection: Connection) -> ExtendAnswer:
            outcome = await connection.fetchval(
                _QUERIES["extend"],
                extension.organization_id,
                extension.authorization_id,
                extension.expire_time,
                HOLD_DURATION_MAX,
            )
            hold = await self._find(connection, extension.organization_id, extension.authorization_id)
            if hold is None:
                return NotFound()
            match outcome:
                case "EXTENDED":
                    return hold
                case "NOT_LATER":
                    return NotLater()
                case "TOO_LATE":
                    return TooLate()
                case "AUTHORIZATION_NOT_PENDING":
                    return _ended(hold.authorization)
                case _:
                    raise ValueError(f"the database answers an extension with {outcome}")

        return await self._database.write(work)

    async def organizations_to_sweep(self, *, retention: timedelta, limit: int) -> Sequence[UUID]:
        """At most `limit` organizations with holds that ran out longer ago than the retention time."""
        async with self._database.read() as connection:
            rows = await connection.fetch(_QUERIES["organizations_to_sweep"], retention, limit)
        return [row[0] for row in rows]

    async def sweep(self, organization_id: UUID, *, retention: timedelta, limit: int, author: str) -> Swept:
        """Ends at most `limit` holds of one organization that ran out longer ago than the retention time."""

        async def work(connection: Connection) -> Swept:
            row = await connection.fetchrow(
                _QUERIES["sweep"],
                organization_id,
                retention,
                limit,
                author,
                self._database.lock_timeout_milliseconds,
            )
            assert row is not None
            return Swept(row["released_holds"], row["charged_holds"])

        return await self._database.write(work, is_one_statement=True)

    async def find(self, organization_id: UUID, authorization_id: UUID) -> Hold | None:
        """One hold; None if the organization has no such hold."""
        async with self._database.read() as connection:
            return await self._find(connection, organization_id, authorization_id)

    async def _find(
        self, connection: Connection, organization_id: UUID, authorization_id: UUID
    ) -> Hold | None:
        row = await connection.fetchrow(_QUERIES["find_hold"], organization_id, authorization_id)
        if row is None:
            return None
        [authorization] = await self._authorizations(connection, [row["hold"]])
        return Hold(authorization=authorization, budgets=records.budgets(row))

    async def _authorizations(
        self, connection: Connection, holds: Sequence[records.Record]
    ) -> list[Authorization]:
        """The holds with their prices."""
        price_ids = [UUID(hold["price_id"]) if hold["price_id"] else None for hold in holds]
        await self._prices.read(connection, {price_id for price_id in price_ids if price_id})
        return [
            records.authorization(hold, self._prices[price_id] if price_id else None)
            for hold, price_id in zip(holds, price_ids, strict=True)
        ]

    async def list(
        self, wanted: AuthorizationFilter, *, after: tuple[datetime, UUID], limit: int
    ) -> list[Authorization]:
        """At most `limit` holds after a creation time and id, oldest first."""
        async with self._database.read() as connection:
            rows = await connection.fetch(
                _QUERIES["list_authorizations"],
                wanted.organization_id,
                *after,
                wanted.state and wanted.state.value,
                wanted.workflow_id,
                wanted.created_before,
                limit,
            )
            return await self._authorizations(connection, [row["hold"] for row in rows])


def _ended(authorization: Authorization) -> Ended:
    return Ended(authorization.state, authorization.authorization_id, authorization.entry_id)
