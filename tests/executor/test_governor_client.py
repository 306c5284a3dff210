"""The governor's client against a governor that fails, restarts, hangs and refuses, over a real socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from grpc_status import rpc_status

from governor_client import GovernorClient, GovernorUnavailableError
from infin8.governor.v1.authorization_pb2 import Authorization, ExpiryAction
from infin8.governor.v1.entry_pb2 import Usage
from infin8.governor.v1.governor_service_pb2 import AuthorizeRequest, Settlement, SettleRequest
from infin8.governor.v1.governor_service_pb2_grpc import (
    GovernorServiceServicer,
    add_GovernorServiceServicer_to_server,
)
from service_chassis.refusal import Refusal
from service_chassis.rpc.errors import to_rpc_status

Answer = Callable[[Any], Awaitable[None]]


async def granted(_: Any) -> None:
    """The call succeeds."""


def refused(reason: str, *, retry_after_seconds: float | None = None, **metadata: str) -> Answer:
    async def answer(context: Any) -> None:
        refusal = Refusal(reason, "no", metadata=metadata, retry_after_seconds=retry_after_seconds)
        status = to_rpc_status(refusal, domain="governor.infin8")
        await context.abort_with_status(rpc_status.to_status(status))

    return answer


def failed(code: grpc.StatusCode) -> Answer:
    async def answer(context: Any) -> None:
        await context.abort(code, "no details")

    return answer


async def hangs(_: Any) -> None:
    await asyncio.Event().wait()


class ScriptedGovernor(GovernorServiceServicer):
    """Answers the calls as the script says, one by one; after its end it grants."""

    def __init__(self, *script: Answer) -> None:
        self.script = list(script)
        self.requests: list[Any] = []

    async def _answer(self, request: Any, context: Any) -> None:
        self.requests.append(request)
        await (self.script.pop(0) if self.script else granted)(context)

    async def Authorize(self, request: AuthorizeRequest, context: Any) -> Authorization:  # noqa: N802
        await self._answer(request, context)
        return Authorization(request_id=request.request_id, model=request.models[0])

    async def Settle(self, request: SettleRequest, context: Any) -> Settlement:  # noqa: N802
        await self._answer(request, context)
        return Settlement(released_nano_usd=7)


@asynccontextmanager
async def served(governor: ScriptedGovernor, port: int = 0) -> AsyncIterator[int]:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_GovernorServiceServicer_to_server(governor, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(None)


def authorize(client: GovernorClient, timeout_seconds: float = 5.0) -> Awaitable[Authorization]:
    return client.authorize(
        organization_id=uuid4(),
        workflow_id=uuid4(),
        request_id=uuid4(),
        models=["perplexity/sonar", "openai/gpt-4o-mini"],
        input_tokens_max=1000,
        output_tokens_max=700,
        hold_duration=timedelta(minutes=3),
        on_expiry=ExpiryAction.EXPIRY_ACTION_CHARGE,
        labels={"step": "ICP"},
        timeout_seconds=timeout_seconds,
    )


@pytest.mark.parametrize(
    "trouble",
    [
        failed(grpc.StatusCode.UNAVAILABLE),
        failed(grpc.StatusCode.CANCELLED),
        refused("DATABASE_UNAVAILABLE", retry_after_seconds=0.05),
        refused("OVERLOADED", retry_after_seconds=0.05),
        refused("SHUTTING_DOWN", retry_after_seconds=0.05),
    ],
)
async def test_trouble_that_passes_is_tried_again_under_the_same_request_id(trouble: Answer) -> None:
    """Every attempt sends exactly the same request, so that no second hold is placed."""
    governor = ScriptedGovernor(trouble, trouble)
    async with served(governor) as port, GovernorClient.connect(f"127.0.0.1:{port}") as client:
        authorization = await authorize(client)
    assert len(governor.requests) == 3
    assert all(request == governor.requests[0] for request in governor.requests)
    assert authorization.request_id == governor.requests[0].request_id
    assert governor.requests[0].on_expiry == ExpiryAction.EXPIRY_ACTION_CHARGE
    assert governor.requests[0].hold_duration.seconds == 180


async def test_a_governor_that_comes_back_is_found() -> None:
    """A refused connection is tried again until the deadline."""
    governor = ScriptedGovernor()
    async with served(governor) as port:
        pass
    async with GovernorClient.connect(f"127.0.0.1:{port}") as client:
        call = asyncio.ensure_future(authorize(client, timeout_seconds=20))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(call), 0.2)
        async with served(governor, port):
            await call
    assert len(governor.requests) == 1


@pytest.mark.parametrize("reason", ["BUDGET_EXCEEDED", "FROZEN", "MODEL_NOT_PRICED", "REQUEST_ID_REUSED"])
async def test_a_refusal_is_final_and_keeps_its_reason(reason: str) -> None:
    """A decision of the governor is not asked for again, and keeps its reason."""
    governor = ScriptedGovernor(refused(reason, scope="WORKFLOW"))
    async with served(governor) as port, GovernorClient.connect(f"127.0.0.1:{port}") as client:
        with pytest.raises(Refusal) as caught:
            await authorize(client)
    assert not isinstance(caught.value, GovernorUnavailableError)
    assert (caught.value.reason, caught.value.metadata) == (reason, {"scope": "WORKFLOW"})
    assert len(governor.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        failed(grpc.StatusCode.INTERNAL),
        failed(grpc.StatusCode.UNKNOWN),
        failed(grpc.StatusCode.UNIMPLEMENTED),
        refused("INTERNAL_ERROR"),
    ],
)
async def test_an_error_without_a_decision_is_unavailability(answer: Answer) -> None:
    """It is no refusal, since the call may have taken effect; it is not tried again, since it would recur."""
    governor = ScriptedGovernor(answer)
    async with served(governor) as port, GovernorClient.connect(f"127.0.0.1:{port}") as client:
        with pytest.raises(GovernorUnavailableError) as caught:
            await authorize(client)
    assert caught.value.reason == "GOVERNOR_UNAVAILABLE"
    assert len(governor.requests) == 1


@pytest.mark.parametrize("script", [(hangs,), (failed(grpc.StatusCode.UNAVAILABLE),) * 100])
async def test_the_deadline_bounds_all_attempts_together(script: tuple[Answer, ...]) -> None:
    """A governor that hangs or always fails does not keep the caller past the deadline."""
    governor = ScriptedGovernor(*script)
    began = time.monotonic()
    async with served(governor) as port, GovernorClient.connect(f"127.0.0.1:{port}") as client:
        with pytest.raises(GovernorUnavailableError):
            await authorize(client, timeout_seconds=2.5)
        assert 2 < time.monotonic() - began < 4


async def test_a_wait_past_the_deadline_is_not_waited() -> None:
    """A Retry-After beyond the deadline ends the call at once."""
    governor = ScriptedGovernor(refused("OVERLOADED", retry_after_seconds=60))
    began = time.monotonic()
    async with served(governor) as port, GovernorClient.connect(f"127.0.0.1:{port}") as client:
        with pytest.raises(GovernorUnavailableError):
            await authorize(client)
    assert time.monotonic() - began < 3


async def test_an_outcome_is_usage_or_unknown_and_never_both() -> None:
    """`usage=None` settles as unknown; a provider's cost of 0 is sent as 0."""
    governor = ScriptedGovernor()
    async with served(governor) as port, GovernorClient.connect(f"127.0.0.1:{port}") as client:
        one, other = uuid4(), uuid4()
        await client.settle(
            organization_id=one,
            authorization_id=other,
            usage=Usage(input_tokens=1),
            provider_cost_nano_usd=0,
        )
        await client.settle(organization_id=one, authorization_id=other, usage=None)
    with_usage, unknown = governor.requests
    assert with_usage.WhichOneof("outcome") == "usage"
    assert with_usage.HasField("provider_cost_nano_usd")
    assert unknown.WhichOneof("outcome") == "unknown_outcome"
    assert not unknown.HasField("provider_cost_nano_usd")
