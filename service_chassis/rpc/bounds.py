"""Limits the size of a request: its bytes, its fields, and the elements of each repeated field and map.

Each service states its bounds in one table. A request above them is refused before the servicer sees it.
The fields of a long request are counted before it is decoded, since two bytes can become a hundred in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from service_chassis.refusal import invalid_field

MESSAGE_BYTES_DEFAULT: Final = 64 * 1024
FIELDS_MAX: Final = 20_000
"""The most fields of a request, including nested and unknown fields, without the items of a batch."""

LONG: Final = 16 * 1024
"""A request of at most this many bytes has so few fields that it is enough to count them after decoding."""

# The most fields of an item of a batch, and the length up to which an item cannot have many elements.
_FIELDS_OF_ITEM_MAX: Final = 50
_SHORT_ITEM_BYTES: Final = 512
_DEPTH_MAX: Final = 100  # the limit of protobuf itself

_VARINT, _FIXED64, _LENGTH_DELIMITED, _START_GROUP, _END_GROUP, _FIXED32 = range(6)


@dataclass(frozen=True)
class Bounds:
    """The bounds of a service's requests."""

    elements: Mapping[str, int] = field(default_factory=dict)
    """The most elements of each repeated field and map, by its full name, `package.Message.field`."""
    message_bytes: Mapping[str, int] = field(default_factory=dict)
    """The most bytes of each request, by its full name, if that is not MESSAGE_BYTES_DEFAULT."""
    items: frozenset[str] = frozenset()
    """Repeated fields whose messages are requests, each with its own answer. If one of them is above its
    bounds, the servicer refuses only that one."""


class RequestBounds:
    """The bounds of one type of request.

    KeyError if a repeated field or map of the request, or of a message in it, has no bound.
    """

    def __init__(self, descriptor: Descriptor, bounds: Bounds) -> None:
        self._shape = _Shape.of(descriptor, bounds, {})
        self._bytes_max = bounds.message_bytes.get(descriptor.full_name, MESSAGE_BYTES_DEFAULT)
        self._fields_max = FIELDS_MAX + sum(
            part.elements_max * _FIELDS_OF_ITEM_MAX for part in self._shape.parts.values() if part.is_item
        )

    def check_raw(self, raw: bytes) -> None:
        """Checks a request longer than LONG before it is decoded, with a bounded amount of work.

        Raises INVALID_FIELD; ValueError or IndexError if the bytes are not valid protobuf.
        """
        if len(raw) > self._bytes_max:
            raise invalid_field(
                "request", f"is {len(raw)} bytes long; at most {self._bytes_max} are accepted"
            )
        if self._shape.counts:
            _Count(raw, self._fields_max).message(self._shape, "", 0, len(raw), 0)

    def check(self, message: Any) -> None:
        """Raises INVALID_FIELD with the path of the field that has too many elements."""
        if self._shape.counts:
            _check(self._shape, message, "")

    def paths(self) -> Iterator[tuple[tuple[FieldDescriptor, ...], int]]:
        """Each repeated field and map, as the path of fields that leads to it, with its bound.

        A recursive type is followed once."""
        yield from _paths(self._shape, (), frozenset())


class _Shape:
    """The fields to count in a type of message."""

    __slots__ = ("counts", "maps", "messages", "parts", "repeated", "sizes")

    def __init__(self) -> None:
        self.parts: dict[int, _Part] = {}
        self.counts = False
        # The same fields, in the form that the check of decoded messages needs.
        self.sizes: list[tuple[str, int]] = []
        self.messages: list[tuple[str, _Shape]] = []
        self.repeated: list[tuple[str, _Shape]] = []
        self.maps: list[tuple[str, _Shape]] = []

    @classmethod
    def of(cls, descriptor: Descriptor, bounds: Bounds, known: dict[str, _Shape]) -> _Shape:
        if descriptor.full_name in known:
            return known[descriptor.full_name]
        shape = known[descriptor.full_name] = cls()
        shape.counts = _has_repeated(descriptor, set())
        for each in descriptor.fields:
            child = None
            if each.message_type is not None and _has_repeated(each.message_type, set()):
                child = cls.of(each.message_type, bounds, known)
            if not each.is_repeated:
                if child is not None:
                    shape.parts[each.number] = _Part(each, child, 0, is_item=False, is_map=False)
                    shape.messages.append((each.name, child))
                continue
            elements_max = bounds.elements[each.full_name]
            is_item = each.full_name in bounds.items
            is_map = each.message_type is not None and each.message_type.GetOptions().map_entry
            shape.parts[each.number] = _Part(each, child, elements_max, is_item=is_item, is_map=is_map)
            shape.sizes.append((each.name, elements_max))
            if child is None or is_item:
                continue
            if is_map:
                value = child.parts[2].child
                assert value is not None  # only its value can have something to count
                shape.maps.append((each.name, value))
            else:
                shape.repeated.append((each.name, child))
        return shape


@dataclass(frozen=True)
class _Part:
    """A field that has something to count. `elements_max` is 0 if it is not repeated."""

    field: FieldDescriptor
    child: _Shape | None
    elements_max: int
    is_item: bool
    is_map: bool


class _Count:
    """Counts in the encoded bytes. Stops at the first field or element above a bound."""

    def __init__(self, raw: bytes, fields_max: int) -> None:
        self._raw = raw
        self._fields_max = fields_max
        self._fields_left = fields_max

    def message(self, shape: _Shape, path: str, at: int, end: int, depth: int) -> None:
        if depth > _DEPTH_MAX:
            raise ValueError("too deeply nested")
        raw, parts, seen = self._raw, shape.parts, dict.fromkeys(shape.parts, 0)
        while at < end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise invalid_field("request", f"has more than {self._fields_max} fields")
            tag = raw[at]
            if tag < 0x80:  # most tags have one byte; a function call for each would take most of the time
                at += 1
            else:
                tag, at = varint(raw, at)
            if tag & 7 == _LENGTH_DELIMITED and raw[at] < 0x80:
                start = at + 1
                at = start + raw[at]
            else:
                start, at = skip(raw, at, tag & 7)
            if at > end or tag < 8:
                raise ValueError("a field has no number, or ends outside of its message")
            part = parts.get(tag >> 3)
            if part is None or tag & 7 != _LENGTH_DELIMITED:
                continue
            name = f"{path}{part.field.name}"
            if part.elements_max:
                index = seen[tag >> 3]
                if index == part.elements_max:
                    raise _too_many(name, part.elements_max)
                seen[tag >> 3] = index + 1
                if not part.is_map:
                    name = f"{name}[{index}]"
            if part.child is not None and (not part.is_item or at - start > _SHORT_ITEM_BYTES):
                # The servicer checks the elements of an item; here only its fields are counted.
                inner = _NOTHING if part.is_item else part.child
                self.message(inner, f"{name}.", start, at, depth + 1)


_NOTHING: Final = _Shape()


def _check(shape: _Shape, message: Any, path: str) -> None:
    for name, elements_max in shape.sizes:
        if len(getattr(message, name)) > elements_max:
            raise _too_many(f"{path}{name}", elements_max)
    for name, child in shape.messages:
        if message.HasField(name):
            _check(child, getattr(message, name), f"{path}{name}.")
    for name, child in shape.repeated:
        for index, each in enumerate(getattr(message, name)):
            _check(child, each, f"{path}{name}[{index}].")
    for name, child in shape.maps:
        for each in getattr(message, name).values():
            _check(child, each, f"{path}{name}.")


def _too_many(path: str, elements_max: int) -> Exception:
    return invalid_field(path, f"has more than {elements_max} elements")


def _has_repeated(descriptor: Descriptor, seen: set[str]) -> bool:
    """Whether such a message can contain a repeated field or map at any depth."""
    if descriptor.full_name in seen:
        return False
    seen.add(descriptor.full_name)
    return any(
        each.is_repeated or (each.message_type is not None and _has_repeated(each.message_type, seen))
        for each in descriptor.fields
    )


def _paths(
    shape: _Shape, path: tuple[FieldDescriptor, ...], above: frozenset[int]
) -> Iterator[tuple[tuple[FieldDescriptor, ...], int]]:
    for part in shape.parts.values():
        here = (*path, part.field)
        if part.elements_max:
            yield here, part.elements_max
        if part.child is not None and id(part.child) not in above:
            yield from _paths(part.child, here, above | {id(shape)})


def skip(raw: bytes, at: int, kind: int) -> tuple[int, int]:
    """Where the content of a field of this wire type begins and ends.

    ValueError or IndexError if the bytes are not valid protobuf."""
    if kind == _LENGTH_DELIMITED:
        length, at = varint(raw, at)
        return at, at + length
    if kind == _VARINT:
        return at, varint(raw, at)[1]
    if kind == _FIXED64:
        return at, at + 8
    if kind == _FIXED32:
        return at, at + 4
    if kind in (_START_GROUP, _END_GROUP):  # only unknown fields are groups; their fields count too
        return at, at
    raise ValueError("no such wire type")


def varint(raw: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    value = raw[at]
    at += 1
    if value < 0x80:
        return value, at
    value &= 0x7F
    shift = 7
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a varint has more than ten bytes")
