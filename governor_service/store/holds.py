"""Holds in the database: one round trip a decision, many requests a call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from uuid import UUID

import asyncpg

from governor_service.domain.authorization import (
    Authorization,
    AuthorizationState,
    AuthorizeOutcome,
    BudgetCheck,
    Denial,
    Hold,
    HoldRequest,
    PlannedCall,
    VoidOutcome,
)
from governor_service.domain.ledger import SettleAnswer, SettleOutcome, SettleRequest
from governor_service.store import records
from governor_service.store.prices import KnownPrices
from service_chassis.database import Connection, Database
from service_chassis.queries import load_queries

QUERIES = load_queries(__package__, "holds.sql")


@dataclass(frozen=True, slots=True)
class AuthorizeAnswer:
    """`hold` where there is or was one, `denial` where none was placed."""

    outcome: AuthorizeOutcome
    hold: Hold | None
    denial: Denial | None


@dataclass(frozen=True, slots=True)
class VoidAnswer:
    """`hold` is what the authorization is now; None where there is none."""

    outcome: VoidOutcome
    hold: Hold | None


class HoldStore:
    """Places, ends and finds holds, each in a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._prices = KnownPrices()

    async def authorize(self, request: HoldRequest) -> AuthorizeAnswer:
        """Decides one request."""

        async def work(connection: Connection) -> AuthorizeAnswer:
            (answer,) = await self._authorize(connection, request.call.organization_id, [request])
            return answer

        return await self._database.write(work)

    async def _authorize(
        self, connection: Connection, organization_id: UUID, requests: Sequence[HoldRequest]
    ) -> list[AuthorizeAnswer]:
        """Decides one organization's requests in order, each seeing the holds of those before it."""
        calls = [request.call for request in requests]
        rows = await connection.fetch(
            QUERIES["authorize"],
            organization_id,
            [request.request_id for request in requests],
            [request.content_hash for request in requests],
            [call.workflow_id for call in calls],
            [call.input_tokens_max for call in calls],
            [call.output_tokens_max for call in calls],
            [call.output_tokens_min for call in calls],
            [call.requests_max for call in calls],
            [request.hold_duration for request in requests],
            [request.on_expiry.value for request in requests],
            [dict(call.labels) for call in calls],
            [model for call in calls for model in call.models],
            list(accumulate(len(call.models) for call in calls)),
        )
        return [
            await self._answer(connection, request, row) for request, row in zip(requests, rows, strict=True)
        ]

    async def _answer(
        self, connection: Connection, request: HoldRequest, row: asyncpg.Record
    ) -> AuthorizeAnswer:
        outcome = AuthorizeOutcome(row["outcome"])
        budgets = records.budgets(row)
        if row["authorization_id"] is None:
            denial = Denial(model=row["model"], requested_nano_usd=row["held_nano_usd"], budgets=budgets)
            return AuthorizeAnswer(outcome, None, denial)
        # What a hold was asked for with is what it was placed with: a replay has the same content.
        authorization = Authorization(
            organization_id=request.call.organization_id,
            authorization_id=row["authorization_id"],
            request_id=request.request_id,
            workflow_id=request.call.workflow_id,
            state=AuthorizationState(row["state"]),
            model=row["model"] or "",
            input_tokens_max=request.call.input_tokens_max,
            output_tokens_max=row["output_tokens_max"] or 0,
            requests_max=request.call.requests_max,
            held_nano_usd=row["held_nano_usd"],
            price=await self._prices.of(connection, row["price_id"]) if row["price_id"] else None,
            downgrade_reason=row["downgrade_reason"],
            on_expiry=request.on_expiry,
            labels=request.call.labels,
            month=records.month(row["month"]) if row["month"] else None,
            create_time=row["create_time"],
            expire_time=row["expire_time"],
            entry_id=row["entry_id"],
        )
        hold = Hold(
            authorization=authorization,
            budgets=budgets,
            replayed=outcome is AuthorizeOutcome.REPLAYED,
        )
        return AuthorizeAnswer(outcome, hold, None)

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

    async def settle(self, request: SettleRequest) -> SettleAnswer:
        """Settles one hold."""

        async def work(connection: Connection) -> SettleAnswer:
            (answer,) = await _settle(connection, request.organization_id, [request])
            return answer

        return await self._database.write(work)

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


async def _settle(
    connection: Connection, organization_id: UUID, requests: Sequence[SettleRequest]
) -> list[SettleAnswer]:
    """Settles one organization's holds in order."""
    usages = [request.usage for request in requests]
    rows = await connection.fetch(
        QUERIES["settle"],
        organization_id,
        [request.authorization_id for request in requests],
        [request.content_hash if request.usage else None for request in requests],
        [request.true_up_key for request in requests],
        [request.served_model for request in requests],
        [usage.input_tokens if usage else 0 for usage in usages],
        [usage.cached_input_tokens if usage else 0 for usage in usages],
        [usage.cache_write_tokens if usage else 0 for usage in usages],
        [usage.output_tokens if usage else 0 for usage in usages],
        [usage.reasoning_tokens if usage else 0 for usage in usages],
        [usage.requests if usage else 0 for usage in usages],
        [request.provider_cost_nano_usd for request in requests],
        [request.provider_generation_id for request in requests],
        [request.author for request in requests],
    )
    return [
        SettleAnswer(
            outcome=SettleOutcome(row["outcome"]),
            hold_state=AuthorizationState(row["hold_state"]) if row["hold_state"] else None,
            entry=records.entry(row["entry"]) if row["entry"] else None,
            budgets=records.budgets(row),
        )
        for row in rows
    ]


async def _find(
    connection: Connection, organization_id: UUID, authorization_id: UUID | None, request_id: UUID | None
) -> Hold | None:
    row = await connection.fetchrow(QUERIES["find_hold"], organization_id, authorization_id, request_id)
    if row is None:
        return None
    return Hold(authorization=records.authorization(row["hold"]), budgets=records.budgets(row))
