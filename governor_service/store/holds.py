"""Holds: placed, ended and found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from governor_service.domain.authorization import (
    AuthorizeOutcome,
    BudgetCheck,
    Hold,
    HoldRequest,
    PlannedCall,
    VoidOutcome,
)
from governor_service.domain.ledger import SettleAnswer, SettleRequest
from governor_service.settings import BatchSettings
from governor_service.store import records
from governor_service.store.decisions import QUERIES, AuthorizeAnswer, Decisions, by_organization
from governor_service.store.group_commit import GroupCommit
from service_chassis.database import Connection, Database


@dataclass(frozen=True, slots=True)
class VoidAnswer:
    """`hold` is what the authorization is now; None where there is none."""

    outcome: VoidOutcome
    hold: Hold | None


class HoldStore:
    """Places, ends and finds holds. Authorizations and settlements go in batches of what has gathered."""

    def __init__(self, database: Database, settings: BatchSettings) -> None:
        self._database = database
        decisions = Decisions(database)
        cut = settings.batch_scope == "organization"
        self._authorizing: GroupCommit[HoldRequest, AuthorizeAnswer] = GroupCommit(
            by_organization(decisions.authorize) if cut else decisions.authorize,
            lanes=settings.batch_lanes,
            items_max=settings.batch_items_max,
            waiters_max=settings.batch_waiters_max,
        )
        self._settling: GroupCommit[SettleRequest, SettleAnswer] = GroupCommit(
            by_organization(decisions.settle) if cut else decisions.settle,
            lanes=settings.batch_lanes,
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
                QUERIES["check_budget"],
                call.organization_id,
                call.workflow_id,
                dict(call.labels),
                list(call.models),
                call.input_tokens_max,
                call.output_tokens_max,
                call.output_tokens_min,
                call.requests_max,
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
        self, organization_id: UUID, *, authorization_id: UUID | None, request_id: UUID | None, reason: str
    ) -> VoidAnswer:
        """Ends one hold, by its id or (the other None) by the request_id that it was authorized with."""

        async def work(connection: Connection) -> VoidAnswer:
            outcome = VoidOutcome(
                await connection.fetchval(
                    QUERIES["void"], organization_id, authorization_id, request_id, reason
                )
            )
            return VoidAnswer(outcome, await _find(connection, organization_id, authorization_id, request_id))

        return await self._database.write(work)

    async def find(
        self, organization_id: UUID, *, authorization_id: UUID | None, request_id: UUID | None
    ) -> Hold | None:
        """One hold, by its id or by its request_id; None where the organization has none such."""
        async with self._database.read() as connection:
            return await _find(connection, organization_id, authorization_id, request_id)


async def _find(
    connection: Connection, organization_id: UUID, authorization_id: UUID | None, request_id: UUID | None
) -> Hold | None:
    row = await connection.fetchrow(QUERIES["find_hold"], organization_id, authorization_id, request_id)
    if row is None:
        return None
    return Hold(authorization=records.authorization(row["hold"]), budgets=records.budgets(row))
