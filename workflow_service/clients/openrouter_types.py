"""What goes into a model call and what comes out of it, in our words: integers for money, bounded text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from workflow_service.domain.error_class import ErrorClass

TOKENS_MAX: Final = 10**9
"""A token count above this is no usage but a fault; the governor's own bound."""
PROVIDER_COST_MAX_NANO_USD: Final = 10**13
"""10,000 USD: a cost above this is no cost of one call but a fault."""


@dataclass(frozen=True, slots=True)
class MaxPrice:
    """The prices of the authorization: a provider that asks more is not to be chosen."""

    input_nano_usd_per_mtok: int
    output_nano_usd_per_mtok: int
    request_nano_usd: int


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    model: str
    messages: Sequence[Mapping[str, str]] = field(repr=False)
    max_tokens: int
    """Exactly as granted."""
    max_price: MaxPrice
    temperature: float = 0.3
    response_format: Mapping[str, Any] | None = field(default=None, repr=False)
    user: str | None = None
    """A stable id of the end user for the provider's abuse detection; never a name."""


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Counts that can be true: none negative, none above TOKENS_MAX, no part above its total."""

    input_tokens: int
    """All of them, cached and cache-write ones included."""
    output_tokens: int
    """All of them, reasoning included."""
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer of a model. What its text says has not been looked at."""

    text: str = field(repr=False)
    """Without NUL and lone surrogates, so that it can be stored; may be empty."""
    generation_id: str | None
    served_model: str
    """As the provider names it, not normalized; the model asked for where the provider does not say."""
    usage: TokenUsage | None
    """None where the provider said nothing believable."""
    provider_cost_nano_usd: int | None
    """Rounded up; None where the provider said nothing believable."""
    finish_reason: str | None


@dataclass(frozen=True, slots=True)
class GenerationRecord:
    """The provider's own record of a call, for settling one whose answer was lost."""

    generation_id: str
    served_model: str | None
    usage: TokenUsage | None
    provider_cost_nano_usd: int | None


class ChargeKind(StrEnum):
    NOT_CHARGED = "NOT_CHARGED"
    """The request was not sent, or was refused without charge: the hold may be voided."""
    UNKNOWN = "UNKNOWN"
    """It may have cost something, nobody said what: settle from the provider's record, else as unknown."""
    USED = "USED"
    """The failed call came with its usage: settle with it."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What money a failed call may have cost."""

    kind: ChargeKind
    usage: TokenUsage | None = None
    """Set if and only if `kind` is USED."""
    provider_cost_nano_usd: int | None = None
    served_model: str | None = None
    generation_id: str | None = None


NOT_CHARGED: Final = Charge(ChargeKind.NOT_CHARGED)
UNKNOWN: Final = Charge(ChargeKind.UNKNOWN)


class ModelCallFailed(Exception):  # noqa: N818 - an outcome that callers match on, not a bug
    """A model call that gave no answer to use. The text is for people and bears no key and no prompt."""

    def __init__(
        self,
        error_class: ErrorClass,
        message: str,
        *,
        charge: Charge,
        http_status: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.message = message
        self.charge = charge
        self.http_status = http_status
        self.retry_after_seconds = retry_after_seconds
        """As the provider asked, not bounded; for a 402 only where calls in flight hold the credit."""
