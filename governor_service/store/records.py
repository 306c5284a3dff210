"""Converts the database's JSON rows to the domain's objects. Keys are column names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg

from governor_service.domain.authorization import Authorization, AuthorizationState, ExpiryAction
from governor_service.domain.budgets import BudgetName, BudgetStatus
from governor_service.domain.ledger import EntryFlag, EntryKind, LedgerEntry
from governor_service.domain.organizations import CostBasis
from governor_service.domain.pricing import Price
from governor_service.domain.usage import Usage

Record = Mapping[str, Any]


def authorization(row: Record, price: Price | None) -> Authorization:
    """A row of authorizations_as_seen, with its price."""
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
        cache_write_tokens_max=row["cache_write_tokens_max"],
        cache_write_1h_tokens_max=row["cache_write_1h_tokens_max"],
        other_units_max=row["other_units_max"],
        price_context=row["price_context"],
        held_nano_usd=row["held_nano_usd"],
        price=price,
        downgrade_reason=row["downgrade_reason"],
        on_expiry=ExpiryAction(row["on_expiry"]) if row["on_expiry"] else None,
        labels=row["labels"],
        month=month(row["month"]) if row["month"] else None,
        create_time=datetime.fromisoformat(row["create_time"]),
        expire_time=datetime.fromisoformat(row["expire_time"]),
        entry_id=_uuid(row["entry_id"]),
    )


def entry(row: Record) -> LedgerEntry:
    """A row of ai_usage_ledger."""
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
            cache_write_1h_tokens=row["cache_write_1h_tokens"],
            output_tokens=row["completion_tokens"],
            reasoning_tokens=row["reasoning_tokens"],
            requests=row["requests"],
            other_units=row["other_units"],
        ),
        cost_nano_usd=row["cost_nano_usd"],
        rated_cost_nano_usd=row["rated_cost_nano_usd"],
        provider_cost_nano_usd=row["provider_cost_nano_usd"],
        provider_generation_id=row["provider_generation_id"],
        held_nano_usd=row["held_nano_usd"],
        overage_nano_usd=row["overage_nano_usd"],
        price_id=_uuid(row["price_id"]),
        price_context=row["price_context"],
        cost_basis=CostBasis(row["cost_basis"]) if row["cost_basis"] else None,
        flags=tuple(EntryFlag(flag) for flag in row["flags"]),
        labels=row["labels"],
        month=month(row["month"]),
        adjusts_entry_id=_uuid(row["adjusts_entry_id"]),
        reason=row["reason"],
        author=row["author"],
        create_time=datetime.fromisoformat(row["created_at"]),
    )


def budgets(row: asyncpg.Record) -> tuple[BudgetStatus, ...]:
    """The budgets of an answer, from its parallel arrays; empty if it has no keys."""
    return tuple(
        budget(*figures)
        for figures in zip(
            row["budget_keys"] or (),
            row["limits_nano_usd"] or (),
            row["budgets_spent_nano_usd"] or (),
            row["budgets_held_nano_usd"] or (),
            row["budgets_unguarded_nano_usd"] or (),
            strict=True,
        )
    )


def budget(
    key: str, limit_nano_usd: int | None, spent_nano_usd: int, held_nano_usd: int, unguarded_nano_usd: int
) -> BudgetStatus:
    """The budget of a key, with its figures."""
    return BudgetStatus(
        name=BudgetName.of_key(key),
        limit_nano_usd=limit_nano_usd,
        spent_nano_usd=spent_nano_usd,
        held_nano_usd=held_nano_usd,
        unguarded_nano_usd=unguarded_nano_usd,
    )


@lru_cache(maxsize=1_024)
def month(text: str) -> date:
    """The first day of a month that is written as 2026-11."""
    return date.fromisoformat(f"{text}-01")


def _uuid(value: str | None) -> UUID | None:
    return UUID(value) if value else None
