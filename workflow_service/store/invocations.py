"""The journal of model calls: the table `model_invocations` and its guarded writes.

Each write is one committed transaction and is named after its guard. It returns the new row, or None if the
guard did not hold: the lease was taken over, the workflow was cancelled, or the write was made before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid5

import asyncpg

from service_chassis.postgres.database import Connection, Database
from service_chassis.postgres.queries import load_queries
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.states import Step
from workflow_service.domain.true_up import FIRST_LOOK_SECONDS

QUERIES: Final = load_queries(__package__, "invocations.sql")

_FIRST_LOOK: Final = timedelta(seconds=FIRST_LOOK_SECONDS)
_NAMESPACE: Final = UUID("5d0c3c2b-5a0e-5b52-9a2b-0f6a1d1c7e90")


class InvocationState(StrEnum):
    REQUESTED = "REQUESTED"
    AUTHORIZED = "AUTHORIZED"
    DISPATCHED = "DISPATCHED"
    RESPONDED = "RESPONDED"
    SETTLED = "SETTLED"
    VOIDING = "VOIDING"
    VOIDED = "VOIDED"


@dataclass(frozen=True, slots=True)
class CallUsage:
    """As the provider reported it. Cached, cache-write and reasoning tokens are parts of the totals."""

    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    requests: int
    cache_write_1h_tokens: int = 0
    """Part of `cache_write_tokens`."""
    other_units: Mapping[str, int] = field(default_factory=dict)
    """By genai-prices' usage keys."""


@dataclass(frozen=True, slots=True)
class Response:
    """The outcome of a dispatched call. `usage` is None if it is unknown."""

    answer: str | None = None
    error_class: ErrorClass | None = None
    served_model: str | None = None
    generation_id: str | None = None
    usage: CallUsage | None = None
    provider_cost_nano_usd: int | None = None


@dataclass(frozen=True, slots=True)
class Invocation:
    """One row. None: the call does not have the value, or does not have it yet."""

    organization_id: UUID
    workflow_id: UUID
    step: Step
    item: str
    attempt: int
    request_id: UUID
    epoch: int
    state: InvocationState
    requested_models: tuple[str, ...]
    authorization_id: UUID | None
    model: str | None
    held_nano_usd: int | None
    response: Response
    entry_id: UUID | None
    cost_nano_usd: int | None
    workflow_spent_nano_usd: int | None
    output_tokens_max: int | None
    """As granted."""
    create_time: datetime
    update_time: datetime


def request_id(workflow_id: UUID, step: Step, item: str, attempt: int) -> UUID:
    """The request_id of the call's Authorize: the same after a crash (S8)."""
    return uuid5(_NAMESPACE, f"{workflow_id}/{step.value}/{attempt}/{item}")


class Invocations:
    """The journal. Every method may raise DATABASE_UNAVAILABLE or OVERLOADED."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def request_if_leased(
        self,
        organization_id: UUID,
        workflow_id: UUID,
        step: Step,
        item: str,
        attempt: int,
        *,
        epoch: int,
        models: Sequence[str],
    ) -> Invocation | None:
        """A new row in REQUESTED. None also if the attempt's row exists already."""
        name = request_id(workflow_id, step, item, attempt)
        return await self._move(
            "request_if_leased",
            organization_id,
            workflow_id,
            step.value,
            item,
            attempt,
            name,
            epoch,
            list(models),
        )

    async def authorize_if_requested(
        self,
        row: Invocation,
        *,
        authorization_id: UUID,
        model: str,
        held_nano_usd: int,
        output_tokens_max: int,
    ) -> Invocation | None:
        return await self._move(
            "authorize_if_requested",
            *_owned(row),
            authorization_id,
            model,
            held_nano_usd,
            output_tokens_max,
        )

    async def dispatch_if_authorized_and_leased(self, row: Invocation) -> Invocation | None:
        """Must be committed before the request is sent to the provider."""
        return await self._move("dispatch_if_authorized_and_leased", *_owned(row))

    async def note_generation_if_dispatched(self, row: Invocation, generation_id: str) -> Invocation | None:
        return await self._move("note_generation_if_dispatched", *_named(row), generation_id)

    async def respond_if_dispatched(self, row: Invocation, response: Response) -> Invocation | None:
        return await self._move(
            "respond_if_dispatched",
            *_owned(row),
            response.answer,
            response.error_class,
            response.served_model,
            response.generation_id,
            *_usage_columns(response.usage),
            response.provider_cost_nano_usd,
        )

    async def settle_if_responded(
        self, row: Invocation, *, entry_id: UUID, cost_nano_usd: int, workflow_spent_nano_usd: int | None
    ) -> Invocation | None:
        return await self._move(
            "settle_if_responded",
            *_costed(row),
            entry_id,
            cost_nano_usd,
            workflow_spent_nano_usd,
            _FIRST_LOOK,
        )

    async def correct_if_settled_unknown(
        self,
        row: Invocation,
        *,
        usage: CallUsage,
        difference_nano_usd: int,
        workflow_spent_nano_usd: int | None,
    ) -> Invocation | None:
        return await self._move(
            "correct_if_settled_unknown",
            *_costed(row),
            *_usage_columns(usage),
            difference_nano_usd,
            workflow_spent_nano_usd,
        )

    async def bill_if_settled_unknown(
        self, row: Invocation, *, provider_cost_nano_usd: int, difference_nano_usd: int
    ) -> Invocation | None:
        return await self._move(
            "bill_if_settled_unknown", *_costed(row), provider_cost_nano_usd, difference_nano_usd
        )

    async def await_record_if_settled_unknown(self, row: Invocation, generation_id: str) -> Invocation | None:
        return await self._move("await_record_if_settled_unknown", *_named(row), generation_id, _FIRST_LOOK)

    async def take_due_true_ups(self, limit: int, *, taken_for: timedelta) -> list[tuple[Invocation, float]]:
        """Calls whose records are to be looked up now, with the seconds since they were settled.

        Another instance takes them only after `taken_for`.
        """

        async def take(connection: Connection) -> list[asyncpg.Record]:
            return await connection.fetch(QUERIES["take_due_true_ups"], limit, taken_for)

        return [(_invocation(record), record["age_seconds"]) for record in await self._database.write(take)]

    async def set_true_up(self, row: Invocation, delay: timedelta | None) -> None:
        """`delay` None: the record is not looked up any more."""

        async def set_(connection: Connection) -> None:
            await connection.execute(QUERIES["set_true_up"], *_named(row), delay)

        await self._database.write(set_)

    async def void_if_unanswered(
        self, row: Invocation, error_class: ErrorClass, *, generation_id: str | None = None
    ) -> Invocation | None:
        return await self._move("void_if_unanswered", *_owned(row), error_class, generation_id)

    async def end_void_if_voiding(self, row: Invocation) -> Invocation | None:
        return await self._move("end_void_if_voiding", *_named(row))

    async def deny_if_requested(self, row: Invocation, error_class: ErrorClass) -> Invocation | None:
        return await self._move("deny_if_requested", *_owned(row), error_class)

    async def settle_if_voiding(
        self,
        row: Invocation,
        *,
        authorization_id: UUID,
        model: str,
        held_nano_usd: int,
        entry_id: UUID,
        cost_nano_usd: int,
    ) -> Invocation | None:
        return await self._move(
            "settle_if_voiding",
            *_costed(row),
            authorization_id,
            model,
            held_nano_usd,
            entry_id,
            cost_nano_usd,
        )

    async def adopt_open_if_leased(
        self,
        organization_id: UUID,
        workflow_id: UUID,
        step: Step,
        *,
        epoch: int,
        call_deadline: timedelta,
        answered: Sequence[UUID] = (),
    ) -> list[Invocation]:
        """The step's open rows, which now have this epoch; [] if the lease is not the present one.

        Rows that are DISPATCHED stay with an earlier epoch for `call_deadline` after their dispatch, unless
        their request_ids are among `answered`.
        """
        sql = QUERIES["adopt_open_if_leased"]

        async def adopt(connection: Connection) -> list[asyncpg.Record]:
            return await connection.fetch(
                sql, organization_id, workflow_id, step.value, epoch, call_deadline, list(answered)
            )

        return [_invocation(record) for record in await self._database.write(adopt)]

    async def of_step(self, organization_id: UUID, workflow_id: UUID, step: Step) -> list[Invocation]:
        """The calls of a step, by item and attempt."""
        async with self._database.read() as connection:
            records = await connection.fetch(
                QUERIES["step_invocations"], organization_id, workflow_id, step.value
            )
        return [_invocation(record) for record in records]

    async def get(self, organization_id: UUID, name: UUID) -> Invocation | None:
        """The call with this request_id."""
        async with self._database.read() as connection:
            record = await connection.fetchrow(QUERIES["get_invocation"], organization_id, name)
        return None if record is None else _invocation(record)

    async def _move(self, query: str, *arguments: object) -> Invocation | None:
        async def move(connection: Connection) -> asyncpg.Record | None:
            return await connection.fetchrow(QUERIES[query], *arguments)

        record = await self._database.write(move)
        return None if record is None else _invocation(record)


async def list_invocations(
    connection: Connection,
    organization_id: UUID,
    workflow_id: UUID,
    *,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Invocation]:
    """A page of a workflow's calls, oldest first, after a (create_time, request_id)."""
    create_time, name = after or (None, None)
    records = await connection.fetch(
        QUERIES["list_invocations"], organization_id, workflow_id, create_time, name, limit
    )
    return [_invocation(record) for record in records]


def _named(row: Invocation) -> tuple[UUID, UUID]:
    return row.organization_id, row.request_id


def _costed(row: Invocation) -> tuple[UUID, UUID, UUID]:
    return row.organization_id, row.request_id, row.workflow_id


def _owned(row: Invocation) -> tuple[UUID, UUID, int]:
    return row.organization_id, row.request_id, row.epoch


def _usage_columns(usage: CallUsage | None) -> tuple[object, ...]:
    if usage is None:
        return (*(None,) * 6, 0, {})
    return (
        usage.input_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        usage.requests,
        usage.cache_write_1h_tokens,
        dict(usage.other_units),
    )


def _invocation(record: asyncpg.Record) -> Invocation:
    return Invocation(
        organization_id=record["organization_id"],
        workflow_id=record["workflow_id"],
        step=Step(record["step"]),
        item=record["item"],
        attempt=record["attempt"],
        request_id=record["request_id"],
        epoch=record["epoch"],
        state=InvocationState(record["state"]),
        requested_models=tuple(record["requested_models"]),
        authorization_id=record["authorization_id"],
        model=record["model"],
        held_nano_usd=record["held_nano_usd"],
        response=_response(record),
        entry_id=record["entry_id"],
        cost_nano_usd=record["cost_nano_usd"],
        workflow_spent_nano_usd=record["workflow_spent_nano_usd"],
        output_tokens_max=record["output_tokens_max"],
        create_time=record["create_time"],
        update_time=record["update_time"],
    )


def _response(record: Any) -> Response:
    usage = None
    if record["input_tokens"] is not None:
        usage = CallUsage(
            record["input_tokens"],
            record["cached_input_tokens"],
            record["cache_write_tokens"],
            record["output_tokens"],
            record["reasoning_tokens"],
            record["requests"],
            record["cache_write_1h_tokens"],
            record["other_units"],
        )
    return Response(
        answer=record["answer"],
        error_class=None if record["error_class"] is None else ErrorClass(record["error_class"]),
        served_model=record["served_model"],
        generation_id=record["generation_id"],
        usage=usage,
        provider_cost_nano_usd=record["provider_cost_nano_usd"],
    )
