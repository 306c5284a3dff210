"""The governor does as the model says, for any operations, one by one or concurrent.

`make soak OPERATIONS=200000` runs that many operations.

For concurrent operations there must be an order in which the model gives each the answer that it got,
and ends in the governor's state. Only a sweeper may do nothing instead: it skips an organization that it
finds locked.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from service_chassis.postgres.embedded import EmbeddedPostgres
from tests.property.choices import Program
from tests.property.model import Model
from tests.property.operations import (
    Answer,
    CreatePrice,
    DeleteModelAlias,
    HoldName,
    Operation,
    Refused,
    SetModelAlias,
    Settled,
    Sweep,
    Swept,
)
from tests.property.programs import NEW_PRICE, Chooser
from tests.property.standing import Standing
from tests.property.world import World

OPERATIONS = int(os.environ.get("OPERATIONS") or 1_500)
_START = datetime(2031, 1, 31, 20, tzinfo=UTC)
_BEGINNING = datetime(2030, 1, 1, tzinfo=UTC)
_SEEDS = st.integers(0, 2**24 - 1)
_OVER_GRPC = st.sampled_from([False] * 9 + [True])
# verify.sql reads a whole database, so many small ones are quicker than a large one.
_OPERATIONS_OF_A_DATABASE = 500


class Bench:
    """Runs programs one after the other, and counts what they did."""

    def __init__(self, runner: asyncio.Runner, open_world: Callable[[], World]) -> None:
        self._runner = runner
        self._open_world = open_world
        self._world: World | None = None
        self._until = 0
        self.done = 0
        self.seen: Counter[str] = Counter()
        self.started = time.monotonic()
        # Hypothesis does not report a failure that it cannot repeat, and the order of operations may differ.
        self.failure = ""

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    def world(self) -> World:
        """The present database, or a new one once that has had enough operations."""
        if self._world is None or self.done >= self._until:
            self.close()
            world = self._open_world()
            self.run(world.open())
            self._world = world
            self._until = self.done + _OPERATIONS_OF_A_DATABASE
        return self._world

    def close(self) -> None:
        if self._world is not None:
            world, self._world = self._world, None
            self.run(world.close())

    def count(self, operations: Sequence[Operation], answers: Sequence[Answer]) -> None:
        for operation, answer in zip(operations, answers, strict=True):
            outcome = answer.reason if isinstance(answer, Refused) else "OK"
            self.seen[f"{type(operation).__name__} {outcome}"] += 1
            if isinstance(answer, Settled):
                for flag in (answer.entry.kind, *answer.entry.flags):
                    self.seen[f"Settle {flag}"] += 1
        self.done += len(operations)
        if self.done // 5000 > (self.done - len(operations)) // 5000:
            self.tell()

    def tell(self) -> None:
        seconds = time.monotonic() - self.started
        print(f"{self.done} operations, {self.done / seconds:.0f} a second", flush=True)


class Machine(RuleBasedStateMachine):
    """One program: its model and the governor side by side."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self._bench = bench
        self._world = bench.world()
        self._wire = bench.run(self._world.begin(_START))
        self._program = Program(Model(2), _START)
        self._failed = False

    @initialize(seed=_SEEDS)
    def prices(self, seed: int) -> None:
        """a, b and c have a price; d has none."""
        chooser = Chooser(self._program, seed)
        for model in ("a", "b", "c"):
            self._do([replace(chooser.create_price(), model=model, effective_time=_BEGINNING, context=())])

    @rule(seeds=st.lists(_SEEDS, min_size=1, max_size=5), over_grpc=_OVER_GRPC)
    def one_by_one(self, seeds: list[int], over_grpc: bool) -> None:
        for seed in seeds:
            operation = Chooser(self._program, seed).alone()
            if isinstance(operation, CreatePrice | SetModelAlias | DeleteModelAlias):
                # What was decided at this instant must not change, so a price or a name begins later.
                self._move_clock(self._program.now + NEW_PRICE)
            self._do([operation], over_grpc=over_grpc)

    @rule(seed=_SEEDS, over_grpc=_OVER_GRPC)
    def at_once(self, seed: int, over_grpc: bool) -> None:
        self._do(Chooser(self._program, seed).at_once(), over_grpc=over_grpc)

    @rule(seed=_SEEDS)
    def at_the_edge(self, seed: int) -> None:
        for operation in Chooser(self._program, seed).at_the_edge():
            self._do([operation])

    @rule(seed=_SEEDS)
    def time_passes(self, seed: int) -> None:
        self._move_clock(Chooser(self._program, seed).later())

    def teardown(self) -> None:
        """I6: the governor has every hold and entry as it was answered, and no others."""
        if not self._failed:
            seen = self._bench.run(self._world.read_all(self._wire))
            for number, organization in enumerate(self._program.model.organizations):
                holds = [
                    self._program.model.seen(HoldName(number, request), self._program.now)
                    for request in organization.holds
                ]
                assert seen[number] == (organization.entries, {hold.request: hold for hold in holds})

    def _move_clock(self, now: datetime) -> None:
        self._program.now = now
        self._bench.run(self._world.set_clock(now))

    def _do(self, operations: Sequence[Operation], *, over_grpc: bool = False) -> None:
        try:
            self._ask_and_compare(operations, over_grpc=over_grpc)
        except Exception as error:
            self._bench.failure = f"{type(error).__name__}: {error}"
            raise

    def _ask_and_compare(self, chosen: Sequence[Operation], *, over_grpc: bool) -> None:
        self._failed = True
        operations = [self._wire.resolved(operation) for operation in chosen]
        heard, standing, violations = self._bench.run(self._ask(operations, over_grpc))
        answers = [
            self._wire.answer(answer, operation) for operation, answer in zip(operations, heard, strict=True)
        ]
        for operation, answer in zip(operations, answers, strict=True):
            note(f"{operation} → {answer}")
        self._bench.count(operations, answers)
        if len(operations) == 1:
            predicted = self._program.model.apply(operations[0], self._program.now)
            assert answers[0] == predicted, difference(operations[0], answers[0], predicted)
            expected = Standing.of(self._program.model)
            assert standing == expected, difference(operations[0], standing, expected)
        else:
            asked = list(zip(operations, answers, strict=True))
            orders = in_some_order(self._program.model, asked, self._program.now)
            found = next((model for model in orders if Standing.of(model) == standing), None)
            assert found is not None, self._unexplained(asked, standing)
            self._program.model = found
        self._program.done.extend(operations)
        assert violations == []
        self._failed = False

    def _unexplained(self, asked: Sequence[tuple[Operation, Answer]], standing: Standing) -> str:
        """Each operation's answer if it were the first, as text."""
        lines = ["no order explains these"]
        for operation, answer in asked:
            first = self._program.model.copy()
            lines.append(difference(operation, answer, first.apply(operation, self._program.now)))
        return "\n".join([*lines, str(standing)])

    async def _ask(
        self, operations: Sequence[Operation], over_grpc: bool
    ) -> tuple[list[Any], Standing, list[str]]:
        heard = await self._world.do(self._wire, operations, over_grpc=over_grpc)
        return heard, await self._world.standing(self._wire), await self._world.violations()


def in_some_order(model: Model, asked: Sequence[tuple[Operation, Answer]], now: datetime) -> Iterator[Model]:
    """The model after each order of the operations in which it gives the answers that were received."""
    if not asked:
        yield model
    for place, (operation, answer) in enumerate(asked):
        if (operation, answer) in asked[:place]:
            continue
        others = [*asked[:place], *asked[place + 1 :]]
        after = model.copy()
        if after.apply(operation, now) == answer:
            yield from in_some_order(after, others, now)
        if isinstance(operation, Sweep) and answer == Swept(0, 0):
            yield from in_some_order(model, others, now)


def difference(operation: Operation, found: Any, predicted: Any) -> str:
    """The differing fields, as text."""
    lines = [f"{operation}"]
    if type(found) is not type(predicted) or isinstance(found, Refused):
        return "\n".join([*lines, f"  found     {found}", f"  predicted {predicted}"])
    for each in fields(found):
        one, other = getattr(found, each.name), getattr(predicted, each.name)
        if one != other:
            lines += [f"  {each.name}", f"    found     {one}", f"    predicted {other}"]
    return "\n".join(lines)


@pytest.fixture
def bench(postgres: EmbeddedPostgres, governor_template: str) -> Iterator[Bench]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        made = Bench(runner, lambda: World(postgres, governor_template))
        yield made
        made.close()


@pytest.mark.timeout(0 if OPERATIONS > 10_000 else 300)
def test_the_governor_does_as_the_model_says(bench: Bench) -> None:
    """I1–I4, I12, I13, I16: each answer and each total equals the model's, and verify.sql finds nothing."""
    try:
        _run(bench)
    except BaseException as error:
        error.add_note(bench.failure)
        raise
    bench.tell()
    for outcome, number in sorted(bench.seen.items()):
        print(f"{number:8} {outcome}")


def _run(bench: Bench) -> None:
    while bench.done < OPERATIONS:
        run_state_machine_as_test(
            lambda: Machine(bench),  # type: ignore[arg-type] # it is called, and that is all
            settings=settings(
                max_examples=20,
                stateful_step_count=40,
                deadline=None,
                database=None,
                report_multiple_bugs=False,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            ),
        )
