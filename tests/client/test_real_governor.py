"""Governed calls, synchronous and asynchronous, against a real governor: the resulting ledger and budgets."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest

from governor_client import GovernorClient, GovernorUnavailableError, SyncGovernedCall, SyncGovernorClient
from governor_service.__main__ import running
from governor_service.settings import GovernorSettings
from infin8.governor.v1.authorization_pb2 import AuthorizationState
from infin8.governor.v1.entry_pb2 import EntryKind, Usage
from service_chassis.refusal import Refusal
from tests.governor.conftest import SONAR, Governor, governor, new_id

__all__ = ["governor"]

USAGE = Usage(input_tokens=600, output_tokens=100, requests=1)
HOLD, COST = 2_400_000, 800_000


class Broken(Exception):  # noqa: N818 - what the caller's code raises
    """The caller's own error."""


@dataclass
class Served:
    """A governor for clients, with helpers that read its state."""

    seen: Governor

    @property
    def target(self) -> str:
        return self.seen.target

    def planned(self, **changes: Any) -> Any:
        """A call of 1,000 input and 700 output tokens of sonar."""
        fields: dict[str, Any] = {
            "organization_id": UUID(self.seen.organization_id),
            "workflow_id": UUID(self.seen.workflow_id),
            "models": [SONAR],
            "input_tokens_max": 1000,
            "output_tokens_max": 700,
        }
        return fields | changes

    async def in_thread(self, work: Callable[[SyncGovernorClient], Any]) -> Any:
        """Runs blocking work in a thread, since the event loop serves the governor."""

        def connected() -> Any:
            with SyncGovernorClient.connect(self.target) as client:
                return work(client)

        return await asyncio.to_thread(connected)

    async def money(self) -> tuple[int, int]:
        """Spent and held of the workflow."""
        budget = await self.seen.workflow_budget()
        return budget.spent_nano_usd, budget.held_nano_usd

    async def kinds(self) -> list[str]:
        return [EntryKind.Name(entry.kind) for entry in await self.seen.entries()]


@pytest.fixture
def served(governor: Governor) -> Served:
    return Served(governor)


async def test_a_call_that_went_well(served: Served) -> None:
    """A successful call is held while it runs and settled with its usage; the rest is released."""
    held = threading.Event()
    looked = threading.Event()

    def work(client: SyncGovernorClient) -> Any:
        with client.governed_call(**served.planned()) as call:
            hold = call.dispatch()
            held.set()
            assert looked.wait(20)
            return hold, call.settle(USAGE, served_model=hold.model)

    ran = asyncio.ensure_future(served.in_thread(work))
    await asyncio.to_thread(held.wait, 20)
    assert await served.money() == (0, HOLD)
    looked.set()
    hold, settlement = await ran
    assert (hold.held_nano_usd, settlement.entry.cost_nano_usd) == (HOLD, COST)
    assert settlement.released_nano_usd == HOLD - COST
    assert await served.money() == (COST, 0)


async def test_a_call_that_was_never_sent(served: Served) -> None:
    """A call that was not sent is not charged, and nothing stays held."""

    def work(client: SyncGovernorClient) -> None:
        with client.governed_call(**served.planned()):
            raise Broken

    with pytest.raises(Broken):
        await served.in_thread(work)
    assert await served.money() == (0, 0)
    assert await served.kinds() == []


async def test_a_call_that_broke_on_its_way(served: Served) -> None:
    """A call that fails after dispatch is charged as unknown until its usage is sent."""

    def work(client: SyncGovernorClient) -> SyncGovernedCall:
        with suppress(Broken), client.governed_call(**served.planned()) as call:
            call.dispatch()
            raise Broken
        return call

    call = await served.in_thread(work)
    assert await served.money() == (HOLD, 0)
    assert await served.kinds() == ["ENTRY_KIND_UNKNOWN"]
    await served.in_thread(
        lambda client: client.settle(
            organization_id=UUID(served.seen.organization_id),
            authorization_id=UUID(call.dispatch().authorization_id),
            usage=USAGE,
        )
    )
    assert await served.money() == (COST, 0)


async def test_a_call_that_is_refused(served: Served) -> None:
    """The body of a refused call does not run."""
    await served.seen.set_workflow_limit(HOLD - 1)

    def work(client: SyncGovernorClient) -> None:
        with client.governed_call(**served.planned()):
            raise AssertionError("it is not authorized")

    with pytest.raises(Refusal) as caught:
        await served.in_thread(work)
    assert caught.value.reason == "BUDGET_EXCEEDED"
    assert caught.value.metadata["requested_nano_usd"] == str(HOLD)
    assert await served.money() == (0, 0)


async def test_the_same_request_id_holds_once(served: Served) -> None:
    """A retry finds the hold of a process that died; after that hold has ended the id is refused."""
    request_id = uuid4()

    def work(client: SyncGovernorClient) -> tuple[str, str]:
        first = client.governed_call(**served.planned(), request_id=request_id)
        first.__enter__()  # its process dies
        with client.governed_call(**served.planned(), request_id=request_id) as again:
            again.dispatch()
            again.settle(USAGE)
        return first.dispatch().authorization_id, again.dispatch().authorization_id

    one, other = await served.in_thread(work)
    assert one == other
    assert await served.money() == (COST, 0)

    def once_more(client: SyncGovernorClient) -> None:
        with client.governed_call(**served.planned(), request_id=request_id):
            raise AssertionError("its hold has ended")

    with pytest.raises(Refusal) as caught:
        await served.in_thread(once_more)
    assert caught.value.reason == "AUTHORIZATION_NOT_PENDING"


async def test_threads_share_a_client(served: Served) -> None:
    """Many threads use one client at once, and each call has its own hold."""

    def work(client: SyncGovernorClient) -> None:
        def one() -> None:
            with client.governed_call(**served.planned()) as call:
                call.dispatch()
                call.settle(USAGE)

        threads = [threading.Thread(target=one) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    await served.in_thread(work)
    assert await served.money() == (10 * COST, 0)


async def test_single_calls(served: Served) -> None:
    """Authorize, look up, settle and void also work as single calls."""

    def work(client: SyncGovernorClient) -> tuple[Any, ...]:
        organization_id = UUID(served.seen.organization_id)
        hold = client.authorize(request_id=uuid4(), **served.planned())
        found = client.get_authorization(organization_id=organization_id, request_id=UUID(hold.request_id))
        settlement = client.settle(
            organization_id=organization_id, authorization_id=UUID(hold.authorization_id), usage=None
        )
        voided = client.void(organization_id=organization_id, request_id=uuid4(), reason="never asked")
        return hold, found, settlement, voided

    hold, found, settlement, voided = await served.in_thread(work)
    assert found.authorization_id == hold.authorization_id
    assert settlement.entry.cost_nano_usd == HOLD
    assert voided.state == AuthorizationState.AUTHORIZATION_STATE_VOIDED


@pytest.mark.parametrize(
    ("dispatched", "raises", "money"),
    [
        (False, False, (0, 0)),
        (False, True, (0, 0)),
        (True, False, (HOLD, 0)),
        (True, True, (HOLD, 0)),
    ],
)
async def test_async_blocks_end_alike(
    served: Served, dispatched: bool, raises: bool, money: tuple[int, int]
) -> None:
    """An asynchronous block is voided before dispatch and charged as unknown after it."""
    async with GovernorClient.connect(served.target) as client:
        with suppress(Broken):
            async with client.governed_call(**served.planned()) as call:
                if dispatched:
                    call.dispatch()
                if raises:
                    raise Broken
    assert await served.money() == money


async def test_an_async_call_that_went_well(served: Served) -> None:
    """A successful asynchronous call is settled with its usage."""
    async with GovernorClient.connect(served.target) as client:
        async with client.governed_call(**served.planned()) as call:
            hold = call.dispatch()
            settlement = await call.settle(USAGE, served_model=hold.model)
        assert settlement.entry.cost_nano_usd == COST
        async with client.governed_call(**served.planned()) as refused:
            refused.dispatch()
            await refused.void("402 from the provider")
    assert await served.money() == (COST, 0)


async def test_a_cancelled_async_call_ends_its_hold(served: Served) -> None:
    """A cancellation in the middle of the call leaves an entry and no hold."""
    sent = asyncio.Event()
    async with GovernorClient.connect(served.target) as client:

        async def work() -> None:
            async with client.governed_call(**served.planned()) as call:
                call.dispatch()
                sent.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await sent.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await served.money() == (HOLD, 0)


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_the_deadline_bounds_authorizing() -> None:
    """Without an answer, authorizing takes no longer than the deadline plus a short time to void."""
    with silent_port() as port, SyncGovernorClient.connect(f"127.0.0.1:{port}") as client:
        began = time.monotonic()
        with pytest.raises(GovernorUnavailableError):
            client.authorize(
                organization_id=uuid4(),
                workflow_id=uuid4(),
                request_id=uuid4(),
                models=[SONAR],
                input_tokens_max=1,
                output_tokens_max=1,
                timeout_seconds=1.5,
            )
        assert 1 < time.monotonic() - began < 2.5
        began = time.monotonic()
        call = client.governed_call(
            organization_id=uuid4(),
            workflow_id=uuid4(),
            models=[SONAR],
            input_tokens_max=1,
            output_tokens_max=1,
            timeout_seconds=1,
        )
        with pytest.raises(GovernorUnavailableError), call:
            raise AssertionError("nothing was authorized")
        assert 1 < time.monotonic() - began < 3


async def test_a_governor_that_comes_back_is_found(governor_dsn: str) -> None:
    """Settle is repeated until the governor is back, within the deadline, and takes effect once."""
    settings = GovernorSettings(database_url=governor_dsn, port=0, price_list="document")
    organization_id, workflow_id = new_id(), new_id()
    async with running(settings) as port:
        pass
    settings = GovernorSettings(database_url=governor_dsn, port=port, price_list="document")
    authorized, down = threading.Event(), threading.Event()

    def work() -> Any:
        with (
            SyncGovernorClient.connect(f"127.0.0.1:{port}") as client,
            client.governed_call(
                organization_id=UUID(organization_id),
                workflow_id=UUID(workflow_id),
                models=[SONAR],
                input_tokens_max=1000,
                output_tokens_max=700,
                timeout_seconds=30,
            ) as call,
        ):
            call.dispatch()
            authorized.set()
            assert down.wait(20)
            return call.settle(USAGE)

    ran = asyncio.ensure_future(asyncio.to_thread(work))
    async with running(settings):
        await asyncio.to_thread(authorized.wait, 20)
    down.set()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(ran), 0.5)
    async with (
        running(settings),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        settlement = await ran
        seen = Governor(channel, governor_dsn, organization_id, workflow_id)
        assert [entry.cost_nano_usd for entry in await seen.entries()] == [COST]
    assert settlement.entry.cost_nano_usd == COST


@pytest.mark.parametrize(
    "text", ["", "400:\r\n\tno such parameter", "\x1b[31m\0", "a\udcff", "\u202e", "x" * 100_000]
)
async def test_no_text_keeps_a_hold_from_being_voided(served: Served, text: str) -> None:
    """The client shortens and cleans the text of an exception, so that Void accepts it."""

    def work(client: SyncGovernorClient) -> Any:
        with client.governed_call(**served.planned()) as call:
            call.dispatch()
            return call.void(text)

    assert (await served.in_thread(work)).state == AuthorizationState.AUTHORIZATION_STATE_VOIDED
    async with (
        GovernorClient.connect(served.target) as client,
        client.governed_call(**served.planned()) as call,
    ):
        call.dispatch()
        voided = await call.void(text)
    assert voided.state == AuthorizationState.AUTHORIZATION_STATE_VOIDED
    assert (await served.seen.workflow_budget()).held_nano_usd == 0
