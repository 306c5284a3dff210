"""The messages of the load client, encoded in advance so that the client has little work."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from uuid import UUID, uuid4

from infin8.governor.v1 import entry_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2

MODEL = "openai/gpt-4o-mini"

_ID = "00000000-0000-0000-0000-000000000000"
_NO_ID = _ID.encode()
# The first field of Authorization: the id comes after a tag and a length.
_ANSWERED_ID = slice(2, 38)


class Call:
    """The governed calls of one workflow. They differ only in their ids."""

    def __init__(self, organization_id: str, workflow_id: str) -> None:
        authorize = governor_pb2.AuthorizeRequest(
            organization_id=organization_id,
            workflow_id=workflow_id,
            request_id=_ID,
            models=[MODEL],
            input_tokens_max=1_000,
            output_tokens_max=500,
            labels={"step": "ICP"},
        ).SerializeToString()
        settle = governor_pb2.SettleRequest(
            organization_id=organization_id,
            authorization_id=_ID,
            served_model=MODEL,
            usage=entry_pb2.Usage(input_tokens=700, output_tokens=200, requests=1),
            provider_generation_id="gen-0123456789abcdef",
        ).SerializeToString()
        self._before_request_id, self._after_request_id = authorize.split(_NO_ID)
        self._before_hold_id, self._after_hold_id = settle.split(_NO_ID)

    def authorize(self) -> bytes:
        """An AuthorizeRequest with a new request_id."""
        return self._before_request_id + str(uuid4()).encode() + self._after_request_id

    def settle(self, authorization: bytes) -> bytes:
        """The SettleRequest for the hold in an encoded Authorization."""
        return self.settle_hold(authorization[_ANSWERED_ID])

    def settle_hold(self, authorization_id: bytes) -> bytes:
        """The SettleRequest for a hold."""
        return self._before_hold_id + authorization_id + self._after_hold_id


def calls(organization_ids: Sequence[str], workflows: int) -> list[Call]:
    """One Call for each workflow of each organization."""
    return [
        Call(organization_id, workflow_id(organization_id, number))
        for number in range(workflows)
        for organization_id in organization_ids
    ]


def workflow_id(organization_id: str, number: int) -> str:
    """Derived from organization and number, in the same way as in load_ledger.sql."""
    digest = hashlib.md5(f"{organization_id}/{number}".encode(), usedforsecurity=False)
    return str(UUID(bytes=digest.digest()))
