"""What the database's JSON rows are in the domain. Keys are the columns' names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from governor_service.domain.authorization import Authorization, AuthorizationState, ExpiryAction
from governor_service.domain.budgets import BudgetScope, BudgetStatus
from governor_service.domain.ledger import EntryFlag, EntryKind, LedgerEntry
from governor_service.domain.pricing import Price, Usage

Record = Mapping[str, Any]

LIFETIME_START = date.min
"""How asyncpg spells '-infinity'."""


def authorization(row: Record) -> Authorization:
    """A row of authorizations_with_price."""
    return Authorization(
        organization_id=UUID(row["organization_id"]),
        authorization_id=UUID(row["authorization_id"]),
        request_id=UUID(row["request_id"]),
        workflow_id=_uuid(row["workflow_id"]),
        state=AuthorizationState(row["state"]),
        model=row["model"] or "",
        input_tokens_max=row["input_tokens_max"] or 0,
        output_tokens_max=row["output_tokens_max"] or 0,
        requests_max=row["requests_max"] or 0,
        held_nano_usd=row["held_nano_usd"],
        price=price(row["price"]) if row["price"] else None,
        downgrade_reason=row["downgrade_reason"],
        on_expiry=ExpiryAction(row["on_expiry"]) if row["on_expiry"] else None,
        labels=row["labels"],
        period_start=_month(row["period_start"]),
        create_time=datetime.fromisoformat(row["create_time"]),
        expire_time=datetime.fromisoformat(row["expire_time"]),
        entry_id=_uuid(row["entry_id"]),
    )


def price(row: Record) -> Price:
    """A row of prices."""
    return Price(
        price_id=UUID(row["price_id"]),
        model=row["model"],
        effective_time=datetime.fromisoformat(row["effective_time"]),
        input_nano_usd_per_mtok=row["input_nano_usd_per_mtok"],
        cached_input_nano_usd_per_mtok=row["cached_input_nano_usd_per_mtok"],
        cache_write_nano_usd_per_mtok=row["cache_write_nano_usd_per_mtok"],
        output_nano_usd_per_mtok=row["output_nano_usd_per_mtok"],
        reasoning_nano_usd_per_mtok=row["reasoning_nano_usd_per_mtok"],
        request_nano_usd=row["request_nano_usd"],
        source=row["source"],
        author=row["author"],
    )


def entry(row: Record) -> LedgerEntry:
    """A row of ai_usage_ledger."""
    period_start = _month(row["period_start"])
    assert period_start is not None
    return LedgerEntry(
        organization_id=UUID(row["organization_id"]),
        entry_id=UUID(row["id"]),
        sequence=row["sequence"],
        kind=EntryKind(row["kind"]),
        workflow_id=UUID(row["workflow_id"]),
        authorization_id=_uuid(row["authorization_id"]),
        requested_model=row["requested_model"],
        granted_model=row["granted_model"],
        served_model=row["model"],
        usage=Usage(
            input_tokens=row["prompt_tokens"],
            cached_input_tokens=row["cached_input_tokens"],
            cache_write_tokens=row["cache_write_tokens"],
            output_tokens=row["completion_tokens"],
            reasoning_tokens=row["reasoning_tokens"],
            requests=row["requests"],
        ),
        cost_nano_usd=row["cost_nano_usd"],
        rated_cost_nano_usd=row["rated_cost_nano_usd"],
        provider_cost_nano_usd=row["provider_cost_nano_usd"],
        provider_generation_id=row["provider_generation_id"],
        held_nano_usd=row["held_nano_usd"],
        overage_nano_usd=row["overage_nano_usd"],
        price_id=_uuid(row["price_id"]),
        flags=tuple(EntryFlag(flag) for flag in row["flags"]),
        labels=row["labels"],
        period_start=period_start,
        adjusts_entry_id=_uuid(row["adjusts_entry_id"]),
        reason=row["reason"],
        author=row["author"],
        create_time=datetime.fromisoformat(row["created_at"]),
    )


def budgets(rows: Iterable[Record] | None) -> tuple[BudgetStatus, ...]:
    """Rows of budgets_as_json or budgets_that_apply."""
    return tuple(
        BudgetStatus(
            scope=BudgetScope(row["scope"]),
            subject=row["subject"],
            period_start=_month(row["period_start"]),
            limit_nano_usd=row["limit_nano_usd"],
            spent_nano_usd=row["spent_nano_usd"],
            held_nano_usd=row["held_nano_usd"],
            unguarded_nano_usd=row["unguarded_nano_usd"],
        )
        for row in rows or ()
    )


def _uuid(value: str | None) -> UUID | None:
    return UUID(value) if value else None


def _month(value: str | None) -> datetime | None:
    """The first instant of a month; None for a lifetime."""
    if value is None or value == "-infinity":
        return None
    return datetime.fromisoformat(value).replace(tzinfo=UTC)
