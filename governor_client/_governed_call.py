"""One model call between its hold and its settlement: what is known of it decides how the hold ends.

    nothing was dispatched              the hold is voided
    dispatched, and told what it used   it is settled with that
    dispatched, and nobody told         it is settled as unknown: charged, until the truth is known

`dispatch()` is the line between the first and the others. It is what hands out the authorization, so that
nothing can be sent before it: who does not know the granted model and its tokens has nothing to send.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from governor_client._errors import GovernorUnavailableError
from governor_client._requests import settle_request, void_request
from infin8.governor.v1.authorization_pb2 import Authorization
from infin8.governor.v1.governor_service_pb2 import AuthorizeRequest, SettleRequest, VoidRequest
from service_chassis.refusal import Refusal

GIVE_UP_TIMEOUT_SECONDS: Final = 2.0
"""How long to try to void a hold of which nobody knows whether it stands. If that fails, too, and it does, it
runs out."""


class CallState:
    """What is known of a governed call. Pure: the clients send what it says."""

    def __init__(self, request: AuthorizeRequest, *, is_retry: bool) -> None:
        """`is_retry`: the request_id is the caller's, who may have used it before."""
        self.request: Final = request
        self._is_retry = is_retry
        self._authorization: Authorization | None = None
        self._is_dispatched = False
        self._is_ended = False
        # How the caller, or else the end of its block, wants the hold to end; the governor has not said yes.
        self._ending: SettleRequest | VoidRequest | None = None

    def granted(self, authorization: Authorization) -> None:
        self._authorization = authorization

    def dispatched(self) -> Authorization:
        """From now on the call may have cost something."""
        self._is_dispatched = True
        return self._granted_authorization()

    def giving_up(self, error: BaseException) -> VoidRequest | None:
        """How to end a hold that may stand although Authorize raised this. None: it was refused; or it may be
        an earlier one of the same request_id, in use, and had better run out."""
        is_refused = isinstance(error, Refusal) and not isinstance(error, GovernorUnavailableError)
        return None if is_refused or self._is_retry else self.void("no answer to Authorize")

    def void(self, reason: str) -> VoidRequest:
        return void_request(self.request.organization_id, self.request.request_id, reason)

    def authorization_id(self) -> str:
        return self._granted_authorization().authorization_id

    def ending(self, error: BaseException | None) -> SettleRequest | VoidRequest | None:
        """How the hold ends where its block does, with the error that came out of it; None: it has ended."""
        if self._is_ended:
            return None
        if self._ending is not None:
            return self._ending
        if self._is_dispatched:
            return settle_request(self.request.organization_id, self.authorization_id(), None)
        # The type alone: an error's text may tell what was to be asked.
        return self.void(f"nothing was sent: {type(error).__name__}" if error else "nothing was sent")

    @contextmanager
    def being_ended(self, request: SettleRequest | VoidRequest) -> Iterator[None]:
        """Around the RPC. If the governor gives no answer, the end of the block tries the same again; if it
        refuses, the block ends the hold by what else is known."""
        self._is_dispatched = self._is_dispatched or isinstance(request, SettleRequest)
        self._ending = request
        try:
            yield
        except GovernorUnavailableError:
            raise
        except Refusal:
            self._ending = None
            raise
        self._is_ended = True

    def _granted_authorization(self) -> Authorization:
        if self._authorization is None:
            raise RuntimeError("a governed call begins with its `with` block")
        return self._authorization


def note_unended(error: BaseException, refusal: Refusal) -> None:
    """The error that left the block is the one to hear of; the hold that it left behind is a note to it."""
    error.add_note(f"Its hold was not ended ({refusal.reason}: {refusal.message}), and runs out.")
