"""An undecodable request is refused with the path of the bad text, at any depth."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from google.protobuf.api_pb2 import Api, Method
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from service_chassis.refusal import Refusal
from service_chassis.rpc.bounds import FIELDS_MAX, Bounds
from service_chassis.rpc.decoding import Decoder

MARK = "MARK"
PLENTY = Bounds(
    elements=dict.fromkeys(
        (
            "google.protobuf.Api.methods",
            "google.protobuf.Api.options",
            "google.protobuf.Api.mixins",
            "google.protobuf.Method.options",
            "google.protobuf.Struct.fields",
            "google.protobuf.ListValue.values",
        ),
        10000,
    ),
    message_bytes={"google.protobuf.Api": 4 << 20},
)


def decode(message_type: type[Message], raw: bytes) -> Message:
    message: Message = Decoder(message_type.FromString, PLENTY).decode(raw)
    return message


def path_of(message: Message) -> str:
    """The path in the refusal of the request, after its marked text has been spoilt on the wire."""
    raw = message.SerializeToString().replace(MARK.encode(), b"\xc3\x28\xff\xfe")
    with pytest.raises(Refusal) as raised:
        decode(type(message), raw)
    (violation,) = raised.value.fields
    return violation.field


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (Api(name=MARK), "name"),
        (Api(name="a", methods=[Method(name="b"), Method(name=MARK)]), "methods[1].name"),
        (Struct(fields={"a": Value(string_value=MARK)}), "fields"),
        (ListValue(values=[Value(number_value=1), Value(string_value=MARK)]), "values[1].string_value"),
    ],
)
def test_the_path_of_a_text_that_is_not_utf8(message: Message, path: str) -> None:
    """The path is right in a field, in a repeated message and in a map."""
    assert path_of(message) == path


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(raw: bytes) -> None:
    """Any bytes are decoded or refused, without another exception."""
    try:
        decode(Api, raw)
    except Refusal as refusal:
        assert refusal.reason == "INVALID_FIELD"  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    "raw",
    [
        bytes(4 << 20),
        b"\x0a\x00" * (2 << 20),  # empty names
        b"\xf8\x7f\x01" * (1 << 20),  # unknown fields
        b"\x12\x00" * (2 << 20) + b"\x0a\x02\xff\xfe",  # empty methods, and a name that is not UTF-8
        b"\xff" * (4 << 20),
    ],
)
def test_the_longest_requests_take_bounded_work(raw: bytes) -> None:
    """Counting fields and searching for bad text look at some thousands of fields, however many there are."""
    lines = 0

    def trace(*_: Any) -> Any:
        nonlocal lines
        lines += 1
        return trace

    sys.settrace(trace)
    try:
        decode(Api, raw[: 4 << 20])
    except Refusal as refusal:
        assert refusal.reason == "INVALID_FIELD"  # noqa: PT017 - a refusal is expected, and the trace ends
    else:
        raise AssertionError("it is refused")
    finally:
        sys.settrace(None)
    assert lines < 50 * FIELDS_MAX


def test_the_search_for_a_bad_text_gives_up() -> None:
    """A bad text behind thousands of fields is not searched for: the refusal names the whole request."""
    short = b"\x12\x00" * 1_000 + b"\x0a\x02\xff\xfe"
    long = b"\x52\x00" * 15_000 + b"\x0a\x02\xff\xfe"
    for raw, path in ((short, "name"), (long, "request")):
        with pytest.raises(Refusal) as raised:
            decode(Api, raw)
        assert [violation.field for violation in raised.value.fields] == [path]


def test_messages_nested_too_deeply_are_refused() -> None:
    """A request with thousands of levels of messages is refused and does not exhaust Python's stack."""
    raw = b""
    for _ in range(4000):
        raw = b"\x0a" + _length(b"\x12" + _length(b"\x2a" + _length(raw)))  # fields, value, struct_value
    with pytest.raises(Refusal, match="INVALID_FIELD"):
        decode(Struct, raw)


def _length(raw: bytes) -> bytes:
    size = len(raw)
    prefix = bytearray()
    while size > 0x7F:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*prefix, size]) + raw
