"""No call is dispatched without a connection; waiting costs nothing, and organizations take turns."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.executor.conftest import CALL_DEADLINE_SECONDS, SONAR, Bench, kinds
from tests.executor.talk import GOOD_SONAR, answer_document, route_of
from tests.models.http_server import answer, serving
from workflow_service.app.call_slots import CallSlots, Slot
from workflow_service.clients.openrouter import OpenRouterClient
from workflow_service.domain.routing import Route
from workflow_service.domain.states import Step
from workflow_service.domain.workflow import Lease
from workflow_service.store.invocations import InvocationState

A, B, C = UUID(int=1), UUID(int=2), UUID(int=3)


async def waiting(slots: CallSlots, *organizations: UUID) -> list[asyncio.Task[Slot]]:
    """Calls that wait in this order, after those that could begin at once."""
    tasks = [asyncio.create_task(slots.take(organization)) for organization in organizations]
    await turn_of_the_loop()
    return tasks


async def turn_of_the_loop() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def begun(tasks: list[asyncio.Task[Slot]]) -> list[int]:
    return [number for number, task in enumerate(tasks) if task.done()]


async def test_organizations_take_turns() -> None:
    """A free slot goes to the next organization, however many calls the one before it waits with."""
    slots = CallSlots(calls_max=1, organization_calls_max=1)
    held = await slots.take(A)
    tasks = await waiting(slots, A, A, A, B, C, B)
    order: list[int] = []
    while len(order) < len(tasks):
        held.release()
        await turn_of_the_loop()
        [number] = [number for number in begun(tasks) if number not in order]
        order.append(number)
        held = tasks[number].result()
    assert order == [3, 4, 0, 5, 1, 2]


async def test_an_organization_has_a_bound_of_its_own() -> None:
    """Free slots are not for those who have theirs already."""
    slots = CallSlots(calls_max=5, organization_calls_max=2)
    tasks = await waiting(slots, A, A, A, A, B)
    assert begun(tasks) == [0, 1, 4]
    tasks[0].result().release()
    await turn_of_the_loop()
    assert begun(tasks) == [0, 1, 2, 4]
    for task in tasks:
        task.cancel()


async def test_two_thousand_that_wait_delay_nobody_else() -> None:
    """Another organization's call begins at once, or after one call where every slot is taken."""
    slots = CallSlots(calls_max=3, organization_calls_max=2)
    many = await waiting(slots, *[A] * 2000)
    [single] = await waiting(slots, B)
    assert single.done()
    [second] = await waiting(slots, C)
    assert not second.done()
    many[0].result().release()
    await turn_of_the_loop()
    assert second.done()
    for task in many:
        task.cancel()


@pytest.mark.parametrize("granted", [False, True])
async def test_who_stops_waiting_takes_no_slot(granted: bool) -> None:
    """Also where the slot is granted at the moment of the cancellation."""
    slots = CallSlots(calls_max=1, organization_calls_max=1)
    held = await slots.take(A)
    [gone, other] = await waiting(slots, B, C)
    if granted:
        held.release()
    gone.cancel()
    if not granted:
        held.release()
    await turn_of_the_loop()
    assert gone.cancelled()
    (await other).release()
    (await slots.take(A)).release()


@given(
    organizations=st.lists(st.sampled_from([A, B, C]), min_size=1, max_size=40),
    calls_max=st.integers(1, 5),
    organization_calls_max=st.integers(1, 5),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_every_call_gets_its_turn_within_the_bounds(
    organizations: list[UUID], calls_max: int, organization_calls_max: int, data: st.DataObject
) -> None:
    """Whoever ends or gives up in whatever order: the bounds hold, and no slot is lost."""

    async def run() -> None:
        slots = CallSlots(calls_max=calls_max, organization_calls_max=organization_calls_max)
        tasks = await waiting(slots, *organizations)
        released: set[int] = set()
        while len(released) < len(tasks):
            live = [
                number for number in begun(tasks) if number not in released and not tasks[number].cancelled()
            ]
            assert len(live) <= calls_max
            for organization in set(organizations):
                mine = [number for number in live if organizations[number] == organization]
                assert len(mine) <= organization_calls_max
            assert live, "calls wait, and nobody has a slot"
            number = data.draw(st.sampled_from([n for n in range(len(tasks)) if n not in released]))
            if number in live:
                tasks[number].result().release()
            else:
                tasks[number].cancel()
            released.add(number)
            await turn_of_the_loop()
        slot = await asyncio.wait_for(slots.take(A), 1)
        slot.release()

    asyncio.run(run())


async def test_no_call_is_cut_off_by_waiting(bench: Bench) -> None:
    """Thirty callers, five connections, and a server that takes most of a call's deadline.

    All wait longer than a deadline, nobody holds anything meanwhile, and nothing is paid for in vain.
    """
    callers, connections = 30, 5
    leases = [await bench.workflows.lease(Step.ICP) for _ in range(callers)]
    whole = answer(200, answer_document(leases[0], {"prompt_tokens": 120, "completion_tokens": 30}))
    in_flight: list[int] = []
    held: list[int] = []

    async def take_long(writer: asyncio.StreamWriter) -> None:
        in_flight.append(1)
        held.append(await open_calls(bench, leases))
        assert sum(in_flight) <= connections
        await asyncio.sleep(0.5 * CALL_DEADLINE_SECONDS)
        in_flight.append(-1)
        writer.write(whole)
        await writer.drain()

    async with serving(take_long) as server:
        provider = OpenRouterClient(
            server.base_url, "test-key", deadline_seconds=CALL_DEADLINE_SECONDS, calls_max=connections
        )
        caller = bench.another_caller(
            provider=provider,
            route=Route(models=(SONAR,)),
            slots=CallSlots(calls_max=connections, organization_calls_max=2),
        )
        executor = bench.another_executor(caller)
        await asyncio.gather(*(executor.execute(lease) for lease in leases))
        await provider.close()
        assert len(server.received) == callers
    assert max(held) <= connections
    for lease in leases:
        assert route_of(await bench.workflows.calls(lease)) == [GOOD_SONAR]
        assert kinds(await bench.entries(lease)) == ["USAGE"]
        await bench.assert_books_agree(lease)


async def open_calls(bench: Bench, leases: list[Lease]) -> int:
    [row] = await bench.workflows.sql(
        "SELECT count(*) AS open FROM model_invocations "
        "WHERE state NOT IN ('SETTLED', 'VOIDED') AND workflow_id = ANY($1)",
        [lease.workflow_id for lease in leases],
    )
    return int(row["open"])


async def test_a_call_that_goes_on_keeps_its_slot(bench: Bench) -> None:
    """Its caller is cancelled, and the connection is in use until the call is settled."""
    slots = CallSlots(calls_max=1, organization_calls_max=1)
    lease = await bench.workflows.lease(Step.ICP)
    arrived, answers = asyncio.Event(), asyncio.Event()

    async def wait_for_it(writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await answers.wait()
        writer.write(answer(200, answer_document(lease, {"prompt_tokens": 120, "completion_tokens": 30})))
        await writer.drain()

    async with serving(wait_for_it) as server:
        provider = OpenRouterClient(server.base_url, "test-key", deadline_seconds=5)
        caller = bench.another_caller(provider=provider, slots=slots)
        run = asyncio.ensure_future(bench.another_executor(caller).execute(lease))
        await arrived.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        [next_call] = await waiting(slots, uuid4())
        assert not next_call.done()
        answers.set()
        (await next_call).release()
        await caller.finish()
        await provider.close()
    [call] = await bench.workflows.calls(lease)
    assert call.state is InvocationState.SETTLED
