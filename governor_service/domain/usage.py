"""What a call used."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from governor_service.domain.usage_units import (
    CACHE_READ_TOKENS,
    CACHE_WRITE_1H_TOKENS,
    CACHE_WRITE_TOKENS,
    COUNTED_UNITS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    REASONING_TOKENS,
    REQUESTS,
    UNITS,
    wholes_of,
)

TOKENS_MAX = 10**9
REQUESTS_MAX = 10**6
OTHER_COUNT_MAX = 10**6
"""The most of any unit other than tokens: searches, seconds, pages."""


def count_max(unit: str) -> int:
    """The most that a usage may count of one of the other units."""
    return TOKENS_MAX if unit.endswith("_tokens") else OTHER_COUNT_MAX


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Cached and cache-write tokens are parts of the input tokens, one-hour cache writes of the cache-write
    tokens, reasoning tokens of the output tokens. `other_units` are counted by genai-prices' usage keys.

    Raises ValueError if a count is negative or above its bound, if a unit is unknown, or if parts exceed
    their whole.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    requests: int = 1
    other_units: Mapping[str, int] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        tokens = (
            self.input_tokens,
            self.output_tokens,
            self.cached_input_tokens,
            self.cache_write_tokens,
            self.cache_write_1h_tokens,
            self.reasoning_tokens,
        )
        if min(tokens) < 0 or max(tokens) > TOKENS_MAX:
            raise ValueError(f"each count of tokens must be between 0 and {TOKENS_MAX}")
        if not 0 <= self.requests <= REQUESTS_MAX:
            raise ValueError(f"requests must be between 0 and {REQUESTS_MAX}")
        if self.cached_input_tokens + self.cache_write_tokens > self.input_tokens:
            raise ValueError("cached_input_tokens and cache_write_tokens exceed input_tokens")
        if self.cache_write_1h_tokens > self.cache_write_tokens:
            raise ValueError("cache_write_1h_tokens exceed cache_write_tokens")
        if self.reasoning_tokens > self.output_tokens:
            raise ValueError("reasoning_tokens exceed output_tokens")
        if self.other_units:
            check_other_units(self.other_units)
            self._check_parts()

    def counts(self) -> dict[str, int]:
        """The counts by unit."""
        return {
            INPUT_TOKENS: self.input_tokens,
            CACHE_READ_TOKENS: self.cached_input_tokens,
            CACHE_WRITE_TOKENS: self.cache_write_tokens,
            CACHE_WRITE_1H_TOKENS: self.cache_write_1h_tokens,
            OUTPUT_TOKENS: self.output_tokens,
            REASONING_TOKENS: self.reasoning_tokens,
            REQUESTS: self.requests,
            **self.other_units,
        }

    def _check_parts(self) -> None:
        """Takes the parts out of every used unit and its wholes, the smallest first. Nothing may be below
        zero."""
        counts = {unit: count for unit, count in self.counts().items() if count}
        for unit in list(counts):
            for whole in wholes_of(unit):
                counts.setdefault(whole, 0)
        alone: dict[str, int] = {}
        for unit in sorted(counts, key=lambda name: -len(UNITS[name].dimensions)):
            parts = [part for part in alone if unit in wholes_of(part)]
            alone[unit] = counts[unit] - sum(alone[part] for part in parts)
            if alone[unit] < 0:
                named = ", ".join(sorted(part for part in parts if alone[part]))
                raise ValueError(f"{named} exceed {unit}")


def check_other_units(counts: Mapping[str, int]) -> None:
    """Raises ValueError for a unit that is unknown or has a field of its own, and for a count out of
    bounds."""
    for unit, count in counts.items():
        if unit not in UNITS or unit in COUNTED_UNITS:
            raise ValueError(f"{unit} is none of the other units")
        if not 0 <= count <= count_max(unit):
            raise ValueError(f"{unit} must be between 0 and {count_max(unit)}")
