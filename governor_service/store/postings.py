"""Entries without a hold, in the database."""

from __future__ import annotations

import asyncpg

from governor_service.domain.postings import AdjustRequest, PostingAnswer, PostingOutcome, RecordRequest
from governor_service.store import records
from service_chassis.postgres.database import Connection
from service_chassis.postgres.queries import load_queries

QUERIES = load_queries(__package__, "postings.sql")


async def record_usage(connection: Connection, request: RecordRequest) -> PostingAnswer:
    """Posts the charge, once for its request_id."""
    row = await connection.fetchrow(
        QUERIES["record_usage"],
        request.organization_id,
        request.idempotency_key,
        request.content_hash,
        request.workflow_id,
        request.served_model.line,
        request.usage.input_tokens,
        request.usage.cached_input_tokens,
        request.usage.cache_write_tokens,
        request.usage.cache_write_1h_tokens,
        request.usage.output_tokens,
        request.usage.reasoning_tokens,
        request.usage.requests,
        dict(request.usage.other_units),
        dict(request.price_context),
        request.provider_cost_nano_usd,
        dict(request.labels),
        request.occurred_time,
        request.author,
    )
    return _answer(row)


async def adjust_entry(connection: Connection, request: AdjustRequest) -> PostingAnswer:
    """Posts the difference to the target, once for its request_id."""
    row = await connection.fetchrow(
        QUERIES["adjust_entry"],
        request.organization_id,
        request.request_id,
        request.idempotency_key,
        request.content_hash,
        request.entry_id,
        request.corrected_cost_nano_usd,
        request.reason,
        request.author,
    )
    return _answer(row)


def _answer(row: asyncpg.Record | None) -> PostingAnswer:
    assert row is not None
    return PostingAnswer(
        outcome=PostingOutcome(row["outcome"]),
        entry=records.entry(row["entry"]) if row["entry"] else None,
    )
