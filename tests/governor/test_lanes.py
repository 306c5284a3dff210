"""A locked organization does not block a lane: all other organizations are still answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest

from governor_service.__main__ import running
from governor_service.domain.authorization import ExpiryAction, Hold, HoldRequest, PlannedCall
from governor_service.domain.model_id import ModelId
from governor_service.settings import GovernorSettings
from governor_service.store.holds import HoldStore, connections_of_lanes
from infin8.governor.v1 import authorization_pb2, entry_pb2, errors_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from service_chassis.postgres.database import Database
from tests.governor.conftest import SONAR, Governor, new_id, refusal

USAGE = entry_pb2.Usage(input_tokens=1, output_tokens=1, requests=1)
CALLERS, PAIRS = 40, 6
# Half of lock_timeout, so that no call can have waited for the whole of it.
ANSWER_SECONDS = 1.5


@dataclass
class Others:
    """Callers of organizations that are not locked. Every call must be answered in time without an error."""

    governor: Governor
    organization_ids: list[str] = field(default_factory=lambda: [new_id() for _ in range(CALLERS)])
    seconds: list[float] = field(default_factory=list)

    async def work(self) -> None:
        """Authorizes and settles for each organization, and by two callers in batches of all of them."""
        await asyncio.gather(*map(self._unary, self.organization_ids), self._batches(), self._batches())

    async def _unary(self, organization_id: str) -> None:
        for _ in range(PAIRS):
            held = await self._timed(
                self.governor.stub.Authorize(self._request(organization_id), timeout=ANSWER_SECONDS)
            )
            await self._timed(self.governor.stub.Settle(_settlement(held), timeout=ANSWER_SECONDS))

    async def _batches(self) -> None:
        for _ in range(2):
            items = [self._request(organization_id) for organization_id in self.organization_ids]
            holds = await self._timed(
                self.governor.stub.BatchAuthorize(
                    governor_pb2.BatchAuthorizeRequest(items=items), timeout=ANSWER_SECONDS
                )
            )
            settlements = [_settlement(each.result) for each in holds.results]
            ends = await self._timed(
                self.governor.stub.BatchSettle(
                    governor_pb2.BatchSettleRequest(items=settlements), timeout=ANSWER_SECONDS
                )
            )
            assert all(each.HasField("result") for each in ends.results)

    def _request(self, organization_id: str) -> governor_pb2.AuthorizeRequest:
        return small_request(self.governor, organization_id)

    async def _timed(self, call: Any) -> Any:
        began = time.monotonic()
        answer = await call
        self.seconds.append(time.monotonic() - began)
        return answer

    def __str__(self) -> str:
        seconds = sorted(self.seconds)
        p50, p99 = seconds[len(seconds) // 2], seconds[len(seconds) * 99 // 100]
        return f"{len(seconds)} calls: p50 {p50:.3f} s, p99 {p99:.3f} s, longest {seconds[-1]:.3f} s"


def small_request(governor: Governor, organization_id: str) -> governor_pb2.AuthorizeRequest:
    return governor.authorize_request(
        organization_id=organization_id, input_tokens_max=10, output_tokens_max=10
    )


def _settlement(held: authorization_pb2.Authorization) -> governor_pb2.SettleRequest:
    return governor_pb2.SettleRequest(
        organization_id=held.organization_id, authorization_id=held.authorization_id, usage=USAGE
    )


@asynccontextmanager
async def locked(governor: Governor, lock: str, organization_id: str) -> AsyncIterator[None]:
    """Another session keeps the organization locked inside the block."""
    session = await asyncpg.connect(governor.dsn)
    try:
        await session.execute("BEGIN")
        assert await session.fetch(lock, organization_id)
        yield
    finally:
        await session.close()


@asynccontextmanager
async def calling(call: Callable[[], Any], *, at_once: int) -> AsyncIterator[list[str]]:
    """`at_once` callers repeat the call inside the block. Yields the status codes of their calls so far."""
    outcomes: list[str] = []

    async def keep_calling() -> None:
        while True:
            try:
                await call()
            except grpc.aio.AioRpcError as error:
                outcomes.append(error.code().name)
            else:
                outcomes.append("OK")

    callers = [asyncio.create_task(keep_calling()) for _ in range(at_once)]
    try:
        yield outcomes
    finally:
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)


ORGANIZATION = "SELECT 1 FROM organizations WHERE organization_id = $1 FOR UPDATE"
BUDGETS = "SELECT 1 FROM budgets WHERE organization_id = $1 FOR UPDATE"


@pytest.mark.parametrize("lock", [ORGANIZATION, BUDGETS], ids=["organization", "budgets"])
async def test_a_locked_organization_holds_nobody_up(governor: Governor, lock: str) -> None:
    """While its row or its budgets stay locked, all other organizations are answered."""
    slow = new_id()
    await governor.stub.Authorize(small_request(governor, slow))
    others = Others(governor)

    async def call() -> None:
        await governor.stub.Authorize(small_request(governor, slow), timeout=4)

    async with locked(governor, lock, slow), calling(call, at_once=5) as outcomes:
        await others.work()
        assert "OK" not in outcomes
    print(others)
    held = await governor.stub.Authorize(small_request(governor, slow), timeout=4)
    await governor.stub.Settle(_settlement(held))


async def test_an_organization_that_is_just_being_made_holds_nobody_up(governor: Governor) -> None:
    """An uncommitted transaction has inserted its row: others cannot see the row, but wait for it."""
    slow = new_id()
    others = Others(governor)

    async def call() -> None:
        await governor.stub.Authorize(small_request(governor, slow), timeout=4)

    made = "INSERT INTO organizations (organization_id) VALUES ($1) RETURNING 1"
    async with locked(governor, made, slow), calling(call, at_once=5) as outcomes:
        await others.work()
        assert "OK" not in outcomes


async def test_sessions_that_deadlock_hold_nobody_up(governor: Governor) -> None:
    """Sessions that repeatedly violate the lock order of organizations and budgets delay no other calls."""
    first, last = sorted(new_id() for _ in range(2))
    for organization_id in (first, last):
        await governor.stub.Authorize(small_request(governor, organization_id))
    others = Others(governor)
    deadlocks = 0

    async def lock_in_turn(*locks: tuple[str, str]) -> None:
        nonlocal deadlocks
        session = await asyncpg.connect(governor.dsn)
        try:
            while True:
                await session.execute("BEGIN")
                try:
                    for lock, organization_id in locks:
                        await session.execute(lock.replace("$1", f"'{organization_id}'"))
                        await asyncio.sleep(0.02)
                except asyncpg.DeadlockDetectedError:
                    deadlocks += 1
                await session.execute("ROLLBACK")
        finally:
            await session.close()

    sessions = [
        asyncio.create_task(lock_in_turn(*locks))
        for locks in (
            [(ORGANIZATION, last), (ORGANIZATION, first)],
            [(ORGANIZATION, first), (ORGANIZATION, last)],
            [(BUDGETS, first), (ORGANIZATION, first)],
            [(BUDGETS, last), (ORGANIZATION, last)],
        )
    ]

    async def call() -> None:
        items = [small_request(governor, organization_id) for organization_id in (first, last)]
        await governor.stub.BatchAuthorize(governor_pb2.BatchAuthorizeRequest(items=items), timeout=4)

    try:
        async with calling(call, at_once=5):
            await others.work()
            while not deadlocks:
                await others.work()
    finally:
        for session in sessions:
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)
    print(others, f"beside {deadlocks} deadlocks")
    for organization_id in (first, last):
        await governor.stub.Authorize(small_request(governor, organization_id))


async def test_other_calls_for_a_locked_organization_take_no_lane(governor: Governor) -> None:
    """Voids that wait for the lock could fill the whole pool, but the lanes keep their connections."""
    slow = new_id()
    held = await governor.stub.Authorize(small_request(governor, slow))
    target = governor_pb2.VoidRequest(organization_id=slow, authorization_id=held.authorization_id)
    others = Others(governor)

    async def void() -> None:
        await governor.stub.Void(target, timeout=4)

    async with locked(governor, ORGANIZATION, slow), calling(void, at_once=30) as outcomes:
        await others.work()
        assert "OK" not in outcomes


async def test_batches_of_one_organization_each_hold_nobody_up(governor_dsn: str) -> None:
    """A locked organization delays no other with GOVERNOR_BATCH_SCOPE=organization either."""
    settings = GovernorSettings(
        database_url=governor_dsn, port=0, price_list="document", batch_scope="organization"
    )
    async with running(settings) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        governor = Governor(channel, governor_dsn, organization_id=new_id(), workflow_id=new_id())
        slow = new_id()
        await governor.stub.Authorize(small_request(governor, slow))
        others = Others(governor)

        async def call() -> None:
            await governor.stub.Authorize(small_request(governor, slow), timeout=4)

        async with locked(governor, ORGANIZATION, slow), calling(call, at_once=5) as outcomes:
            await others.work()
            assert "OK" not in outcomes


async def test_an_item_of_a_locked_organization_fails_alone(governor: Governor) -> None:
    """The batch's other items have results; the locked item is OVERLOADED, and nothing was done for it."""
    slow, quick = new_id(), [new_id() for _ in range(3)]
    await governor.stub.Authorize(small_request(governor, slow))
    items = [small_request(governor, organization_id) for organization_id in (quick[0], slow, *quick[1:])]
    async with locked(governor, ORGANIZATION, slow):
        answer = await governor.stub.BatchAuthorize(governor_pb2.BatchAuthorizeRequest(items=items))
    assert [each.HasField("result") for each in answer.results] == [True, False, True, True]
    error = answer.results[1].error
    assert (error.reason, error.code) == (
        errors_pb2.ERROR_REASON_OVERLOADED,
        grpc.StatusCode.UNAVAILABLE.value[0],
    )
    found = governor_pb2.GetAuthorizationRequest(organization_id=slow, request_id=items[1].request_id)
    assert (await refusal(governor.stub.GetAuthorization(found))).reason == "AUTHORIZATION_NOT_FOUND"


async def test_a_hold_may_stand_after_its_deadline_passed_behind_a_lock(governor: Governor) -> None:
    """The call gets DATABASE_UNAVAILABLE. By request_id the hold can then be found, replayed or voided."""
    await governor.authorize()
    requests = [governor.authorize_request() for _ in range(2)]
    async with locked(governor, ORGANIZATION, governor.organization_id):
        calls = [refusal(governor.stub.Authorize(request, timeout=1)) for request in requests]
        for refused in await asyncio.gather(*calls):
            assert refused.reason == "DATABASE_UNAVAILABLE"
            assert "may still be done" in refused.message
    found = governor_pb2.GetAuthorizationRequest(
        organization_id=governor.organization_id, request_id=requests[0].request_id
    )
    async with asyncio.timeout(10):
        while True:
            try:
                held = await governor.stub.GetAuthorization(found)
                break
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.01)
    replay = await governor.stub.Authorize(requests[0])
    assert (replay.replayed, replay.authorization_id) == (True, held.authorization_id)
    voided = await governor.stub.Void(
        governor_pb2.VoidRequest(organization_id=governor.organization_id, request_id=requests[1].request_id)
    )
    assert voided.state == authorization_pb2.AUTHORIZATION_STATE_VOIDED
    refused = await refusal(governor.stub.Authorize(requests[1]))
    assert refused.reason == "AUTHORIZATION_NOT_PENDING"


async def test_thousands_of_callers_of_one_organization_do_not_delay_another(governor: Governor) -> None:
    """The other organization's call is in the next batch, and a batch has few items of one organization."""
    settings = GovernorSettings(batch_waiters_max=5_000, batch_organization_waiters_max=5_000)
    database = await Database.open(
        governor.dsn, settings, application_name="test", reserved=connections_of_lanes(settings)
    )
    try:
        holds = HoldStore(database, settings, denies_unknown=False)
        busy = uuid4()
        many = [asyncio.create_task(holds.authorize(hold_request(busy))) for _ in range(4_000)]
        await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)
        assert isinstance(await holds.authorize(hold_request(uuid4())), Hold)
        assert sum(each.done() for each in many) < 2_000
        for each in many:
            each.cancel()
        await asyncio.gather(*many, return_exceptions=True)
    finally:
        await database.close()


def hold_request(organization_id: UUID) -> HoldRequest:
    return HoldRequest(
        request_id=uuid4(),
        call=PlannedCall(
            organization_id=organization_id,
            workflow_id=uuid4(),
            models=(ModelId((SONAR,)),),
            input_tokens_max=1,
            output_tokens_max=1,
            output_tokens_min=None,
            requests_max=1,
            cache_write_tokens_max=None,
            cache_write_1h_tokens_max=None,
            other_units_max={},
            price_context={},
            labels={},
        ),
        hold_duration=timedelta(minutes=10),
        on_expiry=ExpiryAction.RELEASE,
    )
