"""Requests generated from their descriptors, in which every field is bad."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

# Values that are invalid for every field of the type, whatever its purpose.
_BAD = {
    FieldDescriptor.CPPTYPE_STRING: "\0",
    FieldDescriptor.CPPTYPE_INT32: -1,
    FieldDescriptor.CPPTYPE_INT64: -1,
    FieldDescriptor.CPPTYPE_ENUM: 99,
    FieldDescriptor.CPPTYPE_DOUBLE: float("nan"),
}


def bad_requests(method: MethodDescriptor) -> Iterator[tuple[Any, set[str]]]:
    """Requests in which every field has an invalid value, each with the paths of these fields. Together they
    set every member of each oneof. Booleans and field masks accept any value and are left out.
    """
    choices = max((len(oneof.fields) for oneof in _oneofs(method.input_type)), default=1)
    for choice in range(choices):
        request = GetMessageClass(method.input_type)()
        paths: set[str] = set()
        _spoil(request, "", paths, choice)
        yield request, paths


def _oneofs(descriptor: Descriptor) -> Iterator[Any]:
    yield from descriptor.oneofs
    for field in descriptor.fields:
        if field.message_type and field.message_type.file.package.startswith("infin8"):
            yield from _oneofs(field.message_type)


def _spoil(message: Message, prefix: str, paths: set[str], choice: int) -> None:
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if oneof and oneof.fields[choice % len(oneof.fields)] is not field:
            continue
        path = f"{prefix}{field.name}"
        value = getattr(message, field.name)
        kind = field.message_type
        if kind and kind.GetOptions().map_entry:
            value[""] = _BAD[kind.fields_by_name["value"].cpp_type]
            paths.add(path)
        elif kind and field.is_repeated:
            _spoil_message(value.add(), f"{path}[0]", paths, choice)
        elif kind:
            value.SetInParent()
            _spoil_message(value, path, paths, choice)
        elif field.is_repeated:
            value.append(_BAD[field.cpp_type])
            paths.add(f"{path}[0]")
        elif field.cpp_type != FieldDescriptor.CPPTYPE_BOOL:
            setattr(message, field.name, _BAD[field.cpp_type])
            paths.add(path)
        elif oneof and len(oneof.fields) > 1:
            setattr(message, field.name, False)  # the oneof member is set, but false
            paths.add(path)


def _spoil_message(message: Any, path: str, paths: set[str], choice: int) -> None:
    match message.DESCRIPTOR.full_name:
        case "google.protobuf.Timestamp" | "google.protobuf.Duration":
            message.seconds = -1
            paths.add(path)
        case "google.protobuf.Struct":
            message.fields["key"].number_value = float("nan")
            paths.add(path)
        case "google.protobuf.FieldMask":
            message.paths.append("*")
        case _:
            _spoil(message, f"{path}.", paths, choice)
