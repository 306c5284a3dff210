"""Prices: what a usage costs, how much a call can cost at most, and how many tokens an amount pays for.

Decisions are made by the functions of the same names in `migrations/governor/functions/20_rating.sql`. The
functions here are a model of them, and a test compares the two.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

PRICE_NANO_USD_PER_MTOK_MAX = 10**13
"""10,000 USD for a million tokens."""
REQUEST_NANO_USD_MAX = 10**12
"""1,000 USD for a request."""
TOKENS_MAX = 10**9
REQUESTS_MAX = 10**6
OTHER_UNITS_MAX = 64
"""The most kinds of other units that a usage counts, or that a hold bounds."""
RATES_MAX = 100
"""The most rates of other units and of tiers that a price has."""

_TOKENS_PER_MTOK = 10**6


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What tokens and requests cost. A component that is None costs what its parent costs: input for cached
    input and cache writes, output for reasoning.

    Raises ValueError if a component is negative or above its bound, or if everything is free.
    """

    input_nano_usd_per_mtok: int
    output_nano_usd_per_mtok: int
    cached_input_nano_usd_per_mtok: int | None = None
    cache_write_nano_usd_per_mtok: int | None = None
    reasoning_nano_usd_per_mtok: int | None = None
    request_nano_usd: int = 0

    def __post_init__(self) -> None:
        for name, value in self.components():
            maximum = REQUEST_NANO_USD_MAX if name == "request_nano_usd" else PRICE_NANO_USD_PER_MTOK_MAX
            if value is not None and not 0 <= value <= maximum:
                raise ValueError(f"{name} must be between 0 and {maximum}")
        if not (self.input_nano_usd_per_mtok or self.output_nano_usd_per_mtok or self.request_nano_usd):
            raise ValueError("a price in which everything is free is no price")

    def components(self) -> Iterator[tuple[str, int | None]]:
        """Each component of the price with its name."""
        return ((field.name, getattr(self, field.name)) for field in fields(Rates))

    def costs_the_same_as(self, other: "Rates") -> bool:
        """Whether every usage costs the same: a component that is None equals its parent."""
        return self._filled() == other._filled()

    def _filled(self) -> tuple[int, ...]:
        return (
            self.input_nano_usd_per_mtok,
            _or_parent(self.cached_input_nano_usd_per_mtok, self.input_nano_usd_per_mtok),
            _or_parent(self.cache_write_nano_usd_per_mtok, self.input_nano_usd_per_mtok),
            self.output_nano_usd_per_mtok,
            _or_parent(self.reasoning_nano_usd_per_mtok, self.output_nano_usd_per_mtok),
            self.request_nano_usd,
        )

    @property
    def dearest_input_nano_usd_per_mtok(self) -> int:
        """The most that an input token can cost: read from a cache, written to one, or neither."""
        return max(
            self.input_nano_usd_per_mtok,
            self.cached_input_nano_usd_per_mtok or 0,
            self.cache_write_nano_usd_per_mtok or 0,
        )

    @property
    def dearest_output_nano_usd_per_mtok(self) -> int:
        """The most that an output token can cost, spent on reasoning or not."""
        return max(self.output_nano_usd_per_mtok, self.reasoning_nano_usd_per_mtok or 0)


@dataclass(frozen=True, kw_only=True)
class Price(Rates):
    """One version of a model's price, as the price book keeps it. It is never changed."""

    price_id: UUID
    model: str
    effective_time: datetime
    source: str
    author: str


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a call used. Cached and cache-write tokens are parts of the input tokens, reasoning tokens of the
    output tokens.

    Raises ValueError if a count is negative or above its bound, or if parts exceed their total.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    requests: int = 1

    def __post_init__(self) -> None:
        tokens = (
            self.input_tokens,
            self.output_tokens,
            self.cached_input_tokens,
            self.cache_write_tokens,
            self.reasoning_tokens,
        )
        if min(tokens) < 0 or max(tokens) > TOKENS_MAX:
            raise ValueError(f"each count of tokens must be between 0 and {TOKENS_MAX}")
        if not 0 <= self.requests <= REQUESTS_MAX:
            raise ValueError(f"requests must be between 0 and {REQUESTS_MAX}")
        if self.cached_input_tokens + self.cache_write_tokens > self.input_tokens:
            raise ValueError("cached_input_tokens and cache_write_tokens exceed input_tokens")
        if self.reasoning_tokens > self.output_tokens:
            raise ValueError("reasoning_tokens exceed output_tokens")


def rated_cost_nano_usd(price: Rates, usage: Usage) -> int:
    """Each token costs the price of its kind, and each request (0 count as 1) the request price.

    The sum over all tokens is divided by a million and rounded up once.
    """
    plain_input_tokens = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    plain_output_tokens = usage.output_tokens - usage.reasoning_tokens
    tokens_times_price = (
        plain_input_tokens * price.input_nano_usd_per_mtok
        + usage.cached_input_tokens
        * _or_parent(price.cached_input_nano_usd_per_mtok, price.input_nano_usd_per_mtok)
        + usage.cache_write_tokens
        * _or_parent(price.cache_write_nano_usd_per_mtok, price.input_nano_usd_per_mtok)
        + plain_output_tokens * price.output_nano_usd_per_mtok
        + usage.reasoning_tokens
        * _or_parent(price.reasoning_nano_usd_per_mtok, price.output_nano_usd_per_mtok)
    )
    return _per_mtok(tokens_times_price) + max(usage.requests, 1) * price.request_nano_usd


def hold_nano_usd(price: Rates, *, input_tokens_max: int, output_tokens_max: int, requests_max: int) -> int:
    """The most that a call within these bounds can cost: each token at the dearest price of its direction."""
    return (
        _per_mtok(
            input_tokens_max * price.dearest_input_nano_usd_per_mtok
            + output_tokens_max * price.dearest_output_nano_usd_per_mtok
        )
        + max(requests_max, 1) * price.request_nano_usd
    )


def output_tokens_that_fit(
    price: Rates,
    available_nano_usd: int,
    *,
    input_tokens_max: int,
    requests_max: int,
    output_tokens_max: int,
) -> int | None:
    """The greatest number of output tokens, up to `output_tokens_max`, whose hold fits the available amount.

    None if not even the input fits.
    """
    for_tokens_nano_usd = available_nano_usd - max(requests_max, 1) * price.request_nano_usd
    for_output = (
        for_tokens_nano_usd * _TOKENS_PER_MTOK - input_tokens_max * price.dearest_input_nano_usd_per_mtok
    )
    if for_output < 0:
        return None
    if price.dearest_output_nano_usd_per_mtok == 0:
        return output_tokens_max
    return min(output_tokens_max, for_output // price.dearest_output_nano_usd_per_mtok)


def _or_parent(component: int | None, parent: int) -> int:
    return parent if component is None else component


def _per_mtok(tokens_times_price: int) -> int:
    """Divides once, rounds up once."""
    return -(-tokens_times_price // _TOKENS_PER_MTOK)
