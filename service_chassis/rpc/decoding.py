"""Requests out of bytes. What cannot be decoded is the caller's mistake, and it is told where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from service_chassis.refusal import Refusal, invalid_field

_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5
_DEPTH_MAX = 100  # protobuf's own


def decode(deserializer: Callable[[bytes], Any], raw: bytes) -> Any:
    """Raises INVALID_FIELD for bytes that are no such message, with the path of a text that is not UTF-8."""
    try:
        return deserializer(raw)
    except DecodeError:
        raise undecodable(deserializer, raw) from None


def undecodable(deserializer: Callable[[bytes], Any], raw: bytes) -> Refusal:
    """The refusal for bytes that `deserializer`, a message class's FromString, has refused."""
    descriptor = getattr(getattr(deserializer, "__self__", None), "DESCRIPTOR", None)
    try:
        path = _path_of_bad_text(descriptor, raw, 0) if isinstance(descriptor, Descriptor) else None
    except (IndexError, ValueError):
        path = None
    if path is not None:
        return invalid_field(path, "is not valid UTF-8")
    return invalid_field("request", "the bytes are not a message of the request's type")


def _path_of_bad_text(descriptor: Descriptor, raw: bytes, depth: int) -> str | None:
    if depth > _DEPTH_MAX:
        return None
    seen: dict[int, int] = {}
    for number, value in _length_delimited(raw):
        field = descriptor.fields_by_number.get(number)
        if field is None:
            continue
        index = seen[number] = seen.get(number, -1) + 1
        name = f"{field.name}[{index}]" if field.is_repeated else field.name
        if field.type == FieldDescriptor.TYPE_STRING and not _is_utf8(value):
            return name
        if field.message_type is not None:
            inner = _path_of_bad_text(field.message_type, value, depth + 1)
            if inner is not None:
                is_map = field.message_type.GetOptions().map_entry
                return field.name if is_map else f"{name}.{inner}"
    return None


def _length_delimited(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Field numbers and contents, in their order; ValueError or IndexError for what is no protobuf."""
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        kind = tag & 7
        if kind == _LENGTH_DELIMITED:
            length, at = _varint(raw, at)
            if at + length > len(raw):
                raise ValueError
            yield tag >> 3, raw[at : at + length]
            at += length
        elif kind == _VARINT:
            _, at = _varint(raw, at)
        elif kind == _FIXED64:
            at += 8
        elif kind == _FIXED32:
            at += 4
        else:
            raise ValueError


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
