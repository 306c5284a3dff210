"""Settle: ends a hold with what its call really used."""

from __future__ import annotations

from collections.abc import Sequence

from governor_service.domain import errors
from governor_service.domain.ledger import SettleAnswer, Settlement, SettleOutcome, SettleRequest
from governor_service.store.holds import HoldStore
from service_chassis.refusal import Refusal


async def settle(holds: HoldStore, request: SettleRequest) -> Settlement:
    """Posts what the call really used: one entry, spend up, hold gone, remainder released, together."""
    (outcome,) = await settle_all(holds, [request])
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


async def settle_all(holds: HoldStore, requests: Sequence[SettleRequest]) -> list[Settlement | Refusal]:
    """As `settle`, for each in the order sent; one's refusal is no other's."""
    answers = await holds.settle(requests)
    return [_outcome(request, answer) for request, answer in zip(requests, answers, strict=True)]


def _outcome(request: SettleRequest, answer: SettleAnswer) -> Settlement | Refusal:
    match answer.outcome:
        case SettleOutcome.SETTLED | SettleOutcome.REPLAYED:
            assert answer.entry is not None
            replayed = answer.outcome is SettleOutcome.REPLAYED
            return Settlement(entry=answer.entry, budgets=answer.budgets, replayed=replayed)
        case SettleOutcome.AUTHORIZATION_NOT_FOUND:
            return errors.authorization_not_found()
        case SettleOutcome.COST_TOO_LARGE:
            return errors.cost_too_large()
        case SettleOutcome.TOTAL_TOO_LARGE:
            return errors.total_too_large("usage")
        case SettleOutcome.AUTHORIZATION_NOT_PENDING:
            assert answer.hold_state is not None
            entry_id = answer.entry.entry_id if answer.entry else None
            return errors.authorization_not_pending(answer.hold_state, request.authorization_id, entry_id)
