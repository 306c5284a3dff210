"""Page tokens: where a list goes on, good for the same request only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from google.protobuf.message import Message

from service_chassis import fields

_PAGE_BYTES_MAX: Final = 3 * 1024 * 1024  # a message of 4 MiB is the most that clients take by default
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Position = Sequence[str | int]


class Paging:
    """What a list request says of its page. Raises INVALID_FIELD, VALUE_TOO_LARGE."""

    def __init__(self, message: Any, *scope: object) -> None:
        """`scope` is what the request asks for beside its page: a token is good for the same only."""
        self._scope = " ".join([message.DESCRIPTOR.name, *map(str, scope)])
        self.page_size = fields.page_size("page_size", message.page_size)
        self._position = fields.decode_page_token("page_token", message.page_token, scope=self._scope)

    @property
    def number(self) -> int | None:
        """A position that is one number; None for the first page."""
        return None if self._position is None else int(self._position[0])

    @property
    def number_and_text(self) -> tuple[int, str] | None:
        return None if self._position is None else (int(self._position[0]), str(self._position[1]))

    @property
    def number_and_id(self) -> tuple[int, UUID] | None:
        return None if self._position is None else (int(self._position[0]), UUID(str(self._position[1])))

    @property
    def time_and_id(self) -> tuple[datetime, UUID] | None:
        if self._position is None:
            return None
        return _EPOCH + int(self._position[0]) * _MICROSECOND, UUID(str(self._position[1]))

    def next_token(self, position: Position, *, more: bool) -> str:
        """`position` is the last item's; "" where the list ends there."""
        return fields.encode_page_token(scope=self._scope, position=position) if more else ""


def fitting(messages: Sequence[Message]) -> int:
    """How many of the messages one answer holds: at least the first, if there is one."""
    size_bytes = 0
    for count, message in enumerate(messages):
        size_bytes += message.ByteSize()
        if count and size_bytes > _PAGE_BYTES_MAX:
            return count
    return len(messages)


def time_position(time: datetime) -> int:
    """Exact: microseconds, as PostgreSQL keeps them."""
    return (time - _EPOCH) // _MICROSECOND
