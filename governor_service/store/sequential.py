"""Batches decided one by one, each decision seeing those before it: whatever may be asked, in one round trip.

Items of a batch are grouped by organization, the organizations sorted, so that two batches lock them in one
order; within an organization they keep their order, each seeing the holds of those before it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from governor_service.domain.authorization import (
    Authorization,
    AuthorizationState,
    AuthorizeAnswer,
    AuthorizeOutcome,
    Denial,
    Hold,
    HoldRequest,
)
from governor_service.domain.ledger import SettleAnswer, SettleOutcome, SettleRequest
from governor_service.store import records
from governor_service.store.batch_arguments import authorize_arguments, settle_arguments
from governor_service.store.prices import KnownPrices
from service_chassis.postgres.database import Connection, Database
from service_chassis.postgres.queries import load_queries

_QUERIES = load_queries(__package__, "holds.sql")

Item = TypeVar("Item", HoldRequest, SettleRequest)
Answer = TypeVar("Answer")


class SequentialDecisions:
    """Takes the decisions of a batch one after the other, in one transaction."""

    def __init__(self, database: Database, prices: KnownPrices, *, denies_unknown: bool) -> None:
        self._database = database
        self._prices = prices
        self._denies_unknown = denies_unknown

    async def authorize(self, requests: Sequence[HoldRequest]) -> list[AuthorizeAnswer]:
        """One answer a request, in their order."""

        async def work(connection: Connection) -> list[AuthorizeAnswer]:
            rows = await _decide(
                connection,
                "authorize",
                requests,
                _authorize_arguments,
                self._denies_unknown,
                self._database.lock_timeout_milliseconds,
            )
            await self._prices.read(connection, {row["price_id"] for row in rows} - {None})
            return [self._authorize_answer(*each) for each in zip(requests, rows, strict=True)]

        return await self._database.write(work, is_one_statement=True)

    def _authorize_answer(self, request: HoldRequest, row: asyncpg.Record) -> AuthorizeAnswer:
        outcome = AuthorizeOutcome(row["outcome"])
        budgets = records.budgets(row)
        if row["authorization_id"] is None:
            denial = Denial(model=row["model"], requested_nano_usd=row["held_nano_usd"], budgets=budgets)
            return AuthorizeAnswer(outcome, None, denial)
        # What a hold was asked for with is what it was placed with: a replay has the same content.
        call = request.call
        authorization = Authorization(
            organization_id=call.organization_id,
            authorization_id=row["authorization_id"],
            request_id=request.request_id,
            workflow_id=call.workflow_id,
            state=AuthorizationState(row["state"]),
            model=row["model"] or "",
            input_tokens_max=call.input_tokens_max,
            output_tokens_max=row["output_tokens_max"] or 0,
            requests_max=call.requests_max,
            held_nano_usd=row["held_nano_usd"],
            price=self._prices[row["price_id"]] if row["price_id"] else None,
            downgrade_reason=row["downgrade_reason"],
            on_expiry=request.on_expiry,
            labels=call.labels,
            month=records.month(row["month"]) if row["month"] else None,
            create_time=row["create_time"],
            expire_time=row["expire_time"],
            entry_id=row["entry_id"],
        )
        replayed = outcome is AuthorizeOutcome.REPLAYED
        return AuthorizeAnswer(
            outcome, Hold(authorization=authorization, budgets=budgets, replayed=replayed), None
        )

    async def settle(self, requests: Sequence[SettleRequest]) -> list[SettleAnswer]:
        """One answer a request, in their order."""

        async def work(connection: Connection) -> list[SettleAnswer]:
            rows = await _decide(
                connection,
                "settle",
                requests,
                _settle_arguments,
                self._database.lock_timeout_milliseconds,
            )
            return [_settle_answer(row) for row in rows]

        return await self._database.write(work, is_one_statement=True)


def by_organization(
    decide: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
) -> Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]]:
    """Cuts batches by organization, so that each transaction stays on one shard."""

    async def decide_each(items: Sequence[Item]) -> Sequence[Answer]:
        answers: dict[int, Answer] = {}
        for _, places in _grouped(items):
            answers |= zip(places, await decide([items[place] for place in places]), strict=True)
        return [answers[place] for place in range(len(items))]

    return decide_each


async def _decide(
    connection: Connection,
    name: str,
    items: Sequence[Item],
    arguments: Callable[[Sequence[Item]], tuple[Sequence[Any], ...]],
    *policy: bool | int,
) -> list[asyncpg.Record]:
    """The rows of `{name}_sequential` for one organization, of `{name}_sequential_batch` for several, in the
    items' order."""
    groups = _grouped(items)
    places = [place for _, group in groups for place in group]
    sorted_items = [items[place] for place in places]
    if len(groups) == 1:
        rows = await connection.fetch(
            _QUERIES[f"{name}_sequential"], groups[0][0], *arguments(sorted_items), *policy
        )
    else:
        ends, end = [], 0
        for _, group in groups:
            end += len(group)
            ends.append(end)
        organizations = [organization_id for organization_id, _ in groups]
        rows = await connection.fetch(
            _QUERIES[f"{name}_sequential_batch"], organizations, ends, *arguments(sorted_items), *policy
        )
    found = dict(zip(places, rows, strict=True))
    return [found[place] for place in range(len(items))]


def _grouped(items: Sequence[Item]) -> list[tuple[UUID, list[int]]]:
    """The places of each organization's items, by organization."""

    def organization(place: int) -> UUID:
        return items[place].organization_id

    places = sorted(range(len(items)), key=organization)
    return [(organization_id, list(group)) for organization_id, group in groupby(places, organization)]


def _authorize_arguments(requests: Sequence[HoldRequest]) -> tuple[Sequence[Any], ...]:
    return *authorize_arguments(requests), [request.call.output_tokens_min for request in requests]


def _settle_arguments(requests: Sequence[SettleRequest]) -> tuple[Sequence[Any], ...]:
    return *settle_arguments(requests), [request.true_up_key for request in requests]


def _settle_answer(row: asyncpg.Record) -> SettleAnswer:
    return SettleAnswer(
        outcome=SettleOutcome(row["outcome"]),
        hold_state=AuthorizationState(row["hold_state"]) if row["hold_state"] else None,
        entry=records.entry(row["entry"]) if row["entry"] else None,
        budgets=records.budgets(row),
    )
