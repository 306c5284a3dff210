"""Group commit separates organizations: they take turns, and trouble of one does not affect the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

import pytest

from governor_service.store import group_commit
from governor_service.store.group_commit import ORGANIZATION_ITEMS_MAX, GroupCommit
from governor_service.store.lanes import Lanes
from governor_service.store.stages import NO_WAIT, SHORT_WAIT, LockWait, NoAnswer
from service_chassis.deadline import set_deadline
from service_chassis.postgres.database import Contended
from service_chassis.refusal import Refusal

LONG_SECONDS = 30.0


@dataclass(frozen=True)
class Item:
    """`a1` and `a2` are items of organization a."""

    name: str

    @property
    def organization(self) -> int:
        return ord(self.name[0])


def items(*names: str) -> list[Item]:
    return [Item(name) for name in names]


class Rows:
    """A stage on rows that other sessions may have locked."""

    def __init__(self) -> None:
        self.batches: list[str] = []
        self.locked: set[str] = set()
        self.broken: set[str] = set()
        self.go = asyncio.Event()
        self.go.set()
        self.unlocked = asyncio.Event()

    async def __call__(self, items: Sequence[Item], wait: LockWait) -> Sequence[str | NoAnswer]:
        names = [item.name for item in items]
        how = {SHORT_WAIT: "", NO_WAIT: " without the locked"}.get(wait, " patiently")
        self.batches.append(f"{' '.join(names)}{how}")
        await self.go.wait()
        if wait.is_patient and self._has_locked(names):
            try:
                async with asyncio.timeout(wait.milliseconds / 1000):
                    await self.unlocked.wait()
            except TimeoutError:
                raise Contended from None
        elif wait.milliseconds and self._has_locked(names):
            raise Contended
        if self.broken & set(names):
            raise ArithmeticError("poison")
        return [NoAnswer.LOCKED if name[0] in self.locked else name.upper() for name in names]

    def _has_locked(self, names: Sequence[str]) -> bool:
        return any(name[0] in self.locked for name in names)

    def unlock(self) -> None:
        self.locked.clear()
        self.unlocked.set()


def grouped(
    rows: Rows,
    *,
    items_max: int = 1_000,
    waiters_max: int = 1_000,
    organization_waiters_max: int = 500,
    locked_waiters_max: int = 3,
    long_seconds: float = LONG_SECONDS,
    patient_max: int = 1,
    is_always_apart: bool = False,
) -> GroupCommit[Item, str]:
    return GroupCommit(
        [rows],
        organization_of=lambda item: item.organization,
        lanes=Lanes(1, patient_max=patient_max, long_wait_seconds=long_seconds),
        items_max=items_max,
        waiters_max=waiters_max,
        organization_waiters_max=organization_waiters_max,
        locked_waiters_max=locked_waiters_max,
        is_always_apart=is_always_apart,
    )


async def settled() -> None:
    """Lets every task run as far as it can."""
    for _ in range(30):
        await asyncio.sleep(0)


async def outcome(call: Awaitable[str]) -> str:
    """The answer, or the reason of the refusal."""
    try:
        return await call
    except Refusal as refusal:
        return refusal.reason


async def submitted(group: GroupCommit[Item, str], *names: str) -> list[asyncio.Task[str]]:
    calls = [asyncio.create_task(outcome(group.submit(item))) for item in items(*names)]
    await settled()
    return calls


async def test_a_batch_takes_items_of_organizations_in_turn() -> None:
    """Organizations take turns in a batch, however many items one has waiting, and items keep their order."""
    rows = Rows()
    rows.go.clear()
    group = grouped(rows, items_max=4)
    calls = await submitted(group, "x")
    calls += await submitted(group, "a1", "a2", "a3", "b1", "b2", "c1", "a4")
    rows.go.set()
    await asyncio.gather(*calls)
    assert rows.batches == ["x", "a1 b1 c1 a2", "b2 a3 a4"]


async def test_one_organization_fills_no_batch() -> None:
    """A batch takes few items of one organization, so another's call is in one of the next batches."""
    rows = Rows()
    rows.go.clear()
    group = grouped(rows)
    calls = await submitted(group, "x")
    calls += await submitted(group, *[f"a{number}" for number in range(400)], "b")
    rows.go.set()
    await asyncio.gather(*calls)
    sizes = [len(batch.split()) for batch in rows.batches]
    assert max(sizes) <= ORGANIZATION_ITEMS_MAX + 1
    assert any("b" in batch.split() for batch in rows.batches[:3])


async def test_waiting_items_of_one_organization_are_bounded() -> None:
    """An organization's items beyond the bound are OVERLOADED; other organizations' items are not."""
    rows = Rows()
    rows.go.clear()
    group = grouped(rows, organization_waiters_max=2)
    waiting = await submitted(group, "x")
    waiting += await submitted(group, "a1", "a2")
    refused = await submitted(group, "a3")
    assert refused[0].result() == "OVERLOADED"
    waiting += await submitted(group, "b1", "b2")
    # In one call, each organization's items are refused or accepted separately.
    call = asyncio.create_task(group.submit_all(items("a4", "c1")))
    await settled()
    rows.go.set()
    refusal, answer = await call
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.retry_after_seconds, answer) == ("OVERLOADED", 1, "C1")
    assert await asyncio.gather(*waiting) == ["X", "A1", "A2", "B1", "B2"]
    assert await group.submit(Item("a5")) == "A5"


async def test_a_locked_organization_is_left_out_and_waited_for_alone() -> None:
    """Other items are answered meanwhile; the locked organization's follow in order when it is free."""
    rows = Rows()
    rows.locked = {"a"}
    group = grouped(rows)
    rows.go.clear()
    calls = await submitted(group, "x")
    calls += await submitted(group, "a1", "b1", "a2")
    rows.go.set()
    await settled()
    assert [call.done() for call in calls] == [True, False, True, False]
    assert rows.batches == [
        "x",
        "a1 b1 a2",
        "a1 b1 a2 without the locked",
        "a1 a2",
        "a1 a2 patiently",
    ]
    # Items that arrive during the wait join it, and do not use the lane.
    del rows.batches[:]
    calls += await submitted(group, "a3", "b2")
    assert rows.batches == ["b2"]
    rows.unlock()
    assert await asyncio.gather(*calls) == ["X", "A1", "B1", "A2", "A3", "B2"]
    # After the wait the organization takes its turn again.
    del rows.batches[:]
    await asyncio.gather(*await submitted(group, "a4", "b3"))
    assert rows.batches == ["a4 b3"]


async def test_a_batch_waits_for_an_older_one_of_ours() -> None:
    """A batch waits for a lock of our own older batch, which ends soon; only others' locks are skipped."""
    tries: list[LockWait] = []
    older, younger = items("a1"), [Item(f"a{number}") for number in range(2, 102)]
    ended = asyncio.Event()

    async def rows(items: Sequence[Item], wait: LockWait) -> Sequence[str]:
        if items == older:
            await ended.wait()
        elif not ended.is_set():
            tries.append(wait)
            if len(tries) == 3:
                ended.set()
            await asyncio.sleep(0)
            raise Contended
        return [item.name.upper() for item in items]

    group: GroupCommit[Item, str] = GroupCommit(
        [rows],
        organization_of=lambda item: item.organization,
        lanes=Lanes(1),
        items_max=1_000,
        waiters_max=1_000,
    )
    first = asyncio.create_task(group.submit_all(older))
    await settled()
    assert len(await group.submit_all(younger)) == 100
    assert (await first, tries) == (["A1"], [SHORT_WAIT] * 3)


async def test_items_behind_a_younger_batch_take_their_turn_again() -> None:
    """Items behind a lock of our own younger batch keep their order and wait for another turn only."""
    sent: list[str] = []
    is_locked = asyncio.Event()

    async def rows(items: Sequence[Item], wait: LockWait) -> Sequence[str | NoAnswer]:
        if len(items) >= 100:
            await is_locked.wait()
        elif not is_locked.is_set():
            sent.append(" ".join(item.name for item in items))
            if wait is SHORT_WAIT:
                await settled()
                raise Contended
            is_locked.set()
            return [NoAnswer.LOCKED for _ in items]
        else:
            sent.append(" ".join(item.name for item in items))
        return [item.name.upper() for item in items]

    lanes = Lanes(1)
    lanes.apart = lanes.patient = asyncio.Semaphore(0)
    group: GroupCommit[Item, str] = GroupCommit(
        [rows],
        organization_of=lambda item: item.organization,
        lanes=lanes,
        items_max=1_000,
        waiters_max=1_000,
    )
    older = asyncio.create_task(group.submit_all(items("a1", "a2")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(await group.submit_all([Item(f"a{number}") for number in range(3, 103)])) == 100
    async with asyncio.timeout(5):
        assert await older == ["A1", "A2"]
    assert sent == ["a1 a2"] * 3


async def test_an_organization_that_stays_locked_is_overloaded_alone() -> None:
    """After the long wait its items are OVERLOADED, and for a moment new ones are not tried in a lane."""
    rows = Rows()
    rows.locked = {"a"}
    group = grouped(rows, long_seconds=0.05)
    calls = await submitted(group, "a1", "a2", "b1")
    assert await asyncio.gather(*calls) == ["OVERLOADED", "OVERLOADED", "B1"]
    del rows.batches[:]
    calls = await submitted(group, "a3", "b2")
    assert set(rows.batches) == {"a3 patiently", "b2"}
    rows.unlock()
    assert await asyncio.gather(*calls) == ["A3", "B2"]


async def test_after_a_moment_without_trouble_it_takes_its_turn_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When the moment has passed the organization takes its normal turn again."""
    monkeypatch.setattr(group_commit, "TROUBLE_SECONDS", 0.0)
    rows = Rows()
    rows.locked = {"a"}
    group = grouped(rows, long_seconds=0.05)
    assert await outcome(group.submit(Item("a1"))) == "OVERLOADED"
    rows.unlock()
    del rows.batches[:]
    assert await group.submit(Item("a2")) == "A2"
    assert rows.batches == ["a2"]


async def test_waiting_items_of_a_locked_organization_are_bounded() -> None:
    """A locked organization may have fewer items waiting than usual; cancelled callers are not counted."""
    rows = Rows()
    rows.locked = {"a"}
    group = grouped(rows, locked_waiters_max=3)
    calls = await submitted(group, "a0")
    calls += await submitted(group, "a1", "a2", "a3")
    (refused,) = await submitted(group, "a4")
    assert refused.result() == "OVERLOADED"
    calls.pop().cancel()
    calls += await submitted(group, "a5")
    rows.unlock()
    assert await asyncio.gather(*calls) == ["A0", "A1", "A2", "A5"]


async def test_more_locked_organizations_than_may_be_waited_for() -> None:
    """Organizations beyond the bound wait as long for their turn, and are then OVERLOADED."""
    rows = Rows()
    rows.locked = set("abcd")
    group = grouped(rows, long_seconds=0.1, patient_max=1)
    calls = await submitted(group, "a1", "b1", "c1", "d1", "e1")
    assert await asyncio.gather(*calls) == ["OVERLOADED"] * 4 + ["E1"]
    assert len([batch for batch in rows.batches if "patiently" in batch]) < 4


async def test_a_deadline_that_passes_before_an_organization_is_tried_again() -> None:
    """The item gets DEADLINE_TOO_SHORT: its first tries were rolled back, so nothing was done."""
    rows = Rows()
    rows.locked = {"a", "b"}
    group = grouped(rows, patient_max=1)
    first = await submitted(group, "a1")

    async def hurried() -> str:
        set_deadline(0.05)
        return await outcome(group.submit(Item("b1")))

    assert await asyncio.create_task(hurried()) == "DEADLINE_TOO_SHORT"
    assert "b1" in rows.batches
    rows.unlock()
    assert await asyncio.gather(*first) == ["A1"]


async def test_a_batch_that_fails_is_tried_by_organization_and_then_by_item() -> None:
    """The failing item fails alone; the other items of its organization and all others are answered."""
    rows = Rows()
    rows.broken = {"a2"}
    rows.go.clear()
    group = grouped(rows)
    await submitted(group, "x")
    call = asyncio.create_task(group.submit_all(items("a1", "b1", "a2", "c1", "a3")))
    await settled()
    rows.go.set()
    answers = await call
    assert [answers[place] for place in (0, 1, 3, 4)] == ["A1", "B1", "C1", "A3"]
    assert isinstance(answers[2], ArithmeticError)
    # The organization broke a batch, so the lane's next batch is without it.
    del rows.batches[:]
    await asyncio.gather(*await submitted(group, "a4", "b2"))
    assert set(rows.batches) == {"a4 patiently", "b2"}


async def test_a_call_without_any_success_is_refused_as_a_whole() -> None:
    """If the database is away, a batch call raises the same refusal as a unary call."""

    async def away(_items: Sequence[Item], _wait: LockWait) -> Sequence[str]:
        raise Refusal("DATABASE_UNAVAILABLE", "away")

    group: GroupCommit[Item, str] = GroupCommit(
        [away],
        organization_of=lambda item: item.organization,
        lanes=Lanes(1),
        items_max=10,
        waiters_max=10,
    )
    with pytest.raises(Refusal, match="DATABASE_UNAVAILABLE"):
        await group.submit_all(items("a1", "b1"))


async def test_a_cancelled_item_of_a_locked_organization_is_dropped() -> None:
    """The item of a cancelled caller is dropped, since nothing was done for it."""
    rows = Rows()
    rows.locked = {"a"}
    group = grouped(rows)
    first, second = await submitted(group, "a1") + await submitted(group, "a2")
    second.cancel()
    rows.unlock()
    assert await first == "A1"
    await settled()
    assert not any("a2" in batch for batch in rows.batches)


async def test_always_apart_each_batch_has_one_organization() -> None:
    """Each batch has one organization's items; batches run concurrently, and a locked one delays no other."""
    rows = Rows()
    rows.locked = {"a"}
    rows.go.clear()
    group = grouped(rows, is_always_apart=True)
    calls = await submitted(group, "b1", "c1")
    calls += await submitted(group, "b2", "c2", "a1")
    rows.go.set()
    await settled()
    assert [call.done() for call in calls] == [True, True, True, True, False]
    calls += await submitted(group, "b3", "c3")
    assert all(len({name[0] for name in batch.split(" patiently")[0].split()}) == 1 for batch in rows.batches)
    rows.unlock()
    assert await asyncio.gather(*calls) == ["B1", "C1", "B2", "C2", "A1", "B3", "C3"]


async def test_organizations_that_have_nothing_waiting_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Memory does not grow with the number of organizations that were seen or locked."""
    monkeypatch.setattr(group_commit, "QUEUES_KEPT", 3)
    monkeypatch.setattr(group_commit, "TROUBLE_SECONDS", 0.0)
    rows = Rows()
    rows.locked = {"a"}
    group = grouped(rows, locked_waiters_max=1)
    calls = await submitted(group, "a1", "a2", "a3", "b", "c", "d")
    rows.unlock()
    await asyncio.gather(*calls)
    for name in "efghijklmnop":
        assert await group.submit(Item(name)) == name.upper()
    assert len(group._queues) <= 4
    assert (group._waiting_for_lanes, group._waiting_apart) == (0, 0)
