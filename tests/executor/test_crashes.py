"""Processes are killed, taken over or cancelled: each call is settled once, and answers are used again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import grpc
import pytest

from governor_client import GovernorClient
from infin8.governor.v1.governor_service_pb2 import Settlement, SettleRequest
from service_chassis.refusal import Refusal
from tests.executor.conftest import CALL_DEADLINE_SECONDS, SONAR, Bench, kinds
from tests.executor.examples import answer
from tests.executor.talk import GOOD_SONAR, assert_charged_as_billed, behave, route_of, until_dispatched
from workflow_service.app.end_call import CallEnder
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.states import Step
from workflow_service.domain.steps import IcpResult, ValidationResult
from workflow_service.domain.workflow import Lease
from workflow_service.steps.registry import MODEL_STEPS
from workflow_service.store.invocations import CallUsage, Invocation, Response

pytestmark = pytest.mark.on_disk


async def test_a_verdict_of_nothing_valid_is_asked_for_again(bench: Bench) -> None:
    """NOTHING_VALID fails the step and is charged; the next run asks again instead of using that answer."""
    lease = await bench.workflows.lease(Step.VALIDATION)
    row = await pretend_answer(bench, lease, None, ErrorClass.NOTHING_VALID)
    again = await bench.workflows.fail_and_claim(lease)
    assert isinstance(await bench.executor.execute(again), ValidationResult)
    calls = await bench.workflows.calls(lease)
    assert [(call.attempt, call.state.value) for call in calls] == [(1, "SETTLED"), (2, "SETTLED")]
    assert calls[0].request_id == row.request_id
    await bench.assert_books_agree(lease)


async def pretend_answer(
    bench: Bench, lease: Lease, text: str | None, error_class: ErrorClass | None = None
) -> Invocation:
    """A call whose process was killed after the response and before settling."""
    row = await begin(bench, lease)
    dispatched = await bench.workflows.journal.dispatch_if_authorized_and_leased(row)
    assert dispatched is not None
    responded = await bench.workflows.journal.respond_if_dispatched(
        dispatched,
        Response(
            answer=text,
            error_class=error_class,
            served_model=SONAR,
            generation_id="gen-before",
            usage=CallUsage(100, 0, 0, 50, 0, 1),
        ),
    )
    assert responded is not None
    return responded


async def begin(bench: Bench, lease: Lease, *, recorded: bool = True, item: str = "") -> Invocation:
    """A call whose process was killed after placing the hold; `recorded`: the journal has the hold."""
    row = await bench.workflows.journal.request_if_leased(
        lease.organization_id, lease.workflow_id, lease.step, item, 1, epoch=lease.epoch, models=[SONAR]
    )
    assert row is not None
    authorization = await bench.client.authorize(
        organization_id=lease.organization_id,
        workflow_id=lease.workflow_id,
        request_id=row.request_id,
        models=[SONAR],
        input_tokens_max=1000,
        output_tokens_max=700,
    )
    if recorded:
        authorized = await bench.workflows.journal.authorize_if_requested(
            row,
            authorization_id=UUID(authorization.authorization_id),
            model=authorization.model,
            held_nano_usd=authorization.held_nano_usd,
            output_tokens_max=authorization.output_tokens_max,
        )
        assert authorized is not None
        return authorized
    return row


HELD_NANO_USD = 1000 * 1000 + 700 * 2000


@pytest.mark.parametrize("recorded", [False, True])
async def test_killed_before_dispatch_is_voided(bench: Bench, recorded: bool) -> None:
    """Fault 2: an unused hold is voided, whether or not the journal has recorded it."""
    lease = await bench.workflows.lease(Step.ICP)
    await begin(bench, lease, recorded=recorded)
    assert (await bench.budget(lease)).held_nano_usd == HELD_NANO_USD
    taken = await bench.workflows.take_over(lease)
    await bench.executor.execute(taken)
    calls = await bench.workflows.calls(lease)
    assert [(call.attempt, call.state.value) for call in calls] == [(1, "VOIDED"), (2, "SETTLED")]
    await bench.assert_books_agree(lease)


async def test_killed_after_dispatch_is_charged_as_unknown(bench: Bench) -> None:
    """Fault 3: the outcome is unknown, so the hold is charged, and the item is asked for and paid again."""
    lease = await bench.workflows.lease(Step.ICP)
    row = await begin(bench, lease)
    assert await bench.workflows.journal.dispatch_if_authorized_and_leased(row) is not None
    taken = await bench.workflows.take_over(lease)
    await bench.executor.execute(taken)
    entries = await bench.entries(lease)
    assert kinds(entries) == ["UNKNOWN", "USAGE"]
    assert entries[0].cost_nano_usd == HELD_NANO_USD
    await bench.assert_books_agree(lease)


async def test_killed_before_settle_uses_the_stored_answer(bench: Bench) -> None:
    """Fault 4: the cost is settled, the stored answer is used, and no second call is made."""
    lease = await bench.workflows.lease(Step.ICP)
    await pretend_answer(bench, lease, answer(Step.ICP))
    taken = await bench.workflows.take_over(lease)
    assert isinstance(await bench.executor.execute(taken), IcpResult)
    assert bench.simulator.calls == ()
    [entry] = await bench.entries(lease)
    assert entry.cost_nano_usd == 100 * 1000 + 50 * 2000
    await bench.assert_books_agree(lease)


async def test_killed_before_settle_and_charged_at_expiry_is_corrected(bench: Bench) -> None:
    """Fault 4: a hold that was charged as unknown at expiry is corrected to the cost of the call's usage."""
    lease = await bench.workflows.lease(Step.ICP)
    row = await pretend_answer(bench, lease, answer(Step.ICP))
    assert row.authorization_id is not None
    await bench.client.settle(
        organization_id=lease.organization_id, authorization_id=row.authorization_id, usage=None
    )
    taken = await bench.workflows.take_over(lease)
    assert isinstance(await bench.executor.execute(taken), IcpResult)
    assert bench.simulator.calls == ()
    unknown, correction = await bench.entries(lease)
    assert kinds([unknown, correction]) == ["UNKNOWN", "ADJUSTMENT"]
    assert unknown.cost_nano_usd + correction.cost_nano_usd == 100 * 1000 + 50 * 2000
    [call] = await bench.workflows.calls(lease)
    assert str(call.entry_id) == unknown.entry_id
    await bench.assert_books_agree(lease)


async def test_killed_after_settle_is_not_charged_again(bench: Bench) -> None:
    """Fault 5: a step that ran and was not completed is completed from the journal."""
    lease = await bench.workflows.lease(Step.ICP)
    first = await bench.executor.execute(lease)
    paid = await bench.entries(lease)
    taken = await bench.workflows.take_over(lease)
    assert await bench.executor.execute(taken) == first
    assert len(bench.simulator.calls) == 1
    assert await bench.entries(lease) == paid


async def test_a_caller_that_goes_away_leaves_no_call_unsettled(bench: Bench) -> None:
    """Fault 13: a cancelled step stops waiting, and the call that is in flight is still settled."""
    lease = await bench.workflows.lease(Step.ICP)
    bench.simulator.misbehave(behave("slow", seconds=0.4))
    run = asyncio.ensure_future(bench.executor.execute(lease))
    await until_dispatched(bench, lease)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    await bench.caller.finish()
    assert route_of(await bench.workflows.calls(lease)) == [GOOD_SONAR]
    await bench.assert_books_agree(lease)
    await assert_charged_as_billed(bench, lease)


async def test_an_answer_on_its_way_is_waited_for_and_used(bench: Bench) -> None:
    """Fault 11: the next owner does not pay anew while the call may be answered, and uses that answer."""
    lease = await bench.workflows.lease(Step.ICP)
    bench.simulator.misbehave(behave("slow", seconds=0.4))
    slow = asyncio.ensure_future(bench.executor.execute(lease))
    await until_dispatched(bench, lease)
    taken = await bench.workflows.take_over(lease)
    assert isinstance(await bench.executor.execute(taken), IcpResult)
    await asyncio.gather(slow, return_exceptions=True)
    await bench.caller.finish()
    assert len(bench.simulator.calls) == 1
    assert kinds(await bench.entries(lease)) == ["USAGE"]
    await bench.assert_books_agree(lease)
    await assert_charged_as_billed(bench, lease)


async def test_only_the_item_of_a_call_in_flight_waits(bench: Bench) -> None:
    """Fault 3: the other items go on at once; the call in flight is paid for anew after its deadline."""
    lease = await bench.workflows.lease(Step.COMPETITOR)
    first, second = [item.name for item in MODEL_STEPS[Step.COMPETITOR].items(lease.input)]
    row = await begin(bench, lease, item=second)
    assert await bench.workflows.journal.dispatch_if_authorized_and_leased(row) is not None
    taken = await bench.workflows.take_over(lease)
    await bench.executor.execute(taken)
    calls = {(call.item, call.attempt): call for call in await bench.workflows.calls(lease)}
    assert set(calls) == {(first, 1), (second, 1), (second, 2)}
    assert calls[first, 1].create_time < calls[second, 1].update_time
    waited = calls[second, 2].create_time - calls[second, 1].create_time
    assert waited.total_seconds() >= CALL_DEADLINE_SECONDS
    await bench.assert_books_agree(lease)


async def test_a_worker_that_was_taken_over_settles_what_it_spent(bench: Bench) -> None:
    """Fault 11: after the call's deadline the next owner settles it from the provider's record and pays anew;
    what the late worker knows changes nothing more.
    """
    lease = await bench.workflows.lease(Step.ICP)
    bench.simulator.misbehave(behave("slow", seconds=0.6))
    slow = asyncio.ensure_future(bench.executor.execute(lease))
    await until_dispatched(bench, lease)
    taken = await bench.workflows.take_over(lease)
    # A deadline a second ago: the time that a caller has to record an outcome after it has passed, too.
    impatient = bench.another_caller(call_deadline_seconds=-1.0)
    assert isinstance(await bench.another_executor(impatient).execute(taken), IcpResult)
    with pytest.raises(Refusal) as caught:
        await slow
    assert caught.value.reason == "LEASE_LOST"
    await bench.caller.finish()  # the refusal does not wait for the correction
    entries = await bench.entries(lease)
    assert kinds(entries) == ["USAGE", "USAGE"]
    assert sum(entry.cost_nano_usd for entry in entries) == sum(
        call.billed_nano_usd for call in bench.simulator.calls
    )
    await bench.assert_books_agree(lease)
    await assert_charged_as_billed(bench, lease)


@pytest.mark.parametrize("first", ["the late one", "the new owner"])
async def test_a_late_settlement_beside_the_new_owners_is_counted_once(bench: Bench, first: str) -> None:
    """Fault 11: two owners settle one call in either order, and its cost is counted once."""
    lease = await bench.workflows.lease(Step.ICP)
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
    ends = [
        (late, Response(served_model=SONAR, usage=CallUsage(100, 0, 0, 50, 0, 1))),
        (adopted, Response(error_class=ErrorClass.LEASE_EXPIRED)),
    ]
    outer, inner = ends if first == "the late one" else reversed(ends)

    def ender(client: GovernorClient) -> CallEnder:
        return CallEnder(journal, client, bench.provider)

    async def end_the_other() -> None:
        await ender(bench.client).respond_and_settle(*inner)

    interrupted = InterruptedClient(bench.channel, end_the_other)
    await ender(interrupted).respond_and_settle(*outer)
    assert sum(entry.cost_nano_usd for entry in await bench.entries(lease)) == 100 * 1000 + 50 * 2000
    await bench.assert_books_agree(lease)


class InterruptedClient(GovernorClient):
    """Runs `meanwhile` between the governor's first settlement and its return to the caller."""

    def __init__(self, channel: grpc.aio.Channel, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__(channel)
        self._meanwhile: Callable[[], Awaitable[None]] | None = meanwhile

    async def send_settle(self, request: SettleRequest, timeout_seconds: float) -> Settlement:
        settlement = await super().send_settle(request, timeout_seconds)
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return settlement


async def test_a_cancelled_workflow_sends_nothing_more(bench: Bench) -> None:
    """After a cancellation between two items the next call is not begun."""
    lease = await bench.workflows.lease(Step.COMPETITOR)
    bench.simulator.misbehave(behave("slow", seconds=0.3))
    run = asyncio.ensure_future(bench.executor.execute(lease))
    await until_dispatched(bench, lease)
    await bench.workflows.cancel(lease)
    with pytest.raises(Refusal) as caught:
        await run
    assert caught.value.reason == "LEASE_LOST"
    assert len(bench.simulator.calls) == 1
    await bench.assert_books_agree(lease)
