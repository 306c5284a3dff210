"""Health and reflection are on the service's own port, as tools expect them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from service_chassis.rpc.server import GrpcServer, Service
from tests.chassis.callers import health
from tests.chassis.conftest import DOMAIN, NAME, Tiny

V1, V1_ALPHA = "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"


@pytest.mark.parametrize("service", ["", NAME])
async def test_health_overall_and_per_service(channel: grpc.aio.Channel, service: str) -> None:
    """Health is SERVING from the start."""
    assert (await health(channel, service)).status == HealthCheckResponse.SERVING


async def test_an_unknown_service_has_no_health(channel: grpc.aio.Channel) -> None:
    """Health of an unknown service is NOT_FOUND, as the health protocol says."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await health(channel, "nope")
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


async def reflect(
    channel: grpc.aio.Channel, name: str, *requests: ServerReflectionRequest
) -> list[ServerReflectionResponse]:
    async def sent() -> AsyncIterator[ServerReflectionRequest]:
        for request in requests:
            yield request

    method = channel.stream_stream(
        f"/{name}/ServerReflectionInfo",
        ServerReflectionRequest.SerializeToString,
        ServerReflectionResponse.FromString,
    )
    return [answer async for answer in method(sent(), timeout=10)]


@pytest.mark.parametrize("name", [V1, V1_ALPHA])
async def test_reflection_lists_and_describes(channel: grpc.aio.Channel, name: str) -> None:
    """Both versions of reflection list the services and describe the standard gRPC services among them."""
    listed, of_health, of_v1 = await reflect(
        channel,
        name,
        ServerReflectionRequest(list_services=""),
        ServerReflectionRequest(file_containing_symbol="grpc.health.v1.Health"),
        ServerReflectionRequest(file_containing_symbol=V1),
    )
    names = {service.name for service in listed.list_services_response.service}
    assert names == {NAME, "grpc.health.v1.Health", V1, V1_ALPHA}
    for answer, package in ((of_health, "grpc.health.v1"), (of_v1, "grpc.reflection.v1")):
        (file, *_) = answer.file_descriptor_response.file_descriptor_proto
        assert FileDescriptorProto.FromString(file).package == package


async def test_reflection_can_be_switched_off(tiny: Tiny) -> None:
    """Without reflection both of its services are unknown, and health still answers."""
    server = GrpcServer(
        host="127.0.0.1",
        port=0,
        services=[Service(NAME, tiny.register)],
        error_domain=DOMAIN,
        reflection=False,
    )
    port = await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for name in (V1, V1_ALPHA):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await reflect(channel, name, ServerReflectionRequest(list_services=""))
            assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
        await health(channel, "")
    await server.stop(0)
