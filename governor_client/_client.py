"""The asynchronous client."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self, Unpack
from uuid import UUID, uuid4

import grpc

from governor_client._governed_call import GIVE_UP_TIMEOUT_SECONDS, CallState, note_unended
from governor_client._requests import (
    CHANNEL_OPTIONS,
    TIMEOUT_SECONDS_DEFAULT,
    Outcome,
    PlannedCall,
    authorize_request,
    get_authorization_request,
    settle_request,
    void_request,
)
from governor_client._retry import call_until
from infin8.governor.v1.authorization_pb2 import Authorization, ExpiryAction
from infin8.governor.v1.entry_pb2 import LedgerEntry, Usage
from infin8.governor.v1.governor_service_pb2 import (
    AdjustRequest,
    AuthorizeRequest,
    Settlement,
    SettleRequest,
    VoidRequest,
)
from infin8.governor.v1.governor_service_pb2_grpc import GovernorServiceStub
from service_chassis.refusal import Refusal
from service_chassis.text import as_free_text


class GovernorClient:
    """Any number of calls may run at once. `timeout_seconds` is the deadline of a call, retries included."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._stub = GovernorServiceStub(channel)

    @classmethod
    def connect(cls, target: str) -> Self:
        """`target` is HOST:PORT. Nothing is sent before the first call."""
        return cls(grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS))

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

    def governed_call(
        self,
        *,
        request_id: UUID | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS_DEFAULT,
        **call: Unpack[PlannedCall],
    ) -> GovernedCall:
        """A hold for the length of an `async with` block; see the package's docstring.

        An expired hold is charged (`on_expiry` CHARGE), unless `call` says otherwise. Without `request_id`
        the call gets a new one.
        """
        call.setdefault("on_expiry", ExpiryAction.EXPIRY_ACTION_CHARGE)
        return GovernedCall(
            self,
            authorize_request(request_id or uuid4(), **call),
            timeout_seconds,
            is_retry=request_id is not None,
        )

    async def authorize(
        self,
        *,
        request_id: UUID,
        timeout_seconds: float = TIMEOUT_SECONDS_DEFAULT,
        **call: Unpack[PlannedCall],
    ) -> Authorization:
        """Places a hold. Only the model and the tokens that it grants may be used.

        After GovernorUnavailableError there may be a hold: void it by its request_id.
        """
        return await self.send_authorize(authorize_request(request_id, **call), timeout_seconds)

    async def settle(
        self,
        *,
        organization_id: UUID,
        authorization_id: UUID,
        usage: Usage | None,
        timeout_seconds: float = TIMEOUT_SECONDS_DEFAULT,
        **outcome: Unpack[Outcome],
    ) -> Settlement:
        """Settles a hold with the usage of its call.

        `usage` None means unknown: the provider's cost is charged, or else the hold.
        """
        request = settle_request(organization_id, authorization_id, usage, **outcome)
        return await self.send_settle(request, timeout_seconds)

    async def void(
        self,
        *,
        organization_id: UUID,
        request_id: UUID,
        reason: str,
        timeout_seconds: float = TIMEOUT_SECONDS_DEFAULT,
    ) -> Authorization:
        """Voids an unused hold. An Authorize with this request_id that arrives later is stopped as well."""
        return await self.send_void(void_request(organization_id, request_id, reason), timeout_seconds)

    async def adjust(
        self,
        *,
        organization_id: UUID,
        request_id: UUID,
        entry_id: UUID,
        corrected_cost_nano_usd: int,
        reason: str,
        timeout_seconds: float = TIMEOUT_SECONDS_DEFAULT,
    ) -> LedgerEntry:
        """Corrects an entry to what it should have cost.

        If nothing had to be posted, the entry, or the one that corrected it before.
        """
        request = AdjustRequest(
            organization_id=str(organization_id),
            request_id=str(request_id),
            entry_id=str(entry_id),
            corrected_cost_nano_usd=corrected_cost_nano_usd,
            reason=as_free_text(reason),
        )
        return await call_until(timeout_seconds, lambda seconds: self._stub.Adjust(request, timeout=seconds))

    async def get_authorization(
        self,
        *,
        organization_id: UUID,
        request_id: UUID,
        timeout_seconds: float = TIMEOUT_SECONDS_DEFAULT,
    ) -> Authorization:
        """The hold with this request_id."""
        request = get_authorization_request(organization_id, request_id)
        return await call_until(
            timeout_seconds, lambda seconds: self._stub.GetAuthorization(request, timeout=seconds)
        )

    async def send_authorize(self, request: AuthorizeRequest, timeout_seconds: float) -> Authorization:
        return await call_until(
            timeout_seconds, lambda seconds: self._stub.Authorize(request, timeout=seconds)
        )

    async def send_settle(self, request: SettleRequest, timeout_seconds: float) -> Settlement:
        return await call_until(timeout_seconds, lambda seconds: self._stub.Settle(request, timeout=seconds))

    async def send_void(self, request: VoidRequest, timeout_seconds: float) -> Authorization:
        return await call_until(timeout_seconds, lambda seconds: self._stub.Void(request, timeout=seconds))


class GovernedCall:
    """`async with client.governed_call(…) as call`."""

    def __init__(
        self, client: GovernorClient, request: AuthorizeRequest, timeout_seconds: float, *, is_retry: bool
    ) -> None:
        self._client = client
        self._state = CallState(request, is_retry=is_retry)
        self._timeout_seconds = timeout_seconds

    async def __aenter__(self) -> Self:
        try:
            authorization = await self._client.send_authorize(self._state.request, self._timeout_seconds)
        except BaseException as error:
            if void := self._state.giving_up(error):
                with suppress(Refusal):
                    seconds = min(self._timeout_seconds, GIVE_UP_TIMEOUT_SECONDS)
                    await self._client.send_void(void, seconds)
            raise
        self._state.granted(authorization)
        return self

    def dispatch(self) -> Authorization:
        """The model and tokens that may be used. From here on the call counts as sent."""
        return self._state.dispatched()

    async def settle(self, usage: Usage | None, **outcome: Unpack[Outcome]) -> Settlement:
        """Settles with what the call used. None means unknown."""
        request = settle_request(
            self._state.request.organization_id, self._state.authorization_id(), usage, **outcome
        )
        with self._state.being_ended(request):
            return await self._client.send_settle(request, self._timeout_seconds)

    async def void(self, reason: str) -> Authorization:
        """For a call that cost nothing: it was not sent, or the provider refused it without charge."""
        request = self._state.void(reason)
        with self._state.being_ended(request):
            return await self._client.send_void(request, self._timeout_seconds)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # If the caller is cancelled again during this wait, the task still ends the hold.
        await asyncio.shield(asyncio.ensure_future(self._end(exc)))

    async def _end(self, error: BaseException | None) -> None:
        try:
            match self._state.ending(error):
                case SettleRequest() as request:
                    with self._state.being_ended(request):
                        await self._client.send_settle(request, self._timeout_seconds)
                case VoidRequest() as request:
                    with self._state.being_ended(request):
                        await self._client.send_void(request, self._timeout_seconds)
        except Refusal as refusal:
            if error is None:
                raise
            note_unended(error, refusal)
