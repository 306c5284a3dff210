"""Server reflection under both of its names. grpcio has only v1alpha; v1 has the same wire format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.reflection import aio as reflection_aio

V1_ALPHA = "grpc.reflection.v1alpha.ServerReflection"
V1 = "grpc.reflection.v1.ServerReflection"


def add_reflection(server: grpc.aio.Server, service_names: Sequence[str]) -> None:
    """Serves the descriptors of the default pool. Lists the given services and reflection itself."""
    _describe_v1()
    servicer = reflection_aio.ReflectionServicer([*service_names, V1, V1_ALPHA], pool=_Pool())
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]  # generated, and not in the stubs
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(V1, {"ServerReflectionInfo": method}),)
    )


class _Pool:
    """The default pool, made to find methods too, which `grpcurl describe` may ask for."""

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802 - a descriptor pool's
        pool = descriptor_pool.Default()
        try:
            return pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return pool.FindMethodByName(symbol).containing_service.file

    def __getattr__(self, name: str) -> Any:
        return getattr(descriptor_pool.Default(), name)


def _describe_v1() -> None:
    """Adds the descriptors of v1: a client that lists services then asks for the descriptor of each."""
    alpha = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
    renamed = json_format.MessageToJson(alpha).replace("v1alpha", "v1")
    descriptor_pool.Default().AddSerializedFile(
        json_format.Parse(renamed, descriptor_pb2.FileDescriptorProto()).SerializeToString()
    )
