"""Hostile requests, generated from a request type's descriptor."""

from __future__ import annotations

import math
import random
import string
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

BYTES_MAX = 4 * 1024 * 1024 - 64
"""Just below gRPC's limit, so that each answer comes from the service."""

_TEXTS = (
    "",
    " ",
    "x",
    "a\nb",
    "a\0b",
    "a\u202eb",
    "é" * 300,
    "😀",
    "-1",
    "perplexity/sonar",
    "key=value",
    "*",
)
_INTEGERS = (0, 1, -1, 2, 50, 1000, 10**6, 10**9, 10**9 + 1, 10**15, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
_BAD_UTF8 = b"\xc3\x28\xff\xfe"

_INTEGER_BITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
}


class Hostile:
    """Generates requests: the same seed and the same `known` ids give the same requests."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.known: list[str] = []
        """Ids that exist, so that requests get past NOT_FOUND."""
        self._kinds: dict[str, Callable[[Descriptor, int], bytes]] = {
            "plausible": self._plausible,
            "mutated": self._mutated,
            "cut off": self._cut_off,
            "random bytes": lambda _, size: self._random.randbytes(size),
            "zero bytes": lambda _, size: bytes(size),
            "unknown fields": lambda _, size: b"\xf8\x7f\x01" * (size // 3),
            "long list": self._long_list,
            "long map": self._long_map,
            "long text": self._long_text,
            "bad UTF-8 at the end": self._bad_utf8_at_the_end,
            "deep": self._deep,
        }

    @property
    def kinds(self) -> list[str]:
        return list(self._kinds)

    def size(self) -> int:
        """A size from 0 to BYTES_MAX, with every order of magnitude equally likely, and the limit often."""
        if self._random.random() < 0.1:
            return BYTES_MAX
        return int(math.exp(self._random.uniform(0, math.log(BYTES_MAX))))

    def request(self, descriptor: Descriptor, kind: str | None = None, size: int | None = None) -> bytes:
        """A request of about `size` bytes at most. A kind or size that is not given is random."""
        kind = kind or self._random.choice(self.kinds)
        if not descriptor.fields and kind not in ("random bytes", "zero bytes"):
            kind = "unknown fields"
        return self._kinds[kind](descriptor, self.size() if size is None else size)[:BYTES_MAX]

    def _plausible(self, descriptor: Descriptor, _size: int) -> bytes:
        return self._message(descriptor, depth=0).SerializeToString()

    def _mutated(self, descriptor: Descriptor, _size: int) -> bytes:
        raw = bytearray(self._plausible(descriptor, 0))
        for _ in range(self._random.randint(1, 8) if raw else 0):
            raw[self._random.randrange(len(raw))] = self._random.randrange(256)
        return bytes(raw)

    def _cut_off(self, descriptor: Descriptor, size: int) -> bytes:
        raw = self._plausible(descriptor, 0) + self._long_text(descriptor, size)
        return raw[: self._random.randrange(len(raw) + 1)]

    def _long_list(self, descriptor: Descriptor, size: int) -> bytes:
        """As many of the smallest elements as fit, in one list of an otherwise plausible request."""
        path = self._path_to(descriptor, lambda field: field.is_repeated)
        return self._plausible(descriptor, 0) + self._nested(path, b"", size)

    def _long_map(self, descriptor: Descriptor, size: int) -> bytes:
        path = self._path_to(descriptor, _is_map)
        if not _is_map(path[-1]):
            return self._long_list(descriptor, size)
        tag = _varint(path[-1].number << 3 | 2)
        entries = (tag + b"\x0a" + b"\x0a\x08" + f"{n:08}".encode() for n in range(size // (len(tag) + 11)))
        return self._plausible(descriptor, 0) + _wrapped(path[:-1], b"".join(entries))

    def _long_text(self, descriptor: Descriptor, size: int) -> bytes:
        path = self._path_to(descriptor, lambda field: field.type == FieldDescriptor.TYPE_STRING)
        letters = self._random.choice(("x", "é", "\0", "😀", " ")).encode()
        return self._plausible(descriptor, 0) + _wrapped(path, letters * (size // len(letters)))

    def _bad_utf8_at_the_end(self, descriptor: Descriptor, size: int) -> bytes:
        path = self._path_to(descriptor, lambda field: field.type == FieldDescriptor.TYPE_STRING)
        return self._long_list(descriptor, size) + _wrapped(path, _BAD_UTF8)

    def _deep(self, descriptor: Descriptor, size: int) -> bytes:
        """Messages nested as deeply as `size` allows, up to some thousand levels."""
        path = self._path_to(descriptor, lambda field: field.message_type is not None)
        raw = b""
        cycle = [field.number for field in path] or [1]
        for level in range(self._random.choice((50, 99, 101, 5000))):
            raw = _varint(cycle[level % len(cycle)] << 3 | 2) + _varint(len(raw)) + raw
            if len(raw) > size:
                break
        return raw

    def _path_to(
        self, descriptor: Descriptor, wanted: Callable[[FieldDescriptor], bool]
    ) -> list[FieldDescriptor]:
        """A path to a wanted field, or to any other field if there is none."""
        path: list[FieldDescriptor] = []
        while len(path) < 8:
            here = [field for field in descriptor.fields if wanted(field)]
            inner = [field for field in descriptor.fields if field.message_type is not None]
            if here and (not inner or self._random.random() < 0.6):
                return [*path, self._random.choice(here)]
            if not inner:
                break
            path.append(self._random.choice(inner))
            assert path[-1].message_type is not None
            descriptor = path[-1].message_type
        return path or list(descriptor.fields[:1])

    def _nested(self, path: list[FieldDescriptor], element: bytes, size: int) -> bytes:
        one = _varint(path[-1].number << 3 | 2) + _varint(len(element)) + element
        return _wrapped(path[:-1], one * (size // len(one)))

    def _message(self, descriptor: Descriptor, depth: int) -> Message:
        message: Any = GetMessageClass(descriptor)()
        for field in descriptor.fields:
            if self._random.random() < 0.25 or (depth > 3 and field.message_type is not None):
                continue
            if _is_map(field):
                self._fill_map(message, field, depth)
            elif field.is_repeated:
                # Fewer elements at depth: a recursive type would otherwise have millions.
                for _ in range(self._random.choice((1, 1, 2, 3, 11, 40) if depth < 2 else (1, 2))):
                    if field.message_type is not None:
                        getattr(message, field.name).add().CopyFrom(
                            self._message(field.message_type, depth + 1)
                        )
                    else:
                        getattr(message, field.name).append(self._value(field))
            elif field.message_type is not None:
                getattr(message, field.name).CopyFrom(self._message(field.message_type, depth + 1))
            else:
                setattr(message, field.name, self._value(field))
        filled: Message = message
        return filled

    def _fill_map(self, message: Any, field: FieldDescriptor, depth: int) -> None:
        assert field.message_type is not None
        key, value = field.message_type.fields_by_number[1], field.message_type.fields_by_number[2]
        for _ in range(self._random.choice((1, 2, 17) if depth < 2 else (1, 2))):
            if value.message_type is not None:
                inner = self._message(value.message_type, depth + 1)
                getattr(message, field.name)[self._value(key)].CopyFrom(inner)
            else:
                getattr(message, field.name)[self._value(key)] = self._value(value)

    def _value(self, field: FieldDescriptor) -> Any:
        choose = self._random.choice
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            if field.type == FieldDescriptor.TYPE_BYTES:
                return self._random.randbytes(self._random.randint(0, 40))
            if field.name.endswith("_id") or field.name == "lease_token":
                return choose([*self.known[-200:], str(uuid4()), str(uuid4()), choose(_TEXTS)])
            return choose([*_TEXTS, "".join(self._random.choices(string.printable, k=20))])
        if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            return self._random.random() < 0.5
        if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
            return choose((0.0, 0.5, -1.0, math.inf, math.nan))
        lowest, highest = _INTEGER_BITS[field.cpp_type]
        if field.enum_type is not None and self._random.random() < 0.9:
            return choose([value.number for value in field.enum_type.values])
        return choose([value for value in _INTEGERS if lowest <= value <= highest])


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _wrapped(path: list[FieldDescriptor], raw: bytes) -> bytes:
    """`raw` as the content of the path's last field, wrapped in the messages of the path."""
    for field in reversed(path):
        raw = _varint(field.number << 3 | 2) + _varint(len(raw)) + raw
    return raw


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
