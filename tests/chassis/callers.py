"""Calls to the small service, and to health, over a channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from tests.chassis.conftest import NAME


def asking(text: str) -> bytes:
    return HealthCheckRequest(service=text).SerializeToString()


def unary_call(
    channel: grpc.aio.Channel,
    raw: bytes,
    *,
    method: str = f"/{NAME}/Unary",
    seconds: float = 10,
    metadata: Sequence[tuple[str, str]] = (),
) -> grpc.aio.UnaryUnaryCall[bytes, HealthCheckResponse]:
    multicallable: grpc.aio.UnaryUnaryMultiCallable[bytes, HealthCheckResponse] = channel.unary_unary(
        method, None, HealthCheckResponse.FromString
    )
    return multicallable(raw, timeout=seconds, metadata=tuple(metadata))


async def unary(channel: grpc.aio.Channel, raw: bytes, **arguments: Any) -> HealthCheckResponse:
    return await unary_call(channel, raw, **arguments)


def stream_call(
    channel: grpc.aio.Channel, raw: bytes, *, method: str = f"/{NAME}/Stream"
) -> grpc.aio.UnaryStreamCall[bytes, HealthCheckResponse]:
    multicallable: grpc.aio.UnaryStreamMultiCallable[bytes, HealthCheckResponse] = channel.unary_stream(
        method, None, HealthCheckResponse.FromString
    )
    return multicallable(raw, timeout=10)


async def stream(channel: grpc.aio.Channel, raw: bytes) -> list[HealthCheckResponse]:
    return [answer async for answer in stream_call(channel, raw)]


async def health(channel: grpc.aio.Channel, service: str) -> HealthCheckResponse:
    return await unary(channel, asking(service), method="/grpc.health.v1.Health/Check")


def watch_health(
    channel: grpc.aio.Channel, service: str
) -> grpc.aio.UnaryStreamCall[bytes, HealthCheckResponse]:
    return stream_call(channel, asking(service), method="/grpc.health.v1.Health/Watch")
