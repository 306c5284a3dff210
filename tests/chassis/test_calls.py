"""A refusal reaches the caller with its details; an internal error tells the caller nothing of its cause."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from service_chassis.refusal import FieldViolation, Refusal
from service_chassis.rpc.admission import MESSAGE_BYTES_MAX
from service_chassis.rpc.errors import from_rpc_error
from tests.chassis.callers import asking, stream, unary, unary_call
from tests.chassis.conftest import DOMAIN, NAME, Tiny

NOT_PROTOBUF = b"\xff\xff"
BAD_UTF8 = b"\x0a\x02\xff\xfe"


BOTH = pytest.mark.parametrize("call", [unary, stream])


async def error_of(awaitable: Any) -> tuple[grpc.aio.AioRpcError, Refusal]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await awaitable
    refusal = from_rpc_error(raised.value, domain=DOMAIN)
    assert refusal is not None
    return raised.value, refusal


@BOTH
async def test_a_good_call_is_answered(channel: grpc.aio.Channel, call: Any) -> None:
    """Unary calls and streams are answered."""
    assert await call(channel, asking(""))


async def test_a_refusal_arrives_with_its_details(channel: grpc.aio.Channel) -> None:
    """The refusal has its reason in ErrorInfo, under the service's domain, and the field in BadRequest."""
    error, refusal = await error_of(unary(channel, asking("refuse")))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.reason == "INVALID_FIELD"
    assert refusal.fields == (FieldViolation("profile.name", "is required"),)


@BOTH
async def test_bytes_that_are_no_protobuf(channel: grpc.aio.Channel, call: Any) -> None:
    """Bytes that are no protobuf get INVALID_FIELD, not the framework's UNKNOWN with an exception's text."""
    error, refusal = await error_of(call(channel, NOT_PROTOBUF))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in refusal.fields] == ["request"]


@BOTH
async def test_text_that_is_no_utf8(channel: grpc.aio.Channel, call: Any) -> None:
    """Text that is not UTF-8 gets INVALID_FIELD with the path of the field."""
    error, refusal = await error_of(call(channel, BAD_UTF8))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in refusal.fields] == ["service"]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (unary, "raise"),
        (unary, "wrong type"),
        (unary, "inner cancel"),
        (unary, "unknown reason"),
        (stream, "raise"),
    ],
)
async def test_an_unexpected_exception_is_internal_error(
    channel: grpc.aio.Channel, call: Any, text: str
) -> None:
    """An unexpected exception becomes INTERNAL_ERROR with a correlation id only, long before the deadline."""
    error, refusal = await error_of(call(channel, asking(text)))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert refusal.reason == "INTERNAL_ERROR"
    assert list(refusal.metadata) == ["correlation_id"]
    assert refusal.message == f"internal error; correlation id {refusal.metadata['correlation_id']}"
    assert "secret" not in str(error)


async def test_a_method_without_code_is_not_built_yet(channel: grpc.aio.Channel) -> None:
    """The NotImplementedError of a generated servicer becomes NOT_BUILT_YET."""
    error, refusal = await error_of(unary(channel, asking("not written")))
    assert (error.code(), refusal.reason) == (grpc.StatusCode.UNIMPLEMENTED, "NOT_BUILT_YET")


async def test_a_handler_may_end_a_call_with_a_status_of_its_own(channel: grpc.aio.Channel) -> None:
    """A status from context.abort() reaches the caller unchanged and is not logged as an error."""
    with capture_logs() as logs, pytest.raises(grpc.aio.AioRpcError) as raised:
        await unary(channel, asking("own status"))
    assert not logs
    assert (raised.value.code(), raised.value.details()) == (grpc.StatusCode.DATA_LOSS, "gone")


@pytest.mark.parametrize(
    ("method", "raw", "code"),
    [
        ("Nope", b"", grpc.StatusCode.UNIMPLEMENTED),
        ("Unary", asking("x" * MESSAGE_BYTES_MAX), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
async def test_the_transport_refuses_without_details(
    channel: grpc.aio.Channel, method: str, raw: bytes, code: grpc.StatusCode
) -> None:
    """gRPC refuses an unknown method and a message above 4 MiB with a code and no details."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await unary(channel, raw, method=f"/{NAME}/{method}")
    assert raised.value.code() is code
    assert from_rpc_error(raised.value) is None


async def test_a_deadline_with_too_little_left_does_nothing(channel: grpc.aio.Channel, tiny: Tiny) -> None:
    """A call with too little time left gets DEADLINE_EXCEEDED before its handler begins."""
    await unary(channel, asking(""))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await unary(channel, asking(""), seconds=0.02)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert tiny.finished == 1


async def test_work_left_in_a_task_has_no_deadline(channel: grpc.aio.Channel, tiny: Tiny) -> None:
    """A task that a handler leaves behind does not inherit the call's deadline."""
    await unary(channel, asking("task"), seconds=5)
    assert tiny.seconds_left_in_task is None


async def test_a_caller_that_goes_away_cancels_its_handler(channel: grpc.aio.Channel, tiny: Tiny) -> None:
    """The handler of a caller that goes away is cancelled, and the log has no error of ours."""
    with capture_logs() as logs:
        call = asyncio.create_task(unary(channel, asking("wait")))
        await tiny.started.wait()
        call.cancel()
        async with asyncio.timeout(5):
            while not tiny.cancelled:  # noqa: ASYNC110 - it happens in the server, which sets no event
                await asyncio.sleep(0.01)
        await unary(channel, asking(""))
    assert not logs


@pytest.mark.parametrize(
    ("sent", "comes_back"),
    [("run-7/step.2", True), ("two words", False), ("x" * 129, False), (None, False)],
)
async def test_the_correlation_id_comes_back(
    channel: grpc.aio.Channel, sent: str | None, comes_back: bool
) -> None:
    """A correlation id that is fit for a log line comes back; otherwise a new one takes its place."""
    metadata = (("x-correlation-id", sent),) if sent else ()
    call = unary_call(channel, asking(""), metadata=metadata)
    await call
    trailing = dict(await call.trailing_metadata())
    assert ("x-correlation-id" in trailing) is (sent is not None)
    assert (trailing.get("x-correlation-id", "none") == sent) is comes_back
    error, _ = await error_of(unary(channel, asking("refuse"), metadata=metadata))
    assert (dict(error.trailing_metadata())["x-correlation-id"] == sent) is comes_back
