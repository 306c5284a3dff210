"""Every repeated field and map of every request in both contracts has a bound, by the descriptors."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from governor_service.api import bounds as governor_bounds
from infin8.governor.v1.budget_service_pb2_grpc import (
    BudgetServiceServicer,
    add_BudgetServiceServicer_to_server,
)
from service_chassis.refusal import Refusal
from service_chassis.rpc.bounds import Bounds, RequestBounds
from service_chassis.rpc.decoding import Decoder
from service_chassis.rpc.server import GrpcServer, Service
from tests.fuzz.campaign import GOVERNOR, WORKFLOW, methods
from workflow_service.api import bounds as workflow_bounds

PROTOS = Path(__file__).parent.parent.parent / "protos"

PACKAGES = ("infin8.governor.v1", "infin8.workflow.v1")

Path_ = tuple[FieldDescriptor, ...]

EVERY_METHOD = [
    *((method, governor_bounds.BOUNDS) for method in methods(GOVERNOR)),
    *((method, workflow_bounds.BOUNDS) for method in methods(WORKFLOW)),
]
EVERY_LIST = [
    (method, bounds, path, most)
    for method, bounds in EVERY_METHOD
    for path, most in RequestBounds(method.input_type, bounds).paths()
    if not any(
        field.full_name in bounds.items for field in path[:-1]
    )  # each item is another method's request
]


def named(value: Any) -> str | None:
    if isinstance(value, MethodDescriptor):
        return value.name
    if isinstance(value, tuple) and value and isinstance(value[0], FieldDescriptor):
        return ".".join(field.name for field in value)
    return None


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def with_elements(message: Any, path: Path_, count: int) -> Message:
    """The message with `count` elements in the field at the end of the path, and nothing else."""
    field, *rest = path
    here = getattr(message, field.name)
    if not rest and is_map(field):
        value = field.message_type.fields_by_number[2]  # type: ignore[union-attr]  # a map has one
        for number in range(count):
            if value.message_type is not None:
                here[str(number)].SetInParent()
            else:
                here[str(number)] = "x" if value.type == FieldDescriptor.TYPE_STRING else 1
    elif not rest and field.message_type is not None:
        for _ in range(count):
            here.add()
    elif not rest:
        here.extend([1 if field.enum_type is not None else "x"] * count)
    elif is_map(field):
        with_elements(here["x"], tuple(rest[1:]), count)  # skips the entry's value
    elif field.is_repeated:
        with_elements(here.add(), tuple(rest), count)
    else:
        here.SetInParent()
        with_elements(here, tuple(rest), count)
    result: Message = message
    return result


def path_text(path: Path_) -> str:
    parts = []
    for place, field in enumerate(path):
        if place and is_map(path[place - 1]):
            continue  # the entry's value
        is_last = place == len(path) - 1
        parts.append(
            f"{field.name}[0]" if field.is_repeated and not is_map(field) and not is_last else field.name
        )
    return ".".join(parts)


def test_there_are_lists() -> None:
    """The walk over the descriptors finds known lists, and exactly those that have bounds."""
    found = {path[-1].full_name for _, _, path, _ in EVERY_LIST}
    assert "infin8.governor.v1.AuthorizeRequest.labels" in found
    assert "infin8.workflow.v1.ClusterResult.supporting_keywords" in found
    assert "google.protobuf.ListValue.values" in found
    assert found == set(governor_bounds.BOUNDS.elements) | set(workflow_bounds.BOUNDS.elements)


@pytest.mark.parametrize(("method", "bounds", "path", "most"), EVERY_LIST, ids=named)
def test_one_more_is_refused(method: MethodDescriptor, bounds: Bounds, path: Path_, most: int) -> None:
    """As many elements as the bound are decoded; one more is INVALID_FIELD with the path."""
    request_type = GetMessageClass(method.input_type)
    decoder = Decoder(request_type.FromString, bounds)
    fits = with_elements(request_type(), path, most)
    assert decoder.decode(fits.SerializeToString()) == fits
    with pytest.raises(Refusal) as raised:
        decoder.decode(with_elements(request_type(), path, most + 1).SerializeToString())
    assert raised.value.reason == "INVALID_FIELD"
    assert [violation.field for violation in raised.value.fields] == [path_text(path)]


async def test_a_service_with_a_list_that_has_no_bound_does_not_start() -> None:
    """A service with an unbounded list fails at its start, before the first call."""
    register = partial(add_BudgetServiceServicer_to_server, BudgetServiceServicer())
    server = GrpcServer(
        host="127.0.0.1",
        port=0,
        services=[Service("infin8.governor.v1.BudgetService", register, Bounds())],
        error_domain="governor.infin8",
    )
    with pytest.raises(KeyError, match="paths"):
        await server.start()


@pytest.mark.parametrize(("path", "most"), [(path, most) for _, _, path, most in EVERY_LIST], ids=named)
def test_the_contract_states_the_bound(path: Path_, most: int) -> None:
    """The bound is stated in the proto, in the comment above the field or above its message."""
    fields: tuple[Any, ...] = path
    field = fields[-1]
    if field.file.package.startswith("google."):
        field = next(each for each in reversed(fields) if each.containing_type.file.package in PACKAGES)
    source = (PROTOS / field.file.name).read_text()
    message = re.search(
        rf"((?:^//[^\n]*\n)*)^message {field.containing_type.name} {{\n(.*?)^}}",
        source,
        re.MULTILINE | re.DOTALL,
    )
    assert message is not None
    above_field = re.search(
        rf"((?:^ *//.*\n)*)^[^/\n]*\b{field.name} = {field.number};", message[2], re.MULTILINE
    )
    assert above_field is not None
    assert re.search(rf"\b{most:,}\b", message[1] + above_field[1]), f"{field.full_name}: {most:,}"
