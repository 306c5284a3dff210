"""Undecodable requests: the path of the text at fault, however deep it lies."""

from __future__ import annotations

import pytest
from google.protobuf.api_pb2 import Api, Method
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from service_chassis.refusal import Refusal
from service_chassis.rpc.decoding import decode

MARK = "MARK"


def path_of(message: Message) -> str:
    """Of the request with its marked text spoilt on the wire."""
    raw = message.SerializeToString().replace(MARK.encode(), b"\xc3\x28\xff\xfe")
    with pytest.raises(Refusal) as raised:
        decode(type(message).FromString, raw)
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
    """In a field, in a repeated message, in a map."""
    assert path_of(message) == path


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(raw: bytes) -> None:
    """Never an exception of another kind."""
    try:
        decode(Api.FromString, raw)
    except Refusal as refusal:
        assert refusal.reason == "INVALID_FIELD"  # noqa: PT017 - either outcome is right
