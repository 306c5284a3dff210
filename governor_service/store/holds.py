"""Holds: placed, ended and found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from governor_service.domain.authorization import (
    HOLD_DURATION_MAX,
    Authorization,
    AuthorizationFilter,
    AuthorizeAnswer,
    AuthorizeOutcome,
    BudgetCheck,
    ExtendOutcome,
    Hold,
    HoldRequest,
    PlannedCall,
    VoidOutcome,
)
from governor_service.domain.ledger import SettleAnswer, SettleRequest
from governor_service.settings import BatchSettings
from governor_service.store import records
from governor_service.store.group_commit import GroupCommit, Lanes
from governor_service.store.prices import KnownPrices
from governor_service.store.sequential import SequentialDecisions, by_organization
from governor_service.store.set_based import SetBasedDecisions
from service_chassis.postgres.database import Connection, Database
from service_chassis.postgres.queries import load_queries

_QUERIES = load_queries(__package__, "holds.sql")


@dataclass(frozen=True, slots=True)
class VoidAnswer:
    """`hold` is what the authorization is now; None where there is none."""

    outcome: VoidOutcome
    hold: Hold | None


class HoldStore:
    """Places, ends and finds holds. Authorizations and settlements go in batches of what has gathered."""

    def __init__(self, database: Database, settings: BatchSettings, *, denies_unknown: bool) -> None:
        """`denies_unknown`: an organization that nobody has set up may not spend."""
        self._database = database
        self._denies_unknown = denies_unknown
        prices = KnownPrices()
        set_based = SetBasedDecisions(database, prices, denies_unknown=denies_unknown)
        sequential = SequentialDecisions(database, prices, denies_unknown=denies_unknown)
        cut = settings.batch_scope == "organization"
        lanes = Lanes(settings.batch_lanes)
        self._authorizing: GroupCommit[HoldRequest, AuthorizeAnswer] = GroupCommit(
            [by_organization(sequential.authorize)] if cut else [set_based.authorize, sequential.authorize],
            lanes=lanes,
            items_max=settings.batch_items_max,
            waiters_max=settings.batch_waiters_max,
        )
        self._settling: GroupCommit[SettleRequest, SettleAnswer] = GroupCommit(
            [by_organization(sequential.settle)] if cut else [set_based.settle, sequential.settle],
            lanes=lanes,
            items_max=settings.batch_items_max,
            waiters_max=settings.batch_waiters_max,
        )

    async def authorize(self, requests: Sequence[HoldRequest]) -> list[AuthorizeAnswer]:
        """Decides requests; one's failure is no other's."""
        return await self._authorizing.submit_all(requests)

    async def settle(self, requests: Sequence[SettleRequest]) -> list[SettleAnswer]:
        """Settles holds; one's failure is no other's."""
        return await self._settling.submit_all(requests)

    async def check_budget(self, call: PlannedCall) -> BudgetCheck:
        """What Authorize would answer now; changes nothing."""
        async with self._database.read() as connection:
            row = await connection.fetchrow(
                _QUERIES["check_budget"],
                call.organization_id,
                call.workflow_id,
                dict(call.labels),
                list(call.models),
                call.input_tokens_max,
                call.output_tokens_max,
                call.output_tokens_min,
                call.requests_max,
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

    async def void(
        self, organization_id: UUID, authorization_id: UUID, *, request_id: UUID | None, reason: str
    ) -> VoidAnswer:
        """Ends one hold; with its request_id also one that is still on its way."""

        async def work(connection: Connection) -> VoidAnswer:
            outcome = await connection.fetchval(
                _QUERIES["void"], organization_id, authorization_id, request_id, reason
            )
            return VoidAnswer(
                VoidOutcome(outcome), await _find(connection, organization_id, authorization_id)
            )

        return await self._database.write(work)

    async def extend(
        self, organization_id: UUID, authorization_id: UUID, expire_time: datetime
    ) -> tuple[ExtendOutcome, Hold | None]:
        """Sets a later expire_time on a live hold; the hold as it is now, None where there is none."""

        async def work(connection: Connection) -> tuple[ExtendOutcome, Hold | None]:
            outcome = await connection.fetchval(
                _QUERIES["extend"], organization_id, authorization_id, expire_time, HOLD_DURATION_MAX
            )
            return ExtendOutcome(outcome), await _find(connection, organization_id, authorization_id)

        return await self._database.write(work)

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
        return [records.authorization(row["hold"]) for row in rows]

    async def organizations_to_sweep(self, *, retention: timedelta, limit: int) -> Sequence[UUID]:
        """Organizations with holds that ran out longer ago than the retention time."""
        async with self._database.read() as connection:
            rows = await connection.fetch(_QUERIES["organizations_to_sweep"], retention, limit)
        return [row[0] for row in rows]

    async def sweep(
        self, organization_id: UUID, *, retention: timedelta, limit: int, author: str
    ) -> tuple[int, int]:
        """Ends such holds of one organization; how many were released, and how many charged."""

        async def work(connection: Connection) -> tuple[int, int]:
            row = await connection.fetchrow(
                _QUERIES["sweep"],
                organization_id,
                retention,
                limit,
                author,
                self._database.lock_timeout_milliseconds,
            )
            assert row is not None
            return row["released_holds"], row["charged_holds"]

        return await self._database.write(work, is_one_statement=True)

    async def find(self, organization_id: UUID, authorization_id: UUID) -> Hold | None:
        """One hold; None where the organization has none such."""
        async with self._database.read() as connection:
            return await _find(connection, organization_id, authorization_id)


async def _find(connection: Connection, organization_id: UUID, authorization_id: UUID) -> Hold | None:
    row = await connection.fetchrow(_QUERIES["find_hold"], organization_id, authorization_id)
    if row is None:
        return None
    return Hold(authorization=records.authorization(row["hold"]), budgets=records.budgets(row))
