"""The request and the outcome of a model call. Money is in integers, and text is bounded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from workflow_service.domain.error_class import ErrorClass

TOKENS_MAX: Final = 10**9
"""A larger token count is an error of the provider. It is the governor's bound, too."""
UNITS_MAX: Final = 10**6
"""The same for units that are not tokens: searches, executions."""
PROVIDER_COST_MAX_NANO_USD: Final = 10**13
"""10,000 USD. A larger cost of one call is an error of the provider."""

_CUT_OFF: Final = frozenset({"length", "max_tokens"})


@dataclass(frozen=True, slots=True)
class MaxPrice:
    """The prices of the authorization. OpenRouter must not choose a provider that asks for more."""

    input_nano_usd_per_mtok: int
    output_nano_usd_per_mtok: int
    request_nano_usd: int


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    model: str
    messages: Sequence[Mapping[str, str]] = field(repr=False)
    max_tokens: int
    """Exactly what the governor granted."""
    max_price: MaxPrice
    temperature: float = 0.3
    response_format: Mapping[str, Any] | None = field(default=None, repr=False)
    user: str | None = None
    """A stable id for the provider's abuse detection; never a name."""


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Plausible counts: none is negative or above TOKENS_MAX, and no part is above its total.

    All are 0 if the provider says that it billed nothing.
    """

    input_tokens: int
    """All input tokens, including cached and cache-write ones."""
    output_tokens: int
    """All output tokens, including reasoning."""
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_1h_tokens: int = 0
    """Part of `cache_write_tokens`: those that are kept for an hour, and cost more."""
    other_units: Mapping[str, int] = field(default_factory=dict)
    """What else is billed, by genai-prices' usage keys: `web_searches`, `input_audio_tokens`. None is 0."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer of a model. Its text has not been parsed."""

    text: str = field(repr=False)
    """It can be stored: it has no NUL and no lone surrogates. It may be empty."""
    generation_id: str | None
    served_model: str
    """The provider's own name, not normalized; the requested model if the provider gives no name."""
    usage: TokenUsage | None
    """None if the provider reported nothing plausible."""
    provider_cost_nano_usd: int | None
    """Rounded up. None if the provider reported nothing plausible."""
    finish_reason: str | None

    @property
    def is_cut_off(self) -> bool:
        """The output tokens were used up before the model came to an end."""
        return is_cut_off(self.finish_reason)


def is_cut_off(finish_reason: str | None) -> bool:
    return finish_reason is not None and finish_reason.lower() in _CUT_OFF


@dataclass(frozen=True, slots=True)
class GenerationRecord:
    """The provider's own record of a call. It settles a call whose answer was lost."""

    generation_id: str
    served_model: str | None
    usage: TokenUsage | None
    provider_cost_nano_usd: int | None


class ChargeKind(StrEnum):
    NOT_CHARGED = "NOT_CHARGED"
    """The request was not sent, or was refused without charge: the hold may be voided."""
    UNKNOWN = "UNKNOWN"
    """The cost is not known: settle from the provider's record, or else as unknown."""
    USED = "USED"
    """The failure reported its usage: settle with it."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What a failed call may have cost."""

    kind: ChargeKind
    usage: TokenUsage | None = None
    """Set if and only if `kind` is USED."""
    provider_cost_nano_usd: int | None = None
    served_model: str | None = None
    generation_id: str | None = None


NOT_CHARGED: Final = Charge(ChargeKind.NOT_CHARGED)
UNKNOWN: Final = Charge(ChargeKind.UNKNOWN)


class ModelCallFailed(Exception):  # noqa: N818 - an outcome that callers match on, not a bug
    """A model call without a usable answer. The text is for people, and has no key and no prompt."""

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
        """The provider's own figure, without a bound. For a 402 only if calls in flight hold the credit."""
