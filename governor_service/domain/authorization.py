"""Holds: the request before a model call, and its possible answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID, uuid5

from governor_service.domain.budgets import BudgetStatus
from governor_service.domain.model_id import ModelId, general_names
from governor_service.domain.pricing import Price
from service_chassis.content_hash import content_hash, counts_content, labels_content

CANDIDATES_MAX = 10
HOLD_DURATION_DEFAULT = timedelta(minutes=10)
HOLD_DURATION_MAX = timedelta(hours=24)


_NAMESPACE = UUID("a3f0c4de-52b1-5c39-9d0e-7b8f1e2d6c45")


def authorization_id_of(request_id: UUID) -> UUID:
    """The id of the hold that belongs to a request_id, within its organization, placed or not."""
    return uuid5(_NAMESPACE, str(request_id))


class AuthorizationState(StrEnum):
    """The state of a hold. SUSPENSE is PENDING past its expire_time."""

    PENDING = "PENDING"
    SUSPENSE = "SUSPENSE"
    SETTLED = "SETTLED"
    VOIDED = "VOIDED"
    EXPIRED = "EXPIRED"


class ExpiryAction(StrEnum):
    """What the sweeper does with a hold that nobody ended."""

    RELEASE = "RELEASE"
    CHARGE = "CHARGE"


class AuthorizeOutcome(StrEnum):
    """How the database answers a request for a hold (migrations/governor/functions/40_authorize.sql)."""

    GRANTED = "GRANTED"
    REPLAYED = "REPLAYED"
    AUTHORIZATION_NOT_PENDING = "AUTHORIZATION_NOT_PENDING"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    BUDGET_EXCEEDED = "BUDGET_EXCEEDED"
    VALUE_TOO_LARGE = "VALUE_TOO_LARGE"
    MODEL_NOT_ALLOWED = "MODEL_NOT_ALLOWED"
    MODEL_NOT_PRICED = "MODEL_NOT_PRICED"
    FROZEN = "FROZEN"
    ORGANIZATION_UNKNOWN = "ORGANIZATION_UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCall:
    """A planned model call and its bounds.

    `models` are in order of preference; token bounds are totals over all requests. `output_tokens_min` None:
    the hold is placed for all output tokens or not at all. Cache writes whose bound is None are bounded by
    the input tokens; other units without a bound are not used. `price_context` selects a variant of the
    price.
    """

    organization_id: UUID
    workflow_id: UUID
    models: tuple[ModelId, ...]
    input_tokens_max: int
    output_tokens_max: int
    output_tokens_min: int | None
    requests_max: int
    cache_write_tokens_max: int | None
    cache_write_1h_tokens_max: int | None
    other_units_max: Mapping[str, int]
    price_context: Mapping[str, str]
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRequest:
    """A request for a hold."""

    request_id: UUID
    call: PlannedCall
    hold_duration: timedelta
    on_expiry: ExpiryAction

    @property
    def organization_id(self) -> UUID:
        return self.call.organization_id

    @property
    def authorization_id(self) -> UUID:
        return authorization_id_of(self.request_id)

    @property
    def content_hash(self) -> bytes:
        """Distinguishes a replay of `request_id` from a reuse with other content."""
        call = self.call
        return content_hash(
            workflow_id=call.workflow_id,
            models="\n".join(general_names(call.models)),
            input_tokens_max=call.input_tokens_max,
            output_tokens_max=call.output_tokens_max,
            # A minimum that equals the maximum means the same as no minimum.
            output_tokens_min=call.output_tokens_min or call.output_tokens_max,
            requests_max=call.requests_max,
            hold_duration=self.hold_duration.total_seconds(),
            on_expiry=self.on_expiry,
            labels=labels_content(call.labels),
            cache_write_tokens_max=call.cache_write_tokens_max,
            cache_write_1h_tokens_max=call.cache_write_1h_tokens_max,
            other_units_max=counts_content(call.other_units_max) if call.other_units_max else None,
            price_context=labels_content(call.price_context) if call.price_context else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """A hold. `month` is the first day of the UTC month in which it counts.

    If it was voided before it was ever authorized, its figures are 0, empty or None.
    """

    organization_id: UUID
    authorization_id: UUID
    request_id: UUID
    workflow_id: UUID | None
    state: AuthorizationState
    model: str
    input_tokens_max: int
    output_tokens_max: int
    requests_max: int
    cache_write_tokens_max: int | None
    cache_write_1h_tokens_max: int | None
    other_units_max: Mapping[str, int]
    price_context: Mapping[str, str]
    held_nano_usd: int
    price: Price | None
    downgrade_reason: str | None
    on_expiry: ExpiryAction | None
    labels: Mapping[str, str]
    month: date | None
    create_time: datetime
    expire_time: datetime
    entry_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationFilter:
    """Which of an organization's holds to list. A field that is None does not narrow."""

    organization_id: UUID
    state: AuthorizationState | None
    workflow_id: UUID | None
    created_before: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """An authorization, and its budgets with their figures at the time of this answer."""

    authorization: Authorization
    budgets: tuple[BudgetStatus, ...]
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """The authorization is no longer PENDING. `entry_id` is its ledger entry if it was settled."""

    state: AuthorizationState
    authorization_id: UUID
    entry_id: UUID | None


@dataclass(frozen=True, slots=True)
class NotFound:
    """The organization has no such authorization."""


@dataclass(frozen=True, slots=True)
class RequestIdReused:
    """The request_id was used before, with other content."""


@dataclass(frozen=True, slots=True)
class BudgetExceeded:
    """No candidate fits the budgets. `requested_nano_usd` is the hold of the cheapest candidate."""

    requested_nano_usd: int
    budgets: tuple[BudgetStatus, ...]
    decided_time: datetime


@dataclass(frozen=True, slots=True)
class HoldTooLarge:
    """No limit denies the hold, but it exceeds the bound of an entry or of a budget's total."""

    requested_nano_usd: int


@dataclass(frozen=True, slots=True)
class ModelNotAllowed:
    """The organization's tier does not allow the first candidate."""

    model: str


@dataclass(frozen=True, slots=True)
class ModelNotPriced:
    """The price book has no price for the first candidate."""

    model: str


@dataclass(frozen=True, slots=True)
class ModelFrozen:
    """The first candidate is frozen."""

    model: str


@dataclass(frozen=True, slots=True)
class OrganizationFrozen:
    """The organization is frozen, or all organizations are."""


@dataclass(frozen=True, slots=True)
class OrganizationUnknown:
    """The organization was not set up, and the governor denies such organizations."""


Denied: TypeAlias = (
    BudgetExceeded
    | HoldTooLarge
    | ModelNotAllowed
    | ModelNotPriced
    | ModelFrozen
    | OrganizationFrozen
    | OrganizationUnknown
)
"""Why no hold was placed."""

AuthorizeAnswer: TypeAlias = Hold | Ended | RequestIdReused | Denied
"""A hold that was placed now or, if it is `replayed`, earlier; or why there is no hold to spend."""

VoidAnswer: TypeAlias = Hold | Ended | NotFound
"""The authorization as it is after a Void, or why it could not be voided."""


@dataclass(frozen=True, slots=True)
class NotLater:
    """The expire_time is earlier than the present one, or not after now."""


@dataclass(frozen=True, slots=True)
class TooLate:
    """The expire_time is further away than a hold may last."""


ExtendAnswer: TypeAlias = Hold | Ended | NotFound | NotLater | TooLate
"""The authorization with its new expire_time, or why it keeps the present one."""


@dataclass(frozen=True, slots=True)
class HoldTarget:
    """The hold that a call names. `request_id` is None if the call named it by its authorization_id."""

    organization_id: UUID
    authorization_id: UUID
    request_id: UUID | None


@dataclass(frozen=True, slots=True)
class Extension:
    """A later expire_time for a hold."""

    organization_id: UUID
    authorization_id: UUID
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class Swept:
    """How many holds the sweeper released, and how many it charged."""

    released_holds: int
    charged_holds: int

    def __add__(self, other: Swept) -> Swept:
        return Swept(self.released_holds + other.released_holds, self.charged_holds + other.charged_holds)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetCheck:
    """The answer that Authorize would give now."""

    outcome: AuthorizeOutcome
    model: str
    output_tokens_max: int | None
    estimated_nano_usd: int | None
    budgets: tuple[BudgetStatus, ...]
