"""The calls that end up around a model call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Final, Self
from uuid import UUID

import grpc

from governor_client._retry import call_until
from infin8.governor.v1.authorization_pb2 import Authorization, ExpiryAction
from infin8.governor.v1.entry_pb2 import Usage
from infin8.governor.v1.governor_service_pb2 import (
    AuthorizeRequest,
    GetAuthorizationRequest,
    Settlement,
    SettleRequest,
    UnknownOutcome,
    VoidRequest,
)
from infin8.governor.v1.governor_service_pb2_grpc import GovernorServiceStub

TIMEOUT_SECONDS_DEFAULT: Final = 10.0

_CHANNEL_OPTIONS: Final = (
    # We retry ourselves, under one request_id and one deadline.
    ("grpc.enable_retries", 0),
    # The default waits up to two minutes before it notices that the governor is back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A governor that vanished without closing the connection is noticed while a call waits for it.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)


class GovernorClient:
    """Any number of calls may run at once. `timeout_seconds` is the deadline of a call, retries included."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._stub = GovernorServiceStub(channel)

    @classmethod
    def connect(cls, target: str) -> Self:
        """`target` is HOST:PORT. Nothing is sent before the first call."""
        return cls(grpc.aio.insecure_channel(target, options=_CHANNEL_OPTIONS))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._channel.close()

    async def authorize(
        self,
        *,
        organization_id: UUID,
        workflow_id: UUID,
        request_id: UUID,
        models: Sequence[str],
        input_tokens_max: int,
        output_tokens_max: int,
        output_tokens_min: int | None = None,
        hold_duration: timedelta | None = None,
        on_expiry: ExpiryAction.ValueType = ExpiryAction.EXPIRY_ACTION_UNSPECIFIED,
        labels: Mapping[str, str] | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS_DEFAULT,
    ) -> Authorization:
        """Places a hold; what it grants may be called, and nothing else.

        After GovernorUnavailableError a hold may stand: void it by its request_id.
        """
        request = AuthorizeRequest(
            organization_id=str(organization_id),
            workflow_id=str(workflow_id),
            request_id=str(request_id),
            models=models,
            input_tokens_max=input_tokens_max,
            output_tokens_max=output_tokens_max,
            output_tokens_min=output_tokens_min,
            on_expiry=on_expiry,
            labels=labels or {},
        )
        if hold_duration is not None:
            request.hold_duration.FromTimedelta(hold_duration)
        return await call_until(
            timeout_seconds, lambda seconds: self._stub.Authorize(request, timeout=seconds)
        )

    async def settle(
        self,
        *,
        organization_id: UUID,
        authorization_id: UUID,
        usage: Usage | None,
        served_model: str = "",
        provider_cost_nano_usd: int | None = None,
        provider_generation_id: str = "",
        timeout_seconds: float = TIMEOUT_SECONDS_DEFAULT,
    ) -> Settlement:
        """Ends a hold with what its call used; `usage` None: nobody knows, and the hold is charged."""
        request = SettleRequest(
            organization_id=str(organization_id),
            authorization_id=str(authorization_id),
            served_model=served_model,
            usage=usage,
            unknown_outcome=UnknownOutcome() if usage is None else None,
            provider_cost_nano_usd=provider_cost_nano_usd,
            provider_generation_id=provider_generation_id,
        )
        return await call_until(timeout_seconds, lambda seconds: self._stub.Settle(request, timeout=seconds))

    async def void(
        self,
        *,
        organization_id: UUID,
        request_id: UUID,
        reason: str,
        timeout_seconds: float = TIMEOUT_SECONDS_DEFAULT,
    ) -> Authorization:
        """Ends a hold that was not used, and stops an Authorize of that request_id that is on its way."""
        request = VoidRequest(organization_id=str(organization_id), request_id=str(request_id), reason=reason)
        return await call_until(timeout_seconds, lambda seconds: self._stub.Void(request, timeout=seconds))

    async def get_authorization(
        self,
        *,
        organization_id: UUID,
        request_id: UUID,
        timeout_seconds: float = TIMEOUT_SECONDS_DEFAULT,
    ) -> Authorization:
        """The hold that was placed with this request_id."""
        request = GetAuthorizationRequest(organization_id=str(organization_id), request_id=str(request_id))
        return await call_until(
            timeout_seconds, lambda seconds: self._stub.GetAuthorization(request, timeout=seconds)
        )
