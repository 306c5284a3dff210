"""Page tokens: where a list goes on, good for the same request only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from google.protobuf.message import Message

from service_chassis.refusal import invalid_field
from service_chassis.rpc import fields

_PAGE_BYTES_MAX: Final = 3 * 1024 * 1024  # a message of 4 MiB is the most that clients take by default
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_INT32_MAX: Final = 2**31 - 1

T = TypeVar("T")
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
        return self._read(lambda position: int(position[0]))

    @property
    def number_and_text(self) -> tuple[int, str] | None:
        return self._read(lambda position: (_integer(position[0]), str(position[1])))

    @property
    def number_and_id(self) -> tuple[int, UUID] | None:
        return self._read(lambda position: (_integer(position[0]), UUID(str(position[1]))))

    @property
    def time_and_id(self) -> tuple[datetime, UUID] | None:
        return self._read(lambda position: (_EPOCH + int(position[0]) * _MICROSECOND, UUID(str(position[1]))))

    def _read(self, read: Callable[[Position], T]) -> T | None:
        """A token can be made by anyone: one of another shape is refused like a foreign one."""
        if self._position is None:
            return None
        try:
            return read(self._position)
        except (ValueError, IndexError, OverflowError):
            raise invalid_field("page_token", "is not a page token of this list") from None

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


def _integer(value: str | int) -> int:
    """As PostgreSQL's `integer` takes it."""
    number = int(value)
    if abs(number) > _INT32_MAX:
        raise ValueError
    return number


def time_position(time: datetime) -> int:
    """Exact: microseconds, as PostgreSQL keeps them."""
    return (time - _EPOCH) // _MICROSECOND
