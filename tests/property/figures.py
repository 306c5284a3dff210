"""Random figures: tokens, usages, rates, and the variants of prices."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TypeVar

from governor_service.domain.pricing import Rate, Rates
from governor_service.domain.usage import TOKENS_MAX, Usage
from tests.property.operations import Call, Context

T = TypeVar("T")

_MILLION = 10**6
_TOKENS = (1, 7, 1000, 1000, 1000, 20_000, 20_000, 50_000, 50_000, 400_000)
_RATES = (1, 333_333_333, 150 * _MILLION, 600 * _MILLION, 10**9, 2 * 10**9)
# A tier begins where calls often end, and between.
_TIERS = (999, 1000, 20_000, 49_999)
_BATCH, _LARGE_BATCH = (("processing", "batch"),), (("processing", "batch"), ("size", "large"))

PRICED_CONTEXTS: tuple[Context, ...] = (_BATCH, _LARGE_BATCH)
"""The variants that prices are entered for. Of any two that apply to a call, one contains the other."""
CONTEXTS: tuple[Context, ...] = ((), (), (), _BATCH, _LARGE_BATCH, (("processing", "priority"),))
"""The variants that calls ask for."""
BASES = ("GREATER", "PROVIDER", "RATED")


class Figures:
    """Chooses figures at random."""

    def __init__(self, dice: random.Random) -> None:
        self.random = dice

    def one_of(self, *choices: T) -> T:
        return self.random.choice(choices)

    def rarely(self) -> bool:
        return self.random.randrange(16) == 0

    def tokens(self) -> int:
        return self.one_of(*_TOKENS) if not self.rarely() else TOKENS_MAX

    def rates(self) -> Rates:
        """Most are plain. Tiers and other units state only what differs from the tier below."""
        figures = (*_RATES, 10**13) if self.rarely() else _RATES
        parts = (None, *figures)
        plain = Rates(
            input_nano_usd_per_mtok=self.one_of(*figures),
            cached_input_nano_usd_per_mtok=self.one_of(*parts),
            cache_write_nano_usd_per_mtok=self.one_of(*parts),
            output_nano_usd_per_mtok=self.one_of(*figures),
            reasoning_nano_usd_per_mtok=self.one_of(*parts),
            request_nano_usd=self.one_of(0, 0, 5 * _MILLION, 12 * _MILLION),
        )
        if self.one_of(True, False):
            return plain
        stated = {}
        units = self.one_of((), ("web_searches",), ("cache_write_1h_tokens",), ("web_searches", *_AUDIO))
        for unit in units:
            stated[0, unit] = self.one_of(*figures)
        for above in self.random.sample(_TIERS, self.one_of(0, 1, 1, 2)):
            for unit in self.one_of(("input_tokens",), ("input_tokens", "output_tokens", *units)):
                stated[above, unit] = self.one_of(*figures)
        return _with_rates(plain, stated)

    def any_usage(self) -> Usage:
        input_tokens, output_tokens = (self.tokens() * self.one_of(0, 1, 1, 1, 1) for _ in range(2))
        cached = self.one_of(0, input_tokens // 3, input_tokens)
        written = self.one_of(0, input_tokens - cached)
        others = {"web_searches": self.one_of(0, 0, 1, 5)}
        if self.one_of(True, False, False):
            others["input_audio_tokens"] = (input_tokens - cached - written) // 2
        return Usage(
            input_tokens=input_tokens,
            cached_input_tokens=cached,
            cache_write_tokens=written,
            cache_write_1h_tokens=self.one_of(0, 0, written // 2, written),
            output_tokens=output_tokens,
            reasoning_tokens=self.one_of(0, output_tokens // 2, output_tokens),
            requests=self.one_of(0, 1, 1, 3),
            other_units={unit: count for unit, count in others.items() if count},
        )

    def usage_within(self, call: Call, output_tokens: int) -> Usage:
        """All of what a call may use, or a part of it."""
        requests = call.requests or 1
        written = min(call.input_tokens, call.cache_write_max or 0)
        return self.one_of(
            Usage(
                input_tokens=call.input_tokens,
                cache_write_tokens=written,
                cache_write_1h_tokens=min(written, call.cache_write_1h_max or 0),
                output_tokens=output_tokens,
                reasoning_tokens=output_tokens,
                requests=requests,
                other_units={unit: most for unit, most in call.others_max if unit == "web_searches"},
            ),
            Usage(input_tokens=call.input_tokens // 3, output_tokens=output_tokens // 3),
            Usage(
                input_tokens=call.input_tokens // 2,
                cached_input_tokens=call.input_tokens // 4,
                output_tokens=output_tokens // 2,
            ),
        )


_AUDIO = ("input_audio_tokens", "cache_audio_read_tokens", "cache_audio_write_tokens")
"""Audio, with what it shares with cached input and with cache writes."""


def _with_rates(plain: Rates, stated: dict[tuple[int, str], int]) -> Rates:
    """The price with those of the rates that differ from what is in force in the tier below."""
    in_force: dict[str, int | None] = {
        "input_tokens": plain.input_nano_usd_per_mtok,
        "output_tokens": plain.output_nano_usd_per_mtok,
    }
    rates = []
    for (above, unit), nano_usd in sorted(stated.items()):
        if in_force.get(unit) != nano_usd:
            in_force[unit] = nano_usd
            per = 1000 if unit == "web_searches" else _MILLION
            rates.append(Rate(unit=unit, per=per, nano_usd=nano_usd, input_tokens_above=above))
    return replace(plain, rates=tuple(rates))
