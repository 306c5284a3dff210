"""Holds in the database: one round trip a decision, many requests a call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from governor_service.domain.authorization import (
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
from service_chassis.database import Connection
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


async def authorize(
    connection: Connection, organization_id: UUID, requests: Sequence[HoldRequest], *, with_budgets: bool
) -> list[AuthorizeAnswer]:
    """Decides one organization's requests in order, each seeing the holds of those before it."""
    candidates = [
        (item, model) for item, request in enumerate(requests, start=1) for model in request.call.models
    ]
    rows = await connection.fetch(
        QUERIES["authorize"],
        organization_id,
        [request.request_id for request in requests],
        [request.content_hash for request in requests],
        [request.call.workflow_id for request in requests],
        [request.call.input_tokens_max for request in requests],
        [request.call.output_tokens_max for request in requests],
        [request.call.output_tokens_min for request in requests],
        [request.call.requests_max for request in requests],
        [request.hold_duration for request in requests],
        [request.on_expiry.value for request in requests],
        [dict(request.call.labels) for request in requests],
        [item for item, _ in candidates],
        [model for _, model in candidates],
        with_budgets,
    )
    return [_authorize_answer(row) for row in rows]


def _authorize_answer(row: asyncpg.Record) -> AuthorizeAnswer:
    outcome = AuthorizeOutcome(row["outcome"])
    hold, budgets = row["hold"], records.budgets(row["budgets"])
    if "authorization_id" not in hold:
        return AuthorizeAnswer(
            outcome,
            None,
            Denial(model=hold["model"], requested_nano_usd=hold["held_nano_usd"], budgets=budgets),
        )
    return AuthorizeAnswer(
        outcome,
        Hold(
            authorization=records.authorization(hold),
            budgets=budgets,
            replayed=outcome is AuthorizeOutcome.REPLAYED,
        ),
        None,
    )


async def check_budget(connection: Connection, call: PlannedCall) -> BudgetCheck:
    """What Authorize would answer now; changes nothing."""
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
        budgets=records.budgets(row["budgets"]),
    )


async def settle(
    connection: Connection,
    organization_id: UUID,
    requests: Sequence[SettleRequest],
    *,
    author: str,
    with_budgets: bool,
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
        author,
        with_budgets,
    )
    return [
        SettleAnswer(
            outcome=SettleOutcome(row["outcome"]),
            hold_state=AuthorizationState(row["hold_state"]) if row["hold_state"] else None,
            entry=records.entry(row["entry"]) if row["entry"] else None,
            budgets=records.budgets(row["budgets"]),
        )
        for row in rows
    ]


async def void(
    connection: Connection,
    organization_id: UUID,
    *,
    authorization_id: UUID | None,
    request_id: UUID | None,
    reason: str,
) -> VoidAnswer:
    """Ends one hold, by its id or (the other None) by the request_id that it was authorized with."""
    row = await connection.fetchrow(QUERIES["void"], organization_id, authorization_id, request_id, reason)
    assert row is not None
    return VoidAnswer(VoidOutcome(row["outcome"]), _hold(row) if row["hold"] else None)


async def find(
    connection: Connection, organization_id: UUID, *, authorization_id: UUID | None, request_id: UUID | None
) -> Hold | None:
    """One hold, by its id or by its request_id; None where the organization has none such."""
    row = await connection.fetchrow(
        QUERIES["find_authorization"], organization_id, authorization_id, request_id
    )
    return _hold(row) if row else None


def _hold(row: asyncpg.Record) -> Hold:
    return Hold(authorization=records.authorization(row["hold"]), budgets=records.budgets(row["budgets"]))
