"""Authorize: may this call be made, and on which model?"""

from __future__ import annotations

from collections.abc import Sequence

from governor_service.domain import errors
from governor_service.domain.authorization import (
    AuthorizeAnswer,
    AuthorizeOutcome,
    Denial,
    Hold,
    HoldRequest,
)
from governor_service.store.holds import HoldStore
from service_chassis.refusal import Refusal


async def authorize(holds: HoldStore, request: HoldRequest) -> Hold:
    """Places a hold on every budget that applies, or raises why not; what it raises has changed nothing."""
    (outcome,) = await authorize_all(holds, [request])
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


async def authorize_all(holds: HoldStore, requests: Sequence[HoldRequest]) -> list[Hold | Refusal]:
    """As `authorize`, for each in the order sent; one's refusal is no other's."""
    return [_outcome(answer) for answer in await holds.authorize(requests)]


def _outcome(answer: AuthorizeAnswer) -> Hold | Refusal:
    if answer.denial:
        return _denied(answer.outcome, answer.denial)
    assert answer.hold is not None
    match answer.outcome:
        case AuthorizeOutcome.GRANTED | AuthorizeOutcome.REPLAYED:
            return answer.hold
        case AuthorizeOutcome.REQUEST_ID_REUSED:
            return errors.request_id_reused()
        case _:
            ended = answer.hold.authorization
            return errors.authorization_not_pending(ended.state, ended.authorization_id, ended.entry_id)


def _denied(outcome: AuthorizeOutcome, denial: Denial) -> Refusal:
    match outcome:
        case AuthorizeOutcome.MODEL_NOT_ALLOWED:
            return errors.model_not_allowed(denial.model)
        case AuthorizeOutcome.FROZEN:
            return errors.model_frozen(denial.model) if denial.model else errors.organization_frozen()
        case AuthorizeOutcome.ORGANIZATION_UNKNOWN:
            return errors.organization_unknown()
    if denial.requested_nano_usd is None:
        return errors.model_not_priced(denial.model)
    if outcome is AuthorizeOutcome.VALUE_TOO_LARGE:
        return errors.hold_too_large(denial.requested_nano_usd)
    return errors.budget_exceeded(denial.requested_nano_usd, denial.budgets)
