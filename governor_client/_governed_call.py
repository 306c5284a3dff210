"""The state of one model call between its hold and its settlement. It decides how the hold ends.

    the call was not dispatched             the hold is voided dispatched, and its usage is known      the
    hold is settled with the usage dispatched, and its usage is unknown    the hold is settled as unknown: it
    is charged until the usage is known

`dispatch()` returns the authorization, so that nothing can be sent before it: without the authorization the
caller knows neither the granted model nor its tokens.
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
"""How long to try to void a hold after Authorize gave no answer. If that fails, the hold expires."""


class CallState:
    """What is known of a governed call. Pure: the clients send the requests that it returns."""

    def __init__(self, request: AuthorizeRequest, *, is_retry: bool) -> None:
        """`is_retry`: the caller gave the request_id, and may have used it before."""
        self.request: Final = request
        self._is_retry = is_retry
        self._authorization: Authorization | None = None
        self._is_dispatched = False
        self._is_ended = False
        # The request that is to end the hold, and that the governor has not confirmed yet.
        self._ending: SettleRequest | VoidRequest | None = None

    def granted(self, authorization: Authorization) -> None:
        self._authorization = authorization

    def dispatched(self) -> Authorization:
        """From now on the call may have cost something."""
        self._is_dispatched = True
        return self._granted_authorization()

    def giving_up(self, error: BaseException) -> VoidRequest | None:
        """How to void a hold that may exist although Authorize raised `error`.

        None if the hold was refused. None also for a request_id that was used before: the hold may be the
        earlier call's, and in use, so it is left to expire.
        """
        is_refused = isinstance(error, Refusal) and not isinstance(error, GovernorUnavailableError)
        return None if is_refused or self._is_retry else self.void("no answer to Authorize")

    def void(self, reason: str) -> VoidRequest:
        return void_request(self.request.organization_id, self.request.request_id, reason)

    def authorization_id(self) -> str:
        return self._granted_authorization().authorization_id

    def ending(self, error: BaseException | None) -> SettleRequest | VoidRequest | None:
        """How the hold ends at the end of its block, which raised `error`. None if it has ended before."""
        if self._is_ended:
            return None
        if self._ending is not None:
            return self._ending
        if self._is_dispatched:
            return settle_request(self.request.organization_id, self.authorization_id(), None)
        # Only the type: the error's text may contain the prompt.
        return self.void(f"nothing was sent: {type(error).__name__}" if error else "nothing was sent")

    @contextmanager
    def being_ended(self, request: SettleRequest | VoidRequest) -> Iterator[None]:
        """Surrounds the RPC that ends the hold.

        If the governor gives no answer, the end of the block sends the same request again. If it refuses, the
        end of the block decides again how to end the hold.
        """
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
    """Adds a note about the hold to the error that ended the block, which stays the error that is raised."""
    error.add_note(f"Its hold was not ended ({refusal.reason}: {refusal.message}) and will expire.")
