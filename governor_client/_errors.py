"""What a failed RPC means to the caller: a refusal, or an unknown outcome."""

from __future__ import annotations

from typing import Final

import grpc

from service_chassis.refusal import Refusal
from service_chassis.rpc.errors import from_rpc_error

ERROR_DOMAIN: Final = "governor.infin8"

# For these reasons the governor itself says that another attempt may succeed.
_TRANSIENT_REASONS: Final = frozenset({"DATABASE_UNAVAILABLE", "OVERLOADED", "SHUTTING_DOWN"})
# The governor may have committed before it failed, so these are no refusals.
_UNCLEAR_REASONS: Final = frozenset({"INTERNAL_ERROR", "DEADLINE_TOO_SHORT"})
# Codes of gRPC itself. A call that reaches a stopping server gets CANCELLED without a reason.
_TRANSIENT_CODES: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)
_CLOSED_HERE: Final = (
    "Channel closed!"  # grpcio's words for the calls of a channel that its own side has closed
)


class GovernorUnavailableError(Refusal):
    """GOVERNOR_UNAVAILABLE. `is_transient`: a retry of the same request may succeed."""

    def __init__(self, message: str, *, is_transient: bool, retry_after_seconds: float | None = None) -> None:
        super().__init__("GOVERNOR_UNAVAILABLE", message, retry_after_seconds=retry_after_seconds)
        self.is_transient = is_transient


def refusal_of(error: grpc.RpcError) -> Refusal:
    """The governor's refusal, or GovernorUnavailableError if it did not decide."""
    refusal = from_rpc_error(error, domain=ERROR_DOMAIN)
    if refusal is None:
        code = error.code()
        return GovernorUnavailableError(
            f"the governor gave no answer ({code.name})",
            is_transient=code in _TRANSIENT_CODES and error.details() != _CLOSED_HERE,
        )
    if refusal.reason in _TRANSIENT_REASONS or refusal.reason in _UNCLEAR_REASONS:
        return GovernorUnavailableError(
            f"the governor cannot decide now ({refusal.reason})",
            is_transient=refusal.reason in _TRANSIENT_REASONS,
            retry_after_seconds=refusal.retry_after_seconds,
        )
    return refusal
