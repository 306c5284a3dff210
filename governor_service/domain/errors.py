"""The governor's refusals. Their reasons are those of infin8.governor.v1.ErrorReason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from governor_service.domain.authorization import BudgetExceeded, Ended
from governor_service.domain.budgets import BudgetPeriod, BudgetStatus, binding
from governor_service.domain.money import BUDGET_TOTAL_NANO_USD_MAX, ENTRY_COST_NANO_USD_MAX
from service_chassis.refusal import QuotaViolation, Refusal, too_large


def authorization_not_found() -> Refusal:
    """The text does not reveal whether it belongs to another organization."""
    return Refusal("AUTHORIZATION_NOT_FOUND", "the organization has no such authorization")


def authorization_not_pending(ended: Ended) -> Refusal:
    """The hold has already ended."""
    metadata = {"state": ended.state.value, "authorization_id": str(ended.authorization_id)}
    if ended.entry_id is not None:
        metadata["entry_id"] = str(ended.entry_id)
    return Refusal(
        "AUTHORIZATION_NOT_PENDING", f"the authorization is {ended.state.value}", metadata=metadata
    )


def budget_not_found() -> Refusal:
    """No budget has been set for the label."""
    return Refusal("BUDGET_NOT_FOUND", "the organization has no such budget")


def entry_not_found() -> Refusal:
    """The text does not reveal whether it belongs to another organization."""
    return Refusal("ENTRY_NOT_FOUND", "the organization has no such entry")


def request_id_reused() -> Refusal:
    """The id was used for another request."""
    return Refusal("REQUEST_ID_REUSED", "request_id was used before, with other content")


def model_not_priced(model: str) -> Refusal:
    """A model without a price is not free: it is refused."""
    return Refusal("MODEL_NOT_PRICED", f"the price book has no price for {model}", metadata={"model": model})


def model_not_allowed(model: str) -> Refusal:
    """It is not among the tier's allowed_models."""
    return Refusal(
        "MODEL_NOT_ALLOWED", f"the organization's tier does not allow {model}", metadata={"model": model}
    )


def model_frozen(model: str) -> Refusal:
    """The history of freezes has the reason and the author."""
    return Refusal("FROZEN", f"{model} is frozen until its freeze is lifted", metadata={"model": model})


def organization_frozen() -> Refusal:
    """The organization is frozen, or everything is."""
    return Refusal("FROZEN", "nothing is authorized for the organization until its freeze is lifted")


def organization_unknown() -> Refusal:
    """Nobody has set it up, and GOVERNOR_UNKNOWN_ORGANIZATIONS is `deny`."""
    return Refusal("ORGANIZATION_UNKNOWN", "nobody has set this organization up")


def tier_not_found(tier: str) -> Refusal:
    """SetTier creates tiers."""
    return Refusal("TIER_NOT_FOUND", f"there is no tier {tier}")


def cost_too_large() -> Refusal:
    """The usage costs more than one entry may."""
    return too_large("usage", f"costs more than one entry may, {ENTRY_COST_NANO_USD_MAX} nano-USD")


def total_too_large(field: str) -> Refusal:
    """The amount would take a budget beyond its bound."""
    return too_large(field, f"would take a budget above {BUDGET_TOTAL_NANO_USD_MAX} nano-USD, its bound")


def hold_too_large(requested_nano_usd: int) -> Refusal:
    """No limit denies the hold, but it exceeds the bound of an entry or of a budget's total."""
    if requested_nano_usd > ENTRY_COST_NANO_USD_MAX:
        return too_large(
            "input_tokens_max",
            f"the tokens ask for a hold of {requested_nano_usd} nano-USD, and one call may cost "
            f"{ENTRY_COST_NANO_USD_MAX}",
        )
    return total_too_large("input_tokens_max")


def budget_exceeded(denied: BudgetExceeded) -> Refusal:
    """Lists each budget that denied, the tightest first. The metadata describes the tightest.

    If all of them begin anew within a day, it says how long that takes.
    """
    requested_nano_usd = denied.requested_nano_usd
    denying = sorted(
        (budget for budget in denied.budgets if budget.denies(requested_nano_usd)),
        key=lambda budget: budget.available_nano_usd,
    )
    tightest = denying[0] if denying else binding(denied.budgets)
    metadata = {"requested_nano_usd": str(requested_nano_usd)}
    if tightest is None or tightest.limit_nano_usd is None:
        message = f"a hold of {requested_nano_usd} nano-USD is more than one call may cost"
    else:
        metadata |= {
            "scope": tightest.name.scope.value,
            "subject": tightest.name.subject,
            "period": tightest.name.period.value,
            "limit_nano_usd": str(tightest.limit_nano_usd),
            "spent_nano_usd": str(tightest.spent_nano_usd),
            "held_nano_usd": str(tightest.held_nano_usd),
        }
        message = (
            f"a hold of {requested_nano_usd} nano-USD does not fit the {tightest.name.scope.value} budget "
            f"({tightest.name.period.value}): "
            f"{tightest.available_nano_usd} of {tightest.limit_nano_usd} are available"
        )
    return Refusal(
        "BUDGET_EXCEEDED",
        message,
        metadata=metadata,
        quotas=[
            QuotaViolation(
                f"{budget.name.scope.value}:{budget.name.subject}".removesuffix(":"),
                f"limit {budget.limit_nano_usd}, spent {budget.spent_nano_usd}, held {budget.held_nano_usd} "
                f"nano-USD; requested {requested_nano_usd}",
            )
            for budget in denying
        ],
        retry_after_seconds=_seconds_until_all_begin_anew(denying, denied.decided_time),
    )


def _seconds_until_all_begin_anew(denying: Sequence[BudgetStatus], now: datetime) -> float | None:
    """None if there is a budget among them that does not begin anew within a day."""
    ends = [
        budget.name.period.end_of(budget.name.start)
        for budget in denying
        if budget.name.start is not None and budget.name.period in (BudgetPeriod.DAY, BudgetPeriod.HOUR)
    ]
    if not ends or len(ends) < len(denying):
        return None
    return max(0.0, (max(ends) - now).total_seconds())
