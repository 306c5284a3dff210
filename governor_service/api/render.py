"""Domain → answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Protocol
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from governor_service.api.prices import price_message
from governor_service.domain.authorization import AuthorizeOutcome, BudgetCheck, Hold
from governor_service.domain.budgets import BudgetStatus, binding
from governor_service.domain.ledger import LedgerEntry, Settlement
from infin8.governor.v1 import authorization_pb2, budget_pb2, entry_pb2, errors_pb2, price_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2


class _Enum(Protocol):
    """A generated protobuf enum."""

    def items(self) -> Sequence[tuple[str, Any]]: ...


def _numbers(enum: _Enum, prefix: str) -> dict[str, Any]:
    """An enum's numbers by their names without prefix."""
    return {name.removeprefix(prefix): number for name, number in enum.items()}


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Tables, because an enum's Value() is slow: it runs in Python at each call.
SCOPES = _numbers(budget_pb2.BudgetScope, "BUDGET_SCOPE_")
PERIODS = _numbers(budget_pb2.BudgetPeriod, "BUDGET_PERIOD_")
_STATES = _numbers(authorization_pb2.AuthorizationState, "AUTHORIZATION_STATE_")
_EXPIRY_ACTIONS = _numbers(authorization_pb2.ExpiryAction, "EXPIRY_ACTION_")
_KINDS = _numbers(entry_pb2.EntryKind, "ENTRY_KIND_")
_FLAGS = _numbers(entry_pb2.EntryFlag, "ENTRY_FLAG_")
_COST_BASES = _numbers(price_pb2.CostBasis, "COST_BASIS_")


def saturated(value: int) -> int:
    """An unbounded sum as an int64. A value outside of the range becomes the nearest end of the range."""
    return max(-(2**63), min(value, 2**63 - 1))


def timestamp(time: datetime | None) -> Timestamp | None:
    """None leaves the field unset. Exact to the microsecond, like PostgreSQL's times."""
    if time is None:
        return None
    since = time - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1_000)


_budget_start = lru_cache(maxsize=1024)(timestamp)


def lone_budget(value: BudgetStatus) -> budget_pb2.BudgetStatus:
    """A budget that is returned alone. It is marked as binding if it has a limit."""
    return _budget(value, is_binding=value.limit_nano_usd is not None)


def _budget(value: BudgetStatus, *, is_binding: bool) -> budget_pb2.BudgetStatus:
    return budget_pb2.BudgetStatus(
        scope=SCOPES[value.name.scope],
        period=PERIODS[value.name.period],
        subject=value.name.subject,
        period_start=_budget_start(value.name.start),
        limit_nano_usd=value.limit_nano_usd,
        spent_nano_usd=value.spent_nano_usd,
        held_nano_usd=value.held_nano_usd,
        available_nano_usd=value.available_nano_usd,
        binding=is_binding,
        unguarded_nano_usd=value.unguarded_nano_usd,
    )


def budgets(values: Sequence[BudgetStatus]) -> list[budget_pb2.BudgetStatus]:
    """Marks as binding the budget that would deny first."""
    first = binding(values)
    return [_budget(value, is_binding=value is first) for value in values]


def authorization(hold: Hold, *, with_budgets: bool = True) -> authorization_pb2.Authorization:
    held = hold.authorization
    return authorization_pb2.Authorization(
        authorization_id=str(held.authorization_id),
        organization_id=str(held.organization_id),
        workflow_id=_id(held.workflow_id),
        request_id=str(held.request_id),
        state=_STATES[held.state],
        model=held.model,
        input_tokens_max=held.input_tokens_max,
        output_tokens_max=held.output_tokens_max,
        requests_max=held.requests_max,
        cache_write_tokens_max=held.cache_write_tokens_max,
        cache_write_1h_tokens_max=held.cache_write_1h_tokens_max,
        # None instead of an empty map: protobuf takes long to copy nothing.
        other_units_max=held.other_units_max or None,
        price_context=held.price_context or None,
        held_nano_usd=held.held_nano_usd,
        price=price_message(held.price) if held.price else None,
        downgraded=held.downgrade_reason is not None,
        downgrade_reason=held.downgrade_reason or "",
        on_expiry=_EXPIRY_ACTIONS[held.on_expiry or "UNSPECIFIED"],
        labels=held.labels or None,
        period_start=_period_start(held.month),
        create_time=timestamp(held.create_time),
        expire_time=timestamp(held.expire_time),
        entry_id=_id(held.entry_id),
        budgets=budgets(hold.budgets) if with_budgets else (),
        replayed=hold.replayed,
    )


def budget_check(check: BudgetCheck) -> governor_pb2.CheckBudgetResponse:
    allowed = check.outcome is AuthorizeOutcome.GRANTED
    return governor_pb2.CheckBudgetResponse(
        allowed=allowed,
        model=check.model,
        output_tokens_max=check.output_tokens_max or 0,
        estimated_nano_usd=check.estimated_nano_usd or 0,
        budgets=budgets(check.budgets),
        denial_reason=(
            errors_pb2.ERROR_REASON_UNSPECIFIED
            if allowed
            else errors_pb2.ErrorReason.Value(f"ERROR_REASON_{check.outcome.value}")
        ),
    )


def entry(value: LedgerEntry) -> entry_pb2.LedgerEntry:
    return entry_pb2.LedgerEntry(
        entry_id=str(value.entry_id),
        sequence=value.sequence,
        kind=_KINDS[value.kind],
        organization_id=str(value.organization_id),
        workflow_id=str(value.workflow_id),
        authorization_id=_id(value.authorization_id),
        idempotency_key=str(value.entry_id),
        requested_model=value.requested_model,
        granted_model=value.granted_model,
        served_model=value.served_model,
        usage=entry_pb2.Usage(
            input_tokens=value.usage.input_tokens,
            cached_input_tokens=value.usage.cached_input_tokens,
            cache_write_tokens=value.usage.cache_write_tokens,
            cache_write_1h_tokens=value.usage.cache_write_1h_tokens,
            output_tokens=value.usage.output_tokens,
            reasoning_tokens=value.usage.reasoning_tokens,
            requests=value.usage.requests,
            other_units=value.usage.other_units or None,
        ),
        cost_nano_usd=value.cost_nano_usd,
        rated_cost_nano_usd=value.rated_cost_nano_usd,
        provider_cost_nano_usd=value.provider_cost_nano_usd,
        provider_generation_id=value.provider_generation_id,
        held_nano_usd=value.held_nano_usd,
        overage_nano_usd=value.overage_nano_usd,
        price_id=_id(value.price_id),
        price_context=value.price_context or None,
        cost_basis=_COST_BASES[value.cost_basis or "UNSPECIFIED"],
        flags=[_FLAGS[flag] for flag in value.flags],
        labels=value.labels or None,
        period_start=_period_start(value.month),
        adjusts_entry_id=_id(value.adjusts_entry_id),
        reason=value.reason,
        author=value.author,
        create_time=timestamp(value.create_time),
    )


def settlement(value: Settlement, *, with_budgets: bool = True) -> governor_pb2.Settlement:
    return governor_pb2.Settlement(
        entry=entry(value.entry),
        released_nano_usd=value.entry.released_nano_usd,
        budgets=budgets(value.budgets) if with_budgets else (),
        replayed=value.replayed,
    )


@lru_cache(maxsize=1024)
def _period_start(month: date | None) -> Timestamp | None:
    """The first instant of a month, UTC."""
    return Timestamp(seconds=(month - _EPOCH.date()).days * 86_400) if month else None


def _id(value: UUID | None) -> str:
    return str(value) if value else ""
