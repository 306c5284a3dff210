"""The figures to reach, and how each is computed from the loads of one round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.samples import Sample

PEER_PAIRS_PER_SECOND = 70
"""The rate of Tollgate with one process, on a similar machine and an equally durable PostgreSQL."""

Round = Mapping[str, Sample]
"""One sample of each load, by its name."""


@dataclass(frozen=True)
class Measure:
    """A figure to reach. It is computed for each round, and the median counts."""

    what: str
    loads: tuple[str, ...]
    value: Callable[[Round], float]
    at_least: float
    hoped_for: float
    unit: str = ""
    is_ceiling: bool = False
    """Less is better: `at_least` is then an upper bound."""

    def of(self, rounds: Sequence[Round]) -> float | None:
        """The median; None if one of its loads was not measured."""
        values = [self.value(each) for each in rounds if all(load in each for load in self.loads)]
        return median(values) if values else None

    def reaches(self, value: float, bound: float) -> bool:
        """Whether a value is at or on the better side of a bound."""
        return value <= bound if self.is_ceiling else value >= bound


def _over(load: str, other: str) -> Callable[[Round], float]:
    return lambda each: each[load].pairs_per_second / each[other].pairs_per_second


def _known(figure: float | None) -> float:
    assert figure is not None
    return figure


# A pair is two calls; a pair of the echo server is two echoes.
MEASURES: Mapping[str, Measure] = {
    "P1": Measure(
        "unary pairs/s, 200 organizations × 50 workflows, over pairs of bare echoes/s",
        *(("spread", "echo"), _over("spread", "echo"), 0.5, 0.8),
    ),
    "P2": Measure(
        "every pair on one workflow, over spread",
        *(("hot", "spread"), _over("hot", "spread"), 0.9, 1.0),
    ),
    "P3": Measure(
        "pairs/s on one workflow, over pgbench calling the document's function on one row",
        *(("hot", "document"), _over("hot", "document"), 0.7, 1.0),
    ),
    "P4": Measure(
        "pairs/s in batches of 200, over unary",
        *(("batches", "spread"), _over("batches", "spread"), 3.5, 6.0),
    ),
    "P5": Measure(
        "p99 of Authorize + Settle at half the maximum rate",
        *(("half", "spread"), lambda each: _known(each["half"].p99_seconds) * 1000, 15.0, 8.0),
        unit="ms",
        is_ceiling=True,
    ),
    "P6": Measure(
        "spread on a loaded ledger, over spread on an empty one",
        *(("loaded", "spread"), _over("loaded", "spread"), 0.9, 1.0),
    ),
    "P7": Measure(
        "GetOrganizationMonthlyCost on a loaded ledger, over one of 5,000 entries (p50)",
        ("report, large ledger", "report, small ledger"),
        lambda each: (
            _known(each["report, large ledger"].p50_seconds)
            / _known(each["report, small ledger"].p50_seconds)
        ),
        *(2.0, 1.2),
        is_ceiling=True,
    ),
    "P9": Measure(
        f"unary pairs/s over the same peer's {PEER_PAIRS_PER_SECOND}, one process each",
        *(("spread",), lambda each: each["spread"].pairs_per_second / PEER_PAIRS_PER_SECOND, 20.0, 30.0),
    ),
}
