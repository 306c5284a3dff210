"""The workflow's database fails at any move of the journal: no hold is forgotten, nothing is paid twice."""

from __future__ import annotations

import asyncio

import pytest

from service_chassis.postgres.database import Database
from service_chassis.refusal import Refusal
from tests.executor.conftest import Bench
from workflow_service.app import end_call
from workflow_service.domain.states import Step
from workflow_service.domain.steps import IcpResult
from workflow_service.store.invocations import Invocation, Invocations

MOVES = [
    "request_if_leased",
    "authorize_if_requested",
    "dispatch_if_authorized_and_leased",
    "respond_if_dispatched",
    "settle_if_responded",
]


class FailingJournal(Invocations):
    """Fails at one move: before the commit, or after the commit and before its answer."""

    def __init__(self, database: Database, move: str, *, after_commit: bool, times: int) -> None:
        super().__init__(database)
        self._failing = move
        self._after_commit = after_commit
        self._times_left = times

    async def _move(self, query: str, *arguments: object) -> Invocation | None:
        if query != self._failing or not self._times_left:
            return await super()._move(query, *arguments)
        self._times_left -= 1
        if self._after_commit:
            await super()._move(query, *arguments)
        raise Refusal("DATABASE_UNAVAILABLE", "gone", retry_after_seconds=0.01)


@pytest.mark.parametrize("after_commit", [False, True], ids=["before commit", "after commit"])
@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("times", [1, 1_000_000], ids=["once", "for ever"])
async def test_a_database_that_is_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, move: str, after_commit: bool, times: int
) -> None:
    """A short absence is waited out. After a long one the next run has a result, and the books agree."""
    monkeypatch.setattr(end_call, "_PERSIST_SECONDS", 0.3 if times > 1 else 30.0)
    lease = await bench.workflows.lease(Step.ICP)
    journal = FailingJournal(bench.workflows.database, move, after_commit=after_commit, times=times)
    executor = bench.another_executor(bench.another_caller(journal=journal))
    [outcome] = await asyncio.gather(executor.execute(lease), return_exceptions=True)
    sent = len(bench.simulator.calls)
    if times == 1:
        assert isinstance(outcome, IcpResult)
        assert sent == 1
    else:
        assert isinstance(outcome, Refusal)
        assert outcome.reason == "DATABASE_UNAVAILABLE"
        assert sent == (1 if move in ("respond_if_dispatched", "settle_if_responded") else 0)
    if sent:
        # A call that was sent is charged at the governor, although the journal could not record it.
        [entry] = await bench.entries(lease)
        assert entry.cost_nano_usd == bench.simulator.calls[0].billed_nano_usd

    again = await bench.workflows.fail_and_claim(lease)
    assert isinstance(await bench.executor.execute(again), IcpResult)
    await bench.assert_books_agree(lease)
    if times == 1 and sent:
        assert len(bench.simulator.calls) == 1
