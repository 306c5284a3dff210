"""A synchronous client on grpcio-testing's channel: the test sees each RPC and chooses how it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from uuid import UUID

import grpc
import grpc_testing  # type: ignore[import-untyped] # it has no stubs
import pytest

from governor_client import SyncGovernedCall, SyncGovernorClient
from infin8.governor.v1 import governor_service_pb2
from infin8.governor.v1.authorization_pb2 import Authorization
from service_chassis.refusal import Refusal
from service_chassis.rpc.errors import CODES, DETAILS_KEY, to_rpc_status

SERVICE = governor_service_pb2.DESCRIPTOR.services_by_name["GovernorService"]
ORGANIZATION = UUID("7d0b8c1e-6f6a-4b52-9a51-0c1f7e1f9a11")
WORKFLOW = UUID("1f2e3d4c-5b6a-4798-8a9b-acbdcedfe0f1")
SONAR = "perplexity/sonar"
GRANT = Authorization(
    authorization_id="0a1b2c3d-4e5f-4061-8273-8495a6b7c8d9", model=SONAR, output_tokens_max=500
)


def governed(client: SyncGovernorClient, **changes: Any) -> SyncGovernedCall:
    fields: dict[str, Any] = {
        "organization_id": ORGANIZATION,
        "workflow_id": WORKFLOW,
        "models": [SONAR],
        "input_tokens_max": 1000,
        "output_tokens_max": 700,
    }
    return client.governed_call(**(fields | changes))


class FakeGovernor:
    """The server's end of the fake channel."""

    def __init__(self) -> None:
        self.channel = grpc_testing.channel([SERVICE], grpc_testing.strict_real_time())
        self.client = SyncGovernorClient(self.channel)

    def run(self, work: Callable[[], Any]) -> Future[Any]:
        """Runs `work` in a daemon thread, so that a test that fails does not wait for it."""
        ran: Future[Any] = Future()

        def run() -> None:
            try:
                ran.set_result(work())
            except BaseException as error:
                ran.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return ran

    def take(self, method: str) -> tuple[Any, Any]:
        """The next call of the method: its request, and the object that ends the call."""
        _, request, rpc = self.channel.take_unary_unary(SERVICE.methods_by_name[method])
        return request, rpc

    def answer(self, method: str, response: Any) -> Any:
        request, rpc = self.take(method)
        rpc.terminate(response, (), grpc.StatusCode.OK, "")
        return request

    def refuse(self, method: str, reason: str, **details: Any) -> Any:
        request, rpc = self.take(method)
        status = to_rpc_status(Refusal(reason, "no", **details), domain="governor.infin8")
        rpc.terminate(None, ((DETAILS_KEY, status.SerializeToString()),), CODES[reason], status.message)
        return request

    def fail(self, method: str, code: grpc.StatusCode) -> Any:
        request, rpc = self.take(method)
        rpc.terminate(None, (), code, "no details")
        return request


@pytest.fixture
def fake() -> FakeGovernor:
    return FakeGovernor()
