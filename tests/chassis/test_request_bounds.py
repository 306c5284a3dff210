"""Counts and bytes of a request are checked against the service's bounds before any other work."""

from __future__ import annotations

import pytest
from google.protobuf.api_pb2 import Api, Method
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.type_pb2 import Option

from service_chassis.refusal import Refusal
from service_chassis.rpc.bounds import LONG, Bounds
from service_chassis.rpc.decoding import Decoder

ELEMENTS = {
    "google.protobuf.Api.methods": 3,
    "google.protobuf.Api.options": 3,
    "google.protobuf.Api.mixins": 3,
    "google.protobuf.Method.options": 2,
    "google.protobuf.Option.value": 1,
    "google.protobuf.Struct.fields": 3,
    "google.protobuf.ListValue.values": 2,
}
STATED = Bounds(elements=ELEMENTS, message_bytes={"google.protobuf.Api": 100_000})


def path_refused(message: Message, bounds: Bounds = STATED) -> str:
    with pytest.raises(Refusal) as raised:
        Decoder(type(message).FromString, bounds).decode(message.SerializeToString())
    assert raised.value.reason == "INVALID_FIELD"
    (violation,) = raised.value.fields
    return violation.field


def long(message: Api) -> Api:
    """The message made so long that it is counted before it is decoded."""
    message.name = "x" * LONG
    return message


LISTS = [
    (Api(methods=[Method()] * 3), Api(methods=[Method()] * 4), "methods"),
    (
        Api(methods=[Method(), Method(options=[Option()] * 2)]),
        Api(methods=[Method(), Method(options=[Option()] * 3)]),
        "methods[1].options",
    ),
    (
        Struct(fields={str(n): Value() for n in range(3)}),
        Struct(fields={str(n): Value() for n in range(4)}),
        "fields",
    ),
    (
        Struct(fields={"a": Value(list_value=ListValue(values=[Value()] * 2))}),
        Struct(fields={"a": Value(list_value=ListValue(values=[Value()] * 3))}),
        "fields.list_value.values",
    ),
]


@pytest.mark.parametrize(("fits", "too_many", "path"), LISTS)
def test_one_more_than_the_bound_is_refused(fits: Message, too_many: Message, path: str) -> None:
    """The bound is checked in the request, in listed messages, maps and recursion; the bound itself fits."""
    assert Decoder(type(fits).FromString, STATED).decode(fits.SerializeToString()) == fits
    assert path_refused(too_many) == path


@pytest.mark.parametrize(("fits", "too_many", "path"), LISTS[:2])
def test_a_long_request_is_counted_alike(fits: Api, too_many: Api, path: str) -> None:
    """A long request is counted before it is decoded, with the same result."""
    decoder = Decoder(Api.FromString, STATED)
    decoded = long(fits)
    assert decoder.decode(decoded.SerializeToString()) == decoded
    assert path_refused(long(too_many)) == path


def test_a_map_of_many_values_is_counted_before_it_is_decoded() -> None:
    """A map whose values are messages is counted too; the refusal has the map's path."""
    assert path_refused(Struct(fields={f"{n:0200}": Value(string_value="") for n in range(100)})) == "fields"


def test_a_request_has_a_length() -> None:
    """A request may have 64 KiB, or as many bytes as the service states for its type."""
    assert path_refused(Api(name="x" * 100_000)) == "request"
    assert Decoder(Api.FromString, STATED).decode(Api(name="x" * 90_000).SerializeToString())
    unstated = Bounds(elements=ELEMENTS)
    assert path_refused(Api(name="x" * 65_536), unstated) == "request"
    assert Decoder(Api.FromString, unstated).decode(Api(name="x" * 65_000).SerializeToString())


def test_items_are_left_to_the_servicer() -> None:
    """The number of items is checked; an item above its own bounds is decoded and left to the servicer."""
    bounds = Bounds(elements=ELEMENTS, items=frozenset({"google.protobuf.Api.methods"}))
    batch = Api(methods=[Method(), Method(options=[Option(name="x" * 20_000)] * 3)])
    assert Decoder(Api.FromString, bounds).decode(batch.SerializeToString()) == batch
    assert path_refused(Api(methods=[Method()] * 4), bounds) == "methods"


def test_items_without_end_are_refused_as_a_whole() -> None:
    """A batch above its bound of bytes is refused without decoding its items."""
    bounds = Bounds(
        elements=ELEMENTS,
        items=frozenset({"google.protobuf.Api.methods"}),
        message_bytes={"google.protobuf.Api": 1 << 20},
    )
    batch = Api(methods=[Method(options=[Option()] * 100_000)])
    assert path_refused(batch, bounds) == "request"


@pytest.mark.parametrize("left_out", ["google.protobuf.Api.methods", "google.protobuf.Method.options"])
def test_a_list_without_a_bound_is_a_mistake(left_out: str) -> None:
    """A list without a bound, also one inside a list, raises KeyError when the method is registered."""
    elements = {name: most for name, most in ELEMENTS.items() if name != left_out}
    with pytest.raises(KeyError, match=left_out):
        Decoder(Api.FromString, Bounds(elements=elements))
