"""A call that was charged as unknown is corrected once, as soon as anybody learns what it cost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from infin8.governor.v1.governor_service_pb2 import Settlement
from service_chassis.refusal import Refusal
from tests.executor.conftest import Bench, kinds
from tests.executor.talk import assert_charged_as_billed, behave
from tests.executor.test_crashes import HELD_NANO_USD, begin
from tests.models.http_server import REQUEST
from workflow_service.app.end_call import CallEnder
from workflow_service.clients.openrouter import MaxPrice
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.states import Step
from workflow_service.domain.true_up import FIRST_LOOK_SECONDS, LAST_LOOK_SECONDS, next_look_seconds
from workflow_service.domain.workflow import Lease
from workflow_service.store.invocations import CallUsage, Invocation, Invocations, Response

CALL = replace(REQUEST, max_price=MaxPrice(10**12, 10**12, 10**12))
OWN_WORLD = pytest.mark.own_world


def test_looks_come_when_as_much_time_again_has_passed() -> None:
    """A dozen looks in an hour, the last one at its end."""
    ages, age = [FIRST_LOOK_SECONDS], FIRST_LOOK_SECONDS
    while (wait := next_look_seconds(age)) is not None:
        age += wait
        ages.append(age)
    assert ages == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, LAST_LOOK_SECONDS]


async def charged_as_unknown(bench: Bench, **record: Any) -> Lease:
    """A workflow with a call whose answer never came, and whose record is not there yet."""
    lease = await bench.workflows.lease(Step.ICP)
    bench.simulator.misbehave(behave("stall", **{"record_lookups": 1, **record}))
    await bench.executor.execute(lease)
    unknown, _ = await bench.entries(lease)
    assert (kinds([unknown]), unknown.cost_nano_usd) == (["UNKNOWN"], unknown.held_nano_usd)
    return lease


async def let_it_be_due(bench: Bench, lease: Lease, *, age: timedelta = timedelta(0)) -> None:
    await bench.workflows.sql(
        "UPDATE model_invocations SET true_up_time = now(), end_time = end_time - $2::interval "
        "WHERE workflow_id = $1 AND true_up_time IS NOT NULL",
        lease.workflow_id,
        age,
    )


async def true_up_times(bench: Bench, lease: Lease) -> list[Any]:
    rows = await bench.workflows.sql(
        "SELECT true_up_time - now() AS wait FROM model_invocations "
        "WHERE workflow_id = $1 AND true_up_time IS NOT NULL",
        lease.workflow_id,
    )
    return [row["wait"] for row in rows]


async def assert_corrected(bench: Bench, lease: Lease) -> None:
    assert kinds(await bench.entries(lease)) == ["UNKNOWN", "USAGE", "ADJUSTMENT"]
    assert await true_up_times(bench, lease) == []
    await bench.assert_books_agree(lease)
    await assert_charged_as_billed(bench, lease)


@OWN_WORLD
async def test_a_record_that_is_late(bench: Bench) -> None:
    """It is looked up again with backoff, and then the call costs what its record says, by one adjustment."""
    lease = await charged_as_unknown(bench, record_lookups=2)
    true_ups = bench.caller.true_ups
    assert await true_ups.look() == 0
    await let_it_be_due(bench, lease, age=timedelta(minutes=3))
    assert await true_ups.look() == 1
    [wait] = await true_up_times(bench, lease)
    assert timedelta(minutes=2) < wait < timedelta(minutes=4)
    await let_it_be_due(bench, lease)
    assert await true_ups.look() == 1
    await assert_corrected(bench, lease)
    assert await true_ups.look() == 0


@OWN_WORLD
async def test_it_is_done_without_anybody_asking(bench: Bench) -> None:
    """The service looks by itself."""
    lease = await charged_as_unknown(bench)
    await let_it_be_due(bench, lease)
    looking = asyncio.create_task(bench.caller.true_ups.run())
    async with asyncio.timeout(60):
        while await true_up_times(bench, lease):  # noqa: ASYNC110 - the database has no event
            await asyncio.sleep(0.01)
    looking.cancel()
    await assert_corrected(bench, lease)


@OWN_WORLD
async def test_a_record_with_a_bill_alone(bench: Bench) -> None:
    """Without tokens the call costs the bill, to the nano-dollar."""
    nothing = {"native_tokens_prompt": None, "tokens_prompt": None}
    lease = await charged_as_unknown(bench, record={**nothing, "total_cost": 0.000123456})
    await let_it_be_due(bench, lease)
    await bench.caller.true_ups.look()
    unknown, _, adjustment = await bench.entries(lease)
    assert kinds([adjustment]) == ["ADJUSTMENT"]
    assert unknown.cost_nano_usd + adjustment.cost_nano_usd == 123_456
    await bench.assert_books_agree(lease)
    assert await true_up_times(bench, lease) == []


@OWN_WORLD
async def test_a_record_that_never_comes(bench: Bench) -> None:
    """After an hour nobody looks any more, and the hold stays charged."""
    lease = await charged_as_unknown(bench, has_record=False)
    await let_it_be_due(bench, lease, age=timedelta(hours=1))
    assert await bench.caller.true_ups.look() == 1
    assert await true_up_times(bench, lease) == []
    assert kinds(await bench.entries(lease)) == ["UNKNOWN", "USAGE"]
    await bench.assert_books_agree(lease)


@OWN_WORLD
async def test_one_of_many_instances_looks(bench: Bench) -> None:
    """Twenty look at once: one adjustment for each call, and each record is looked up once."""
    leases = [await charged_as_unknown(bench) for _ in range(3)]
    for lease in leases:
        await let_it_be_due(bench, lease)
    callers = [bench.another_caller() for _ in range(20)]
    looked_up = await asyncio.gather(*(caller.true_ups.look() for caller in callers))
    assert sum(looked_up) == 3
    for lease in leases:
        await assert_corrected(bench, lease)


class JournalThatFails(Invocations):
    """As if the process were killed after the governor's settlement."""

    async def correct_if_settled_unknown(self, *_: Any, **__: Any) -> Invocation | None:
        raise Refusal("INTERNAL_ERROR", "killed")


@OWN_WORLD
async def test_killed_between_the_adjustment_and_the_journal(bench: Bench) -> None:
    """The call is due again later, and there is still one adjustment."""
    lease = await charged_as_unknown(bench)
    await let_it_be_due(bench, lease)
    killed = bench.another_caller(journal=JournalThatFails(bench.workflows.database))
    assert await killed.true_ups.look() == 1
    [wait] = await true_up_times(bench, lease)
    assert wait > timedelta(minutes=1)
    await let_it_be_due(bench, lease)
    await bench.caller.true_ups.look()
    await assert_corrected(bench, lease)


LATE: dict[str, tuple[Response, int]] = {
    "usage": (Response(usage=CallUsage(100, 0, 0, 50, 0, 1)), 200_000),
    "a bill": (Response(provider_cost_nano_usd=4_321), 4_321),
    "a bill of nothing": (Response(provider_cost_nano_usd=0), 0),
}


@pytest.mark.parametrize("name", LATE)
@pytest.mark.parametrize("settled", [False, True], ids=["being settled", "settled"])
async def test_an_outcome_that_comes_after_a_takeover(bench: Bench, name: str, settled: bool) -> None:
    """What the late worker knows is what the call costs, although the next owner charged the whole hold."""
    response, cost_nano_usd = LATE[name]
    lease = await bench.workflows.lease(Step.ICP)
    late, adopted = await taken_over(bench, lease)
    ender = CallEnder(bench.workflows.journal, bench.client, bench.provider)
    unknown = Response(error_class=ErrorClass.LEASE_EXPIRED)
    if settled:
        await ender.respond_and_settle(adopted, unknown)
    else:
        assert adopted.authorization_id is not None
        assert await bench.workflows.journal.respond_if_dispatched(adopted, unknown) is not None
        await settle_as_unknown(bench, adopted)
    for _ in range(2):  # who is unsure whether it was done does it again
        assert await ender.respond_and_settle(late, response) is None
    entries = await bench.entries(lease)
    assert kinds(entries) == ["UNKNOWN", "ADJUSTMENT"]
    assert entries[0].cost_nano_usd == HELD_NANO_USD
    assert sum(entry.cost_nano_usd for entry in entries) == cost_nano_usd
    await bench.assert_books_agree(lease)


async def taken_over(bench: Bench, lease: Lease) -> tuple[Invocation, Invocation]:
    """A dispatched call as its first owner knows it, and as its next owner does."""
    journal = bench.workflows.journal
    late = await journal.dispatch_if_authorized_and_leased(await begin(bench, lease))
    assert late is not None
    taken = await bench.workflows.take_over(lease)
    [adopted] = await journal.adopt_open_if_leased(
        lease.organization_id,
        lease.workflow_id,
        lease.step,
        epoch=taken.epoch,
        call_deadline=timedelta(0),
    )
    return late, adopted


async def settle_as_unknown(bench: Bench, row: Invocation) -> Settlement:
    assert row.authorization_id is not None
    return await bench.client.settle(
        organization_id=row.organization_id, authorization_id=row.authorization_id, usage=None
    )


@OWN_WORLD
async def test_an_id_that_comes_after_a_takeover(bench: Bench) -> None:
    """The record is looked up from then on, although the next owner did not know the id."""
    lease = await bench.workflows.lease(Step.ICP)
    late, adopted = await taken_over(bench, lease)
    ender = CallEnder(bench.workflows.journal, bench.client, bench.provider)
    await ender.respond_and_settle(adopted, Response(error_class=ErrorClass.LEASE_EXPIRED))
    assert await true_up_times(bench, lease) == []
    bench.simulator.misbehave(behave("streamed", record_lookups=1))
    generation_id = (await bench.provider.complete(CALL)).generation_id
    await ender.respond_and_settle(late, Response(generation_id=generation_id))
    await let_it_be_due(bench, lease)
    await bench.caller.true_ups.look()
    entries = await bench.entries(lease)
    assert kinds(entries) == ["UNKNOWN", "ADJUSTMENT"]
    assert sum(entry.cost_nano_usd for entry in entries) == bench.simulator.calls[0].billed_nano_usd
    await bench.assert_books_agree(lease)


async def test_killed_in_the_middle_of_an_answer(bench: Bench) -> None:
    """Fault 3: the journal has the id since the first chunk, so the record settles the call."""
    lease = await bench.workflows.lease(Step.ICP)
    dispatched = await bench.workflows.journal.dispatch_if_authorized_and_leased(await begin(bench, lease))
    assert dispatched is not None
    generation_id = (await bench.provider.complete(CALL)).generation_id
    assert generation_id is not None
    await bench.workflows.journal.note_generation_if_dispatched(dispatched, generation_id)
    await bench.executor.execute(await bench.workflows.take_over(lease))
    assert kinds(await bench.entries(lease)) == ["USAGE", "USAGE"]
    await bench.assert_books_agree(lease)
    await assert_charged_as_billed(bench, lease)


async def test_the_id_is_in_the_journal_while_the_answer_is_on_its_way(bench: Bench) -> None:
    """As soon as the provider names it, before the model has said anything."""
    lease = await bench.workflows.lease(Step.ICP)
    bench.simulator.misbehave(behave("stall"))
    run = asyncio.ensure_future(bench.executor.execute(lease))
    for _ in range(400):
        calls = await bench.workflows.calls(lease)
        if calls and calls[0].response.generation_id is not None:
            break
        await asyncio.sleep(0.005)
    assert (calls[0].state.value, calls[0].response.generation_id) == (
        "DISPATCHED",
        bench.simulator.calls[0].generation_id,
    )
    await run
