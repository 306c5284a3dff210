"""Prices that are probably mistyped: for a token instead of a million, or with a shifted point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from governor_service.domain.pricing import EXACT_PER, Rates
from governor_service.domain.rating import rated_cost_nano_usd
from governor_service.domain.usage import Usage

UNUSUAL_RATIO: Final = 10
ORDINARY_CALL: Final = Usage(input_tokens=2_000, output_tokens=1_000)


def unusual_rates(price: Rates, known: Iterable[Rates | None]) -> Iterator[str]:
    """What is more than ten times dearer or cheaper than in a known price of the same model.

    Each rate that both prices state, by its field or unit, and the cost of an ordinary call, "cost". A fee
    that is free in one of the two counts in the cost alone, since fees come and go.
    """
    rates = dict(_rates(price))
    for other in known:
        if other is not None:
            for name, known_nano_usd in _rates(other):
                if name in rates and _is_unusual(rates[name], known_nano_usd):
                    yield name


def _is_unusual(nano_usd: int, known_nano_usd: int) -> bool:
    return nano_usd > UNUSUAL_RATIO * known_nano_usd or known_nano_usd > UNUSUAL_RATIO * nano_usd


def _rates(price: Rates) -> Iterator[tuple[str, int]]:
    for name, value in price.components():
        if value is not None and (value or name != "request_nano_usd"):
            yield name, value
    for rate in price.rates:
        if rate.nano_usd:
            yield f"{rate.unit} above {rate.input_tokens_above}", rate.nano_usd * (EXACT_PER // rate.per)
    yield "cost", rated_cost_nano_usd(price, ORDINARY_CALL)
