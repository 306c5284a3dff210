"""Batches decided as sets: one statement for all holds or settlements whose order does not matter.

An item that is left out has changed nothing; `sequential` decides it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TypeVar

import asyncpg

from governor_service.domain.authorization import (
    Authorization,
    AuthorizationState,
    Hold,
    HoldRequest,
)
from governor_service.domain.budgets import BudgetStatus
from governor_service.domain.ledger import (
    EntryFlag,
    EntryKind,
    LedgerEntry,
    Settlement,
    SettleRequest,
)
from governor_service.domain.organizations import CostBasis
from governor_service.store import records
from governor_service.store.batch_arguments import NO_USAGE, authorize_arguments, settle_arguments
from governor_service.store.prices import KnownPrices
from governor_service.store.stages import Answers, LockWait, NoAnswer
from service_chassis.postgres.database import Connection, Database
from service_chassis.postgres.queries import load_queries

_QUERIES = load_queries(__package__, "holds.sql")

Answer = TypeVar("Answer")


class SetBasedDecisions:
    """Decides a batch as a set, in one statement."""

    def __init__(self, database: Database, prices: KnownPrices, *, denies_unknown: bool) -> None:
        self._database = database
        self._prices = prices
        self._denies_unknown = denies_unknown

    async def authorize(self, requests: Sequence[HoldRequest], wait: LockWait) -> Answers[Hold]:
        """One answer for each request, in their order: the hold that was placed, or NoAnswer."""

        async def work(connection: Connection) -> Answers[Hold]:
            rows = await connection.fetch(
                _QUERIES["authorize_set_based"],
                [request.organization_id for request in requests],
                *authorize_arguments(requests),
                self._denies_unknown,
                wait.milliseconds,
            )
            await self._prices.read(connection, {row["price_id"] for row in rows} - {None})
            return _answers(
                len(requests),
                rows,
                lambda place, lines: self._hold(requests[place], lines),
            )

        return await write(self._database, work, wait)

    def _hold(self, request: HoldRequest, lines: Sequence[asyncpg.Record]) -> Hold:
        call, row = request.call, lines[0]
        authorization = Authorization(
            organization_id=call.organization_id,
            authorization_id=request.authorization_id,
            request_id=request.request_id,
            workflow_id=call.workflow_id,
            state=AuthorizationState.PENDING,
            model=row["model"],
            input_tokens_max=call.input_tokens_max,
            output_tokens_max=call.output_tokens_max,
            requests_max=call.requests_max,
            cache_write_tokens_max=call.cache_write_tokens_max,
            cache_write_1h_tokens_max=call.cache_write_1h_tokens_max,
            other_units_max=call.other_units_max,
            price_context=call.price_context,
            held_nano_usd=row["held_nano_usd"],
            price=self._prices[row["price_id"]],
            downgrade_reason=None,
            on_expiry=request.on_expiry,
            labels=call.labels,
            month=records.month(row["month"]),
            create_time=row["create_time"],
            expire_time=row["create_time"] + request.hold_duration,
            entry_id=None,
        )
        return Hold(authorization=authorization, budgets=_budgets(lines))

    async def settle(self, requests: Sequence[SettleRequest], wait: LockWait) -> Answers[Settlement]:
        """One answer for each request, in their order: the settlement, or NoAnswer."""

        async def work(connection: Connection) -> Answers[Settlement]:
            rows = await connection.fetch(
                _QUERIES["settle_set_based"],
                [request.organization_id for request in requests],
                *settle_arguments(requests),
                wait.milliseconds,
            )
            return _answers(len(requests), rows, lambda place, lines: _settlement(requests[place], lines))

        return await write(self._database, work, wait)


def _settlement(request: SettleRequest, lines: Sequence[asyncpg.Record]) -> Settlement:
    row = lines[0]
    entry = LedgerEntry(
        organization_id=request.organization_id,
        entry_id=request.authorization_id,
        sequence=row["sequence"],
        kind=EntryKind.USAGE,
        workflow_id=row["workflow_id"],
        authorization_id=request.authorization_id,
        requested_model=row["requested_model"],
        granted_model=row["model"],
        served_model=row["model"],
        usage=request.usage or NO_USAGE,
        cost_nano_usd=row["cost_nano_usd"],
        rated_cost_nano_usd=row["rated_cost_nano_usd"],
        provider_cost_nano_usd=request.provider_cost_nano_usd,
        provider_generation_id=request.provider_generation_id,
        held_nano_usd=row["held_nano_usd"],
        overage_nano_usd=row["overage_nano_usd"],
        price_id=row["price_id"],
        price_context=row["price_context"] or {},
        cost_basis=CostBasis(row["cost_basis"]),
        flags=tuple(EntryFlag(flag) for flag in row["flags"]),
        labels=row["labels"],
        month=records.month(row["month"]),
        adjusts_entry_id=None,
        reason="",
        author=request.author,
        create_time=row["created_at"],
    )
    return Settlement(entry=entry, budgets=_budgets(lines), replayed=False)


def _answers(
    items: int, rows: Iterable[asyncpg.Record], answer: Callable[[int, Sequence[asyncpg.Record]], Answer]
) -> Answers[Answer]:
    """The answers in the items' order. `answer` makes one from an item's place and its rows, one a budget.

    An item without a row was left out. If an item's row names no budget, its organization is locked.
    """
    answers: list[Answer | NoAnswer] = [NoAnswer.LEFT_OUT] * items
    for item, lines_of_item in groupby(rows, itemgetter("item")):
        lines = list(lines_of_item)
        is_locked = lines[0]["budget_key"] is None
        answers[item - 1] = NoAnswer.LOCKED if is_locked else answer(item - 1, lines)
    return answers


async def write(
    database: Database, work: Callable[[Connection], Awaitable[Answer]], wait: LockWait
) -> Answer:
    """Commits one statement of a batch.

    With a short wait for locks it is tried once, on a connection that is reserved for the lanes.
    """
    return await database.write(
        work,
        is_one_statement=True,
        attempts=3 if wait.is_patient else 1,
        is_reserved=not wait.is_patient,
    )


def _budgets(lines: Iterable[asyncpg.Record]) -> tuple[BudgetStatus, ...]:
    return tuple(
        records.budget(
            line["budget_key"],
            line["limit_nano_usd"],
            line["budget_spent_nano_usd"],
            line["budget_held_nano_usd"],
            line["budget_unguarded_nano_usd"],
        )
        for line in lines
    )
