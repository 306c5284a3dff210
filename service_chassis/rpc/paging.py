"""Pages of lists: their size, their position, and the token of the next page.

with Fields() as fields:
    organization_id = fields.required_uuid("organization_id", request.organization_id)
    paging = Paging(fields, request, (datetime, UUID), scope=[organization_id])
found = await list_things(organization_id, after=paging.after, limit=paging.limit)
page = paging.page(found, thing_message, lambda thing: (thing.create_time, thing.thing_id))
return ListThingsResponse(things=page.messages, next_page_token=page.next_page_token)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar, overload
from uuid import UUID

from google.protobuf.message import Message

from service_chassis.rpc.fields import Fields

PAGE_SIZE_DEFAULT: Final = 50
PAGE_SIZE_MAX: Final = 1000
PAGE_BYTES_MAX: Final = 3 * 1024 * 1024  # by default, clients accept messages of at most 4 MiB

# A position of 1 KiB of text can become three times as long when escaped, and a third longer in base64.
_TOKEN_LENGTH_MAX: Final = 8192
_CHECKSUM_BYTES: Final = 16
_INT64_MAX: Final = 2**63 - 1
_INT32_MAX: Final = 2**31 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
P = TypeVar("P")
Item = TypeVar("Item")
Answer = TypeVar("Answer", bound=Message)


class _Int32(int):
    pass


INT32: Final[type[int]] = _Int32
"""The type of a number that PostgreSQL stores as `integer`."""


@dataclass(frozen=True)
class Page(Generic[Answer]):
    """The messages of one page. The token is empty on the last page."""

    messages: list[Answer]
    next_page_token: str


class Paging(Generic[P]):
    """The paging fields of a list request: `page_size` (default 50, at most 1,000) and `page_token`."""

    @overload
    def __init__(
        self: Paging[A], fields: Fields, request: Any, kinds: tuple[type[A]], *, scope: Iterable[object]
    ) -> None: ...

    @overload
    def __init__(
        self: Paging[tuple[A, B]],
        fields: Fields,
        request: Any,
        kinds: tuple[type[A], type[B]],
        *,
        scope: Iterable[object],
    ) -> None: ...

    @overload
    def __init__(
        self: Paging[tuple[A, B, C]],
        fields: Fields,
        request: Any,
        kinds: tuple[type[A], type[B], type[C]],
        *,
        scope: Iterable[object],
    ) -> None: ...

    def __init__(
        self, fields: Fields, request: Any, kinds: tuple[type, ...], *, scope: Iterable[object]
    ) -> None:
        """`kinds` are the types of the parts of a position: str, int, INT32, UUID, datetime or date.

        `scope` is the rest of the request: a token is valid only for the same request.
        """
        self._scope = " ".join([request.DESCRIPTOR.name, *map(str, scope)])
        size = fields.integer("page_size", request.page_size, minimum=0, maximum=PAGE_SIZE_MAX)
        self._page_size = size or PAGE_SIZE_DEFAULT
        self.after: P | None = None
        """The position of the last item of the page before; None for the first page."""
        if request.page_token:
            try:
                self.after = _decode(request.page_token, self._scope if fields.all_good else None, kinds)
            except (ValueError, OverflowError, RecursionError):
                fields.invalid("page_token", "is not a page token of this list")

    @property
    def limit(self) -> int:
        """How many items to fetch: one more than the page has, to find out whether there is a next page."""
        return self._page_size + 1

    def page(
        self, found: Sequence[Item], render: Callable[[Item], Answer], position: Callable[[Item], P]
    ) -> Page[Answer]:
        """The page made of at most `limit` items. It is shorter than `page_size` if it would exceed
        PAGE_BYTES_MAX."""
        messages: list[Answer] = []
        size_bytes = 0
        for item in found[: self._page_size]:
            message = render(item)
            size_bytes += message.ByteSize()
            if messages and size_bytes > PAGE_BYTES_MAX:
                break
            messages.append(message)
        if len(messages) == len(found):
            return Page(messages, "")
        last = position(found[len(messages) - 1])
        return Page(messages, encode_page_token(self._scope, last if isinstance(last, tuple) else (last,)))


def encode_page_token(scope: str, position: Iterable[object]) -> str:
    """Opaque to the caller, but not secret: `Paging` checks every token, so a forged one does no harm."""
    body = json.dumps(list(position), separators=(",", ":"), default=_plain).encode()
    return base64.urlsafe_b64encode(_checksum(scope, body) + body).decode().rstrip("=")


def _decode(token: str, scope: str | None, kinds: tuple[type, ...]) -> Any:
    """Raises ValueError, OverflowError or RecursionError. With `scope` None, the scope is not checked."""
    if len(token) > _TOKEN_LENGTH_MAX or not token.isascii():
        raise ValueError
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError from None
    checksum, body = raw[:_CHECKSUM_BYTES], raw[_CHECKSUM_BYTES:]
    if scope is not None and checksum != _checksum(scope, body):
        raise ValueError
    parts = json.loads(body)
    if not isinstance(parts, list) or len(parts) != len(kinds):
        raise ValueError
    position = tuple(_DECODE[kind](part) for kind, part in zip(kinds, parts, strict=True))
    return position if len(position) > 1 else position[0]


def _plain(part: object) -> int | str:
    """Converts a value that JSON does not have. A time becomes microseconds, as in PostgreSQL."""
    return (part - _EPOCH) // _MICROSECOND if isinstance(part, datetime) else str(part)


def _checksum(scope: str, body: bytes) -> bytes:
    scope_hash = hashlib.sha256(scope.encode()).digest()
    return hashlib.sha256(scope_hash + body).digest()[:_CHECKSUM_BYTES]


def _text(part: object) -> str:
    if not isinstance(part, str) or "\0" in part:
        raise ValueError
    part.encode()  # a lone surrogate cannot be stored
    return part


def _integer(part: object) -> int:
    if type(part) is not int or abs(part) > _INT64_MAX:
        raise ValueError
    return part


def _int32(part: object) -> int:
    if abs(number := _integer(part)) > _INT32_MAX:
        raise ValueError
    return number


_DECODE: Final[Mapping[type, Callable[[object], object]]] = MappingProxyType(
    {
        str: _text,
        int: _integer,
        INT32: _int32,
        UUID: lambda part: UUID(_text(part)),
        date: lambda part: date.fromisoformat(_text(part)),
        datetime: lambda part: _EPOCH + _integer(part) * _MICROSECOND,
    }
)
