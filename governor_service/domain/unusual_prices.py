"""Prices that are probably mistyped: a rate per token where one per million was meant, or a shifted point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from governor_service.domain.pricing import Rates

UNUSUAL_RATIO = 10


def unusual_rates(price: Rates, known: Iterable[Rates | None]) -> Iterator[tuple[str, int, int]]:
    """The rates that are more than ten times dearer or cheaper than a known price of the same model.

    Each with its field or unit, its nano-USD and the known one's. A rate that only one of the two prices has
    is not compared.
    """
    rates = dict(_rates(price))
    for other in known:
        if other is None:
            continue
        for name, known_nano_usd in _rates(other):
            nano_usd = rates.get(name)
            if nano_usd is not None and (
                nano_usd > UNUSUAL_RATIO * known_nano_usd or known_nano_usd > UNUSUAL_RATIO * nano_usd
            ):
                yield name, nano_usd, known_nano_usd


def _rates(price: Rates) -> Iterator[tuple[str, int]]:
    for name, value in price.components():
        if value is not None:
            yield name, value
    for rate in price.rates:
        # For as many units as any rate is for.
        yield f"{rate.unit} above {rate.input_tokens_above}", rate.nano_usd * 10**9 // rate.per
