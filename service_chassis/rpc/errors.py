"""Converts a refusal to a gRPC status, and back in the client. The only table of status codes is here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from service_chassis.refusal import FieldViolation, QuotaViolation, Refusal

DETAILS_KEY = "grpc-status-details-bin"

# With more than about 8 KiB of trailing metadata, clients sometimes see "Stream removed" instead of the
# status. Base64 makes the details a third longer, and the message is sent a second time, percent-encoded.
DETAILS_BYTES_MAX = 4000
MESSAGE_BYTES_MAX = 512
_METADATA_VALUE_BYTES_MAX = 256

_REASONS_BY_CODE: Mapping[grpc.StatusCode, tuple[str, ...]] = {
    grpc.StatusCode.INVALID_ARGUMENT: ("INVALID_FIELD",),
    grpc.StatusCode.OUT_OF_RANGE: ("VALUE_TOO_LARGE",),
    grpc.StatusCode.NOT_FOUND: (
        "WORKFLOW_NOT_FOUND",
        "AUTHORIZATION_NOT_FOUND",
        "ENTRY_NOT_FOUND",
        "BUDGET_NOT_FOUND",
        "PRICE_NOT_FOUND",
        "TIER_NOT_FOUND",
        "MODEL_NOT_PRICED",
        "ORGANIZATION_UNKNOWN",
    ),
    grpc.StatusCode.ALREADY_EXISTS: ("REQUEST_ID_REUSED",),
    grpc.StatusCode.RESOURCE_EXHAUSTED: ("BUDGET_EXCEEDED",),
    grpc.StatusCode.FAILED_PRECONDITION: (
        "ILLEGAL_TRANSITION",
        "AUTHORIZATION_NOT_PENDING",
        "NOTHING_APPROVED",
        "PAUSED",
        "FROZEN",
    ),
    grpc.StatusCode.ABORTED: ("STATE_CONFLICT", "LEASE_LOST"),
    grpc.StatusCode.UNAVAILABLE: (
        "DATABASE_UNAVAILABLE",
        "GOVERNOR_UNAVAILABLE",
        "OVERLOADED",
        "SHUTTING_DOWN",
    ),
    grpc.StatusCode.UNAUTHENTICATED: ("CREDENTIALS_MISSING", "CREDENTIALS_INVALID"),
    grpc.StatusCode.PERMISSION_DENIED: ("SCOPE_MISSING", "MODEL_NOT_ALLOWED"),
    grpc.StatusCode.DEADLINE_EXCEEDED: ("DEADLINE_TOO_SHORT",),
    grpc.StatusCode.UNIMPLEMENTED: ("NOT_BUILT_YET",),
    grpc.StatusCode.INTERNAL: ("INTERNAL_ERROR",),
}

CODES: Mapping[str, grpc.StatusCode] = MappingProxyType(
    {reason: code for code, reasons in _REASONS_BY_CODE.items() for reason in reasons}
)
"""The status code of each reason, for both packages."""


def encoded_status(refusal: Refusal, *, domain: str) -> tuple[str, bytes]:
    """The message and the encoded status of `to_rpc_status`."""
    if refusal.metadata or refusal.fields or refusal.quotas:
        status = to_rpc_status(refusal, domain=domain)
        return status.message, status.SerializeToString()
    return _encoded_status(refusal.reason, refusal.message, refusal.retry_after_seconds, domain)


# An overloaded service refuses thousands of calls a second with the same status.
@lru_cache(maxsize=256)
def _encoded_status(
    reason: str, message: str, retry_after_seconds: float | None, domain: str
) -> tuple[str, bytes]:
    status = to_rpc_status(Refusal(reason, message, retry_after_seconds=retry_after_seconds), domain=domain)
    return status.message, status.SerializeToString()


def to_rpc_status(refusal: Refusal, *, domain: str) -> Status:
    """The status with ErrorInfo and, where the refusal has them, BadRequest, QuotaFailure and RetryInfo.

    The result is below 4 KiB: long texts are shortened, and violations that do not fit are omitted.
    KeyError for a reason that is not in the table.
    """
    code = CODES[refusal.reason]
    status = Status(code=code.value[0], message=_cut(refusal.message, MESSAGE_BYTES_MAX))
    info = error_details_pb2.ErrorInfo(reason=refusal.reason, domain=domain)
    status.details.add().Pack(info)
    retry_after_seconds = refusal.retry_after_seconds
    if retry_after_seconds is None and code is grpc.StatusCode.UNAVAILABLE:
        retry_after_seconds = 1.0  # the contract promises RetryInfo with every UNAVAILABLE
    if retry_after_seconds is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(timedelta(seconds=retry_after_seconds))
        status.details.add().Pack(retry)

    bytes_left = DETAILS_BYTES_MAX - status.ByteSize()
    for key, value in refusal.metadata.items():
        value = _cut(value, _METADATA_VALUE_BYTES_MAX)
        bytes_left -= len(key.encode()) + len(value.encode()) + 12  # tags and lengths, rounded up
        if bytes_left < 0:
            break
        info.metadata[key] = value
    status.details[0].Pack(info)

    bad_request = error_details_pb2.BadRequest()
    for field in refusal.fields:
        bad_request.field_violations.add(
            field=_cut(field.field, _METADATA_VALUE_BYTES_MAX),
            description=_cut(field.description, MESSAGE_BYTES_MAX),
        )
    quota_failure = error_details_pb2.QuotaFailure()
    for quota in refusal.quotas:
        quota_failure.violations.add(
            subject=_cut(quota.subject, _METADATA_VALUE_BYTES_MAX),
            description=_cut(quota.description, MESSAGE_BYTES_MAX),
        )
    _pack_what_fits(status, bad_request, bad_request.field_violations)
    _pack_what_fits(status, quota_failure, quota_failure.violations)
    return status


def from_rpc_error(error: grpc.RpcError, *, domain: str | None = None) -> Refusal | None:
    """The refusal that the server raised; None if the error carries no ErrorInfo (of `domain`, if given)."""
    status = _rpc_status(error)
    if status is None:
        return None
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    quota_failure = error_details_pb2.QuotaFailure()
    retry = error_details_pb2.RetryInfo()
    try:
        for detail in status.details:
            for message in (info, bad_request, quota_failure, retry):
                detail.Unpack(message)
    except DecodeError:
        return None
    if not info.reason or (domain is not None and info.domain != domain):
        return None
    return Refusal(
        info.reason,
        status.message,
        metadata=info.metadata,
        fields=[FieldViolation(v.field, v.description) for v in bad_request.field_violations],
        quotas=[QuotaViolation(v.subject, v.description) for v in quota_failure.violations],
        retry_after_seconds=(
            retry.retry_delay.ToTimedelta().total_seconds() if retry.HasField("retry_delay") else None
        ),
    )


def _rpc_status(error: grpc.RpcError) -> Status | None:
    trailing_metadata = getattr(error, "trailing_metadata", None)
    for key, value in (trailing_metadata() if trailing_metadata else None) or ():
        if key == DETAILS_KEY:
            try:
                return Status.FromString(value)
            except DecodeError:
                return None
    return None


def _pack_what_fits(status: Status, detail: Message, violations: list[Message]) -> None:
    """Adds the detail with the first violations that fit into DETAILS_BYTES_MAX, unless none fits."""
    overhead_bytes = 80  # the Any around the detail: type URL, tags, lengths
    while violations and status.ByteSize() + detail.ByteSize() + overhead_bytes > DETAILS_BYTES_MAX:
        del violations[-1]
    if violations:
        status.details.add().Pack(detail)


def _cut(text: str, bytes_max: int) -> str:
    encoded = text.encode(errors="replace")
    if len(encoded) <= bytes_max:
        return text
    return encoded[: bytes_max - 3].decode(errors="ignore") + "…"
