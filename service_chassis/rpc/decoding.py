"""Decodes requests. Bytes that cannot be decoded are refused as INVALID_FIELD, not as an internal error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from service_chassis.refusal import Refusal, invalid_field
from service_chassis.rpc.bounds import LONG, Bounds, RequestBounds, skip, varint

_LENGTH_DELIMITED: Final = 2
_DEPTH_MAX: Final = 100  # the limit of protobuf itself
_SEARCHED_FIELDS_MAX: Final = 10_000
"""After this many fields, the search for a bad text stops. The refusal then names no field."""


class Decoder:
    """Decodes the requests of one method, and checks their bounds."""

    def __init__(self, deserializer: Callable[[bytes], Any], bounds: Bounds) -> None:
        """`deserializer` is a message class's FromString."""
        self._deserializer = deserializer
        self._descriptor: Descriptor = deserializer.__self__.DESCRIPTOR  # type: ignore[attr-defined]
        self._bounds = RequestBounds(self._descriptor, bounds)

    def decode(self, raw: bytes) -> Any:
        """Raises INVALID_FIELD with the path of a text that is not UTF-8, or of a list that is too long."""
        try:
            if len(raw) > LONG:
                self._bounds.check_raw(raw)
            message = self._deserializer(raw)
        except (DecodeError, ValueError, IndexError):
            raise self._undecodable(raw) from None
        self._bounds.check(message)
        return message

    def _undecodable(self, raw: bytes) -> Refusal:
        try:
            path = _Search(raw).path_of_bad_text(self._descriptor, 0, len(raw), 0)
        except (IndexError, ValueError):
            path = None
        if path is not None:
            return invalid_field(path, "is not valid UTF-8")
        return invalid_field("request", "the bytes are not a message of the request's type")


class _Search:
    """The search for a text that is not UTF-8, in bytes that could not be decoded."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._fields_left = _SEARCHED_FIELDS_MAX

    def path_of_bad_text(self, descriptor: Descriptor, at: int, end: int, depth: int) -> str | None:
        """None if all texts are UTF-8.

        ValueError or IndexError if the bytes are not valid protobuf, or have too many fields."""
        if depth > _DEPTH_MAX:
            return None
        seen: dict[int, int] = {}
        while at < end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise ValueError("too many fields to search")
            tag, at = varint(self._raw, at)
            start, at = skip(self._raw, at, tag & 7)
            if at > end:
                raise ValueError("a field ends outside of its message")
            field = descriptor.fields_by_number.get(tag >> 3)
            if field is None or tag & 7 != _LENGTH_DELIMITED:
                continue
            index = seen[field.number] = seen.get(field.number, -1) + 1
            name = f"{field.name}[{index}]" if field.is_repeated else field.name
            if field.type == FieldDescriptor.TYPE_STRING and not _is_utf8(self._raw[start:at]):
                return name
            if field.message_type is not None:
                inner = self.path_of_bad_text(field.message_type, start, at, depth + 1)
                if inner is not None:
                    is_map = field.message_type.GetOptions().map_entry
                    return field.name if is_map else f"{name}.{inner}"
        return None


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
