"""Authorize: decides whether a call may be made, and with which model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from governor_service.domain import errors
from governor_service.domain.authorization import (
    AuthorizeAnswer,
    BudgetExceeded,
    Ended,
    Hold,
    HoldRequest,
    HoldTooLarge,
    ModelFrozen,
    ModelNotAllowed,
    ModelNotPriced,
    OrganizationFrozen,
    OrganizationUnknown,
    RequestIdReused,
)
from governor_service.store.holds import HoldStore


async def authorize(holds: HoldStore, request: HoldRequest) -> Hold:
    """Places a hold on every budget that applies, or raises the reason. If it raises, nothing has changed."""
    outcome = _outcome(await holds.authorize(request))
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def authorize_all(holds: HoldStore, requests: Sequence[HoldRequest]) -> list[Hold | Exception]:
    """As `authorize`, for each request, in their order. Each has its own hold or failure."""
    return [_outcome(answer) for answer in await holds.authorize_all(requests)]


def _outcome(answer: AuthorizeAnswer | Exception) -> Hold | Exception:
    match answer:
        case Hold() | Exception():
            return answer
        case Ended():
            return errors.authorization_not_pending(answer)
        case RequestIdReused():
            return errors.request_id_reused()
        case BudgetExceeded():
            return errors.budget_exceeded(answer)
        case HoldTooLarge():
            return errors.hold_too_large(answer.requested_nano_usd)
        case ModelNotAllowed():
            return errors.model_not_allowed(answer.model)
        case ModelNotPriced():
            return errors.model_not_priced(answer.model)
        case ModelFrozen():
            return errors.model_frozen(answer.model)
        case OrganizationFrozen():
            return errors.organization_frozen()
        case OrganizationUnknown():
            return errors.organization_unknown()
        case _:
            assert_never(answer)
