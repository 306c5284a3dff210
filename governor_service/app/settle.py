"""Settle: ends a hold with the actual usage of its call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from governor_service.domain import errors
from governor_service.domain.authorization import Ended, NotFound
from governor_service.domain.ledger import (
    CostTooLarge,
    SettleAnswer,
    Settlement,
    SettleRequest,
    TotalTooLarge,
)
from governor_service.store.holds import HoldStore


async def settle(holds: HoldStore, request: SettleRequest) -> Settlement:
    """Posts the entry, adds its cost to the budgets, ends the hold and releases the rest, atomically."""
    outcome = _outcome(await holds.settle(request))
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def settle_all(holds: HoldStore, requests: Sequence[SettleRequest]) -> list[Settlement | Exception]:
    """As `settle`, for each request, in their order. Each has its own settlement or failure."""
    return [_outcome(answer) for answer in await holds.settle_all(requests)]


def _outcome(answer: SettleAnswer | Exception) -> Settlement | Exception:
    match answer:
        case Settlement() | Exception():
            return answer
        case Ended():
            return errors.authorization_not_pending(answer)
        case NotFound():
            return errors.authorization_not_found()
        case CostTooLarge():
            return errors.cost_too_large()
        case TotalTooLarge():
            return errors.total_too_large("usage")
        case _:
            assert_never(answer)
