"""The loads, and the rounds that interleave them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from uuid import uuid4

from bench.baseline import measure_baseline
from bench.client import Load
from bench.load_ledger import load_ledger
from bench.measures import MEASURES, Round
from bench.rig import Rig, Server, lift_limits, measure
from bench.samples import LoadFailedError, Sample

_BATCHES_IN_FLIGHT = 4
_SMALL_LEDGER_ENTRIES = 5_000
_SMALL_LEDGER_ORGANIZATIONS = 4
"""So few that each has entries on every day, as in the large ledger: then answers have the same size."""


@dataclass(frozen=True)
class Options:
    """What one run does."""

    measures: Collection[str]
    rounds: int
    seconds: float
    """The duration of each load in each round, after warming up."""
    entries: int
    """The number of entries of the large ledger."""
    governor: str | None = None
    """HOST:PORT of a running governor; None: one is started."""


@dataclass
class Results:
    """The samples, and the reasons why loads failed."""

    rounds: list[Round] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    """The reason, by load."""


class Bench:
    """One run: starts the servers that the measures need, then runs each load in turn, in each round."""

    def __init__(self, rig: Rig, options: Options, say: Callable[[str], None]) -> None:
        self._rig = rig
        self._options = options
        self._say = say
        self._needed = {load for name in options.measures for load in MEASURES[name].loads}
        self._loads: dict[str, Callable[[], Awaitable[Sample]]] = {}
        self._results = Results()

    async def run(self) -> Results:
        """A load whose calls fail is not run again."""
        if "echo" in self._needed:
            self._add("echo", self._rig.echo, self._load(self._rig.echo, self._rig.organization_ids))
        if self._needed & {"spread", "hot", "batches", "half"}:
            await self._prepare_governor()
        if "document" in self._needed:
            dsn = await self._rig.baseline()
            self._loads["document"] = lambda: measure_baseline(dsn, self._options.seconds)
        if self._needed & {"loaded", "report, large ledger"}:
            await self._prepare_ledgers()
        for number in range(1, self._options.rounds + 1):
            samples = await self._round()
            rates = ", ".join(f"{name} {sample.pairs_per_second:,.0f}" for name, sample in samples.items())
            self._say(f"round {number} of {self._options.rounds}, each a second: {rates}")
        return self._results

    async def _round(self) -> Round:
        samples: dict[str, Sample] = {}
        self._results.rounds.append(samples)
        for name, measured in self._loads.items():
            if name in self._results.failures:
                continue
            try:
                samples[name] = await measured()
            except LoadFailedError as error:
                self._results.failures[name] = str(error)
                self._say(f"{name} is left out: {error}")
        return samples

    async def _prepare_governor(self) -> None:
        if self._options.governor is None:
            governor = await self._rig.governor("governor")
        else:
            governor = Server(self._options.governor)
        hot_organization_id = str(uuid4())
        await lift_limits(governor, [*self._rig.organization_ids, hot_organization_id])
        spread = self._load(governor, self._rig.organization_ids)
        self._add("spread", governor, spread)
        self._add("hot", governor, replace(spread, organization_ids=(hot_organization_id,), workflows=1))
        self._add("batches", governor, replace(spread, unit="batches", in_flight=_BATCHES_IN_FLIGHT))
        if "half" in self._needed:
            self._loads["half"] = lambda: measure(
                governor, replace(spread, units_per_second=self._maximum_per_second() / 2)
            )

    async def _prepare_ledgers(self) -> None:
        for load, name, entries, organizations in (
            ("loaded", "large", self._options.entries, len(self._rig.organization_ids)),
            ("", "small", _SMALL_LEDGER_ENTRIES, _SMALL_LEDGER_ORGANIZATIONS),
        ):
            organization_ids = tuple(str(uuid4()) for _ in range(organizations))
            governor = await self._rig.governor(name)
            self._say(f"loading {entries:,} entries")
            await load_ledger(self._rig.postgres.dsn(name), organization_ids, entries)
            await lift_limits(governor, organization_ids)
            base = self._load(governor, organization_ids)
            self._add(load, governor, base)
            self._add(f"report, {name} ledger", governor, replace(base, unit="monthly_cost", in_flight=1))

    def _load(self, server: Server, organization_ids: Sequence[str]) -> Load:
        return Load(
            server.address,
            tuple(organization_ids),
            self._options.seconds,
            # Enough that each worker process probably gets one.
            connections=1 if self._rig.workers == 1 else 4 * self._rig.workers,
        )

    def _add(self, name: str, server: Server, load: Load) -> None:
        """Adds the load if a measure needs it."""
        if name in self._needed:
            self._loads[name] = lambda: measure(server, load)

    def _maximum_per_second(self) -> float:
        return median(each["spread"].pairs_per_second for each in self._results.rounds if "spread" in each)
