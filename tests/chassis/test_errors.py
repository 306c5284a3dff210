"""The table of codes, and statuses that carry all details and stay small."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from hypothesis import example, given
from hypothesis import strategies as st

from infin8.governor.v1.errors_pb2 import ErrorReason as GovernorReason
from infin8.workflow.v1.errors_pb2 import ErrorReason as WorkflowReason
from service_chassis.refusal import FieldViolation, QuotaViolation, Refusal
from service_chassis.rpc.errors import CODES, DETAILS_KEY, from_rpc_error, to_rpc_status

DOMAIN = "governor.infin8"

# Copied word for word from the contract's page on errors.
CONTRACT = {
    "INVALID_ARGUMENT": "INVALID_FIELD",
    "OUT_OF_RANGE": "VALUE_TOO_LARGE",
    "NOT_FOUND": "WORKFLOW_NOT_FOUND AUTHORIZATION_NOT_FOUND ENTRY_NOT_FOUND BUDGET_NOT_FOUND "
    "PRICE_NOT_FOUND TIER_NOT_FOUND MODEL_NOT_PRICED ORGANIZATION_UNKNOWN",
    "ALREADY_EXISTS": "REQUEST_ID_REUSED",
    "RESOURCE_EXHAUSTED": "BUDGET_EXCEEDED",
    "FAILED_PRECONDITION": "ILLEGAL_TRANSITION AUTHORIZATION_NOT_PENDING NOTHING_APPROVED FROZEN PAUSED",
    "ABORTED": "STATE_CONFLICT LEASE_LOST",
    "UNAVAILABLE": "DATABASE_UNAVAILABLE GOVERNOR_UNAVAILABLE OVERLOADED SHUTTING_DOWN",
    "UNAUTHENTICATED": "CREDENTIALS_MISSING CREDENTIALS_INVALID",
    "PERMISSION_DENIED": "SCOPE_MISSING MODEL_NOT_ALLOWED",
    "DEADLINE_EXCEEDED": "DEADLINE_TOO_SHORT",
    "UNIMPLEMENTED": "NOT_BUILT_YET",
    "INTERNAL": "INTERNAL_ERROR",
}


class Received(grpc.RpcError):
    """An error as a client receives it."""

    def __init__(self, *metadata: tuple[str, bytes]) -> None:
        self._metadata = metadata

    def trailing_metadata(self) -> Any:
        return self._metadata


def received(refusal: Refusal, domain: str = DOMAIN) -> Received:
    return Received((DETAILS_KEY, to_rpc_status(refusal, domain=domain).SerializeToString()))


def test_every_reason_has_its_code() -> None:
    """The table equals the contract's."""
    assert {
        name: grpc.StatusCode[code] for code, names in CONTRACT.items() for name in names.split()
    } == CODES


@pytest.mark.parametrize("enum", [GovernorReason, WorkflowReason])
def test_every_reason_of_the_protos_is_in_the_table(enum: type[GovernorReason]) -> None:
    """Each reason of the protos has a code; one without a code would be answered as INTERNAL."""
    names = {name.removeprefix("ERROR_REASON_") for name in enum.keys()}  # noqa: SIM118 - it is not a dict
    assert names - {"UNSPECIFIED"} <= set(CODES)


def test_the_client_gets_the_refusal_back() -> None:
    """The client gets reason, message, metadata, fields, budgets and retry time."""
    sent = Refusal(
        "BUDGET_EXCEEDED",
        "the month's budget has no room",
        metadata={"scope": "ORGANIZATION", "limit_nano_usd": "25000000000"},
        fields=[FieldViolation("models[1]", "is unknown")],
        quotas=[QuotaViolation("organization", "available 7, requested 8")],
        retry_after_seconds=2.5,
    )
    back = from_rpc_error(received(sent), domain=DOMAIN)
    assert back is not None
    assert vars(back) == vars(sent)


def test_unavailable_always_says_when_to_come_back() -> None:
    """UNAVAILABLE always has RetryInfo, also where the refusal has none."""
    back = from_rpc_error(received(Refusal("OVERLOADED", "")))
    assert back is not None
    assert back.retry_after_seconds == 1
    other = from_rpc_error(received(Refusal("FROZEN", "")))
    assert other is not None
    assert other.retry_after_seconds is None


@example("m" * 600, {str(key): "v" * 300 for key in range(40)}, [])
@example("m" * 600, {}, [("s" * 300, "d" * 600)] * 40)
@given(
    st.text(max_size=3000),
    st.dictionaries(st.text(max_size=80), st.text(max_size=2000), max_size=20),
    st.lists(st.tuples(st.text(max_size=500), st.text(max_size=3000)), max_size=30),
)
def test_details_stay_below_4_kib(
    message: str, metadata: dict[str, str], violations: list[tuple[str, str]]
) -> None:
    """A refusal of any size arrives: details that do not fit are dropped from the end."""
    status = to_rpc_status(
        Refusal(
            "BUDGET_EXCEEDED",
            message,
            metadata=metadata,
            fields=[FieldViolation(*violation) for violation in violations],
            quotas=[QuotaViolation(*violation) for violation in violations],
            retry_after_seconds=1,
        ),
        domain=DOMAIN,
    )
    assert status.ByteSize() < 4096
    assert len(status.message.encode()) <= 512
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.reason == "BUDGET_EXCEEDED"


@pytest.mark.parametrize(
    "error",
    [
        grpc.RpcError(),
        Received(),
        Received((DETAILS_KEY, b"\xff")),
        Received((DETAILS_KEY, b"")),
        received(Refusal("FROZEN", ""), domain="somebody.else"),
    ],
)
def test_an_error_of_another_kind_is_none_of_ours(error: grpc.RpcError) -> None:
    """An error of the transport, of another service, or with unreadable details is no refusal of ours."""
    assert from_rpc_error(error, domain=DOMAIN) is None
