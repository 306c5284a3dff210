"""Batches decided one item after the other, in one round trip. This covers every kind of request.

Items of a batch are grouped by organization. The organizations are sorted, so that two batches lock them in
the same order. Items of one organization keep their order, and each one sees the holds of those before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from governor_service.domain.authorization import (
    Authorization,
    AuthorizationState,
    AuthorizeAnswer,
    BudgetExceeded,
    Ended,
    Hold,
    HoldRequest,
    HoldTooLarge,
    ModelFrozen,
    ModelNotAllowed,
    ModelNotPriced,
    NotFound,
    OrganizationFrozen,
    OrganizationUnknown,
    RequestIdReused,
)
from governor_service.domain.ledger import (
    CostTooLarge,
    SettleAnswer,
    Settlement,
    SettleRequest,
    TotalTooLarge,
)
from governor_service.store import records
from governor_service.store.batch_arguments import authorize_arguments, settle_arguments
from governor_service.store.prices import KnownPrices
from governor_service.store.set_based import write
from governor_service.store.stages import Answers, LockWait, NoAnswer
from service_chassis.postgres.database import Connection, Database
from service_chassis.postgres.queries import load_queries

_QUERIES = load_queries(__package__, "holds.sql")

Item = TypeVar("Item", HoldRequest, SettleRequest)


class SequentialDecisions:
    """Decides the items of a batch one after the other, in one transaction."""

    def __init__(self, database: Database, prices: KnownPrices, *, denies_unknown: bool) -> None:
        self._database = database
        self._prices = prices
        self._denies_unknown = denies_unknown

    async def authorize(self, requests: Sequence[HoldRequest], wait: LockWait) -> Answers[AuthorizeAnswer]:
        """One answer for each request, in their order."""

        async def work(connection: Connection) -> Answers[AuthorizeAnswer]:
            groups = _grouped(requests)
            rows = await connection.fetch(
                _QUERIES["authorize_sequential_batch"],
                *_organizations_and_ends(groups),
                *_authorize_arguments([requests[place] for _, places in groups for place in places]),
                self._denies_unknown,
                wait.milliseconds,
            )
            return await self._authorize_answers(connection, requests, _in_order(groups, rows))

        return await write(self._database, work, wait)

    async def authorize_one_organization(
        self, requests: Sequence[HoldRequest], wait: LockWait
    ) -> Answers[AuthorizeAnswer]:
        """As `authorize`, by the function that stays on the shard of the requests' one organization."""

        async def work(connection: Connection) -> Answers[AuthorizeAnswer]:
            rows = await connection.fetch(
                _QUERIES["authorize_sequential"],
                requests[0].organization_id,
                *_authorize_arguments(requests),
                self._denies_unknown,
                wait.milliseconds,
            )
            return await self._authorize_answers(connection, requests, rows)

        return await write(self._database, work, wait)

    async def _authorize_answers(
        self, connection: Connection, requests: Sequence[HoldRequest], rows: Sequence[asyncpg.Record]
    ) -> Answers[AuthorizeAnswer]:
        await self._prices.read(connection, {row["price_id"] for row in rows} - {None})
        return [self._authorize_answer(*each) for each in zip(requests, rows, strict=True)]

    def _authorize_answer(self, request: HoldRequest, row: asyncpg.Record) -> AuthorizeAnswer | NoAnswer:
        match row["outcome"]:
            case "LOCKED":
                return NoAnswer.LOCKED
            case "GRANTED":
                return self._hold(request, row, is_replayed=False)
            case "REPLAYED":
                return self._hold(request, row, is_replayed=True)
            case "AUTHORIZATION_NOT_PENDING":
                return Ended(AuthorizationState(row["state"]), row["authorization_id"], row["entry_id"])
            case "REQUEST_ID_REUSED":
                return RequestIdReused()
            case "BUDGET_EXCEEDED":
                return BudgetExceeded(row["held_nano_usd"], records.budgets(row), row["create_time"])
            case "VALUE_TOO_LARGE":
                return HoldTooLarge(row["held_nano_usd"])
            case "MODEL_NOT_ALLOWED":
                return ModelNotAllowed(row["model"])
            case "MODEL_NOT_PRICED":
                return ModelNotPriced(row["model"])
            case "FROZEN":
                return ModelFrozen(row["model"]) if row["model"] else OrganizationFrozen()
            case "ORGANIZATION_UNKNOWN":
                return OrganizationUnknown()
            case outcome:
                raise ValueError(f"the database answers a request for a hold with {outcome}")

    def _hold(self, request: HoldRequest, row: asyncpg.Record, *, is_replayed: bool) -> Hold:
        # The request of a replay has the same content as the request that placed the hold.
        call = request.call
        authorization = Authorization(
            organization_id=call.organization_id,
            authorization_id=row["authorization_id"],
            request_id=request.request_id,
            workflow_id=call.workflow_id,
            state=AuthorizationState(row["state"]),
            model=row["model"],
            input_tokens_max=call.input_tokens_max,
            output_tokens_max=row["output_tokens_max"],
            requests_max=call.requests_max,
            cache_write_tokens_max=call.cache_write_tokens_max,
            cache_write_1h_tokens_max=call.cache_write_1h_tokens_max,
            other_units_max=call.other_units_max,
            price_context=call.price_context,
            held_nano_usd=row["held_nano_usd"],
            price=self._prices[row["price_id"]],
            downgrade_reason=row["downgrade_reason"],
            on_expiry=request.on_expiry,
            labels=call.labels,
            month=records.month(row["month"]),
            create_time=row["create_time"],
            expire_time=row["expire_time"],
            entry_id=row["entry_id"],
        )
        return Hold(authorization=authorization, budgets=records.budgets(row), replayed=is_replayed)

    async def settle(self, requests: Sequence[SettleRequest], wait: LockWait) -> Answers[SettleAnswer]:
        """One answer for each request, in their order."""

        async def work(connection: Connection) -> Answers[SettleAnswer]:
            groups = _grouped(requests)
            rows = await connection.fetch(
                _QUERIES["settle_sequential_batch"],
                *_organizations_and_ends(groups),
                *_settle_arguments([requests[place] for _, places in groups for place in places]),
                wait.milliseconds,
            )
            return [_settle_answer(*each) for each in zip(requests, _in_order(groups, rows), strict=True)]

        return await write(self._database, work, wait)

    async def settle_one_organization(
        self, requests: Sequence[SettleRequest], wait: LockWait
    ) -> Answers[SettleAnswer]:
        """As `settle`, by the function that stays on the shard of the requests' one organization."""

        async def work(connection: Connection) -> Answers[SettleAnswer]:
            rows = await connection.fetch(
                _QUERIES["settle_sequential"],
                requests[0].organization_id,
                *_settle_arguments(requests),
                wait.milliseconds,
            )
            return [_settle_answer(*each) for each in zip(requests, rows, strict=True)]

        return await write(self._database, work, wait)


def _organizations_and_ends(groups: Sequence[tuple[UUID, list[int]]]) -> tuple[list[UUID], list[int]]:
    """The organizations, and for each the number of items up to and with its last one."""
    return (
        [organization_id for organization_id, _ in groups],
        list(accumulate(len(places) for _, places in groups)),
    )


def _in_order(
    groups: Sequence[tuple[UUID, list[int]]], rows: Sequence[asyncpg.Record]
) -> list[asyncpg.Record]:
    """The rows, which come grouped by organization, in the order of the items."""
    found = dict(zip((place for _, places in groups for place in places), rows, strict=True))
    return [found[place] for place in range(len(rows))]


def _grouped(items: Sequence[Item]) -> list[tuple[UUID, list[int]]]:
    """Each organization with the places of its items, sorted by organization."""

    def organization(place: int) -> UUID:
        return items[place].organization_id

    places = sorted(range(len(items)), key=organization)
    return [(organization_id, list(group)) for organization_id, group in groupby(places, organization)]


def _authorize_arguments(requests: Sequence[HoldRequest]) -> tuple[Sequence[Any], ...]:
    return *authorize_arguments(requests), [request.call.output_tokens_min for request in requests]


def _settle_arguments(requests: Sequence[SettleRequest]) -> tuple[Sequence[Any], ...]:
    return *settle_arguments(requests), [request.true_up_key for request in requests]


def _settle_answer(request: SettleRequest, row: asyncpg.Record) -> SettleAnswer | NoAnswer:
    match row["outcome"]:
        case "LOCKED":
            return NoAnswer.LOCKED
        case "SETTLED":
            return _settlement(row, is_replayed=False)
        case "REPLAYED":
            return _settlement(row, is_replayed=True)
        case "AUTHORIZATION_NOT_FOUND":
            return NotFound()
        case "AUTHORIZATION_NOT_PENDING":
            entry_id = UUID(row["entry"]["id"]) if row["entry"] else None
            return Ended(AuthorizationState(row["hold_state"]), request.authorization_id, entry_id)
        case "COST_TOO_LARGE":
            return CostTooLarge()
        case "TOTAL_TOO_LARGE":
            return TotalTooLarge()
        case outcome:
            raise ValueError(f"the database answers a settlement with {outcome}")


def _settlement(row: asyncpg.Record, *, is_replayed: bool) -> Settlement:
    return Settlement(entry=records.entry(row["entry"]), budgets=records.budgets(row), replayed=is_replayed)
