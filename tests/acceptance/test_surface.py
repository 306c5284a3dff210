"""What common gRPC tools find on the two ports."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.acceptance.served_pair import ServedPair

_SERVICES = {
    "governor": [f"infin8.governor.v1.{name}Service" for name in ("Governor", "Pricing", "Budget", "Ledger")],
    "workflow": ["infin8.workflow.v1.WorkflowService"],
}


@pytest.mark.parametrize("name", _SERVICES)
def test_reflection_serves_the_contract(pair: ServedPair, name: str) -> None:
    """A client without the protos can list the services and get the descriptor of every RPC's messages."""
    with grpc.insecure_channel(getattr(pair, name)) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert set(_SERVICES[name]) <= set(database.get_services())
        pool = DescriptorPool(database)
        for service in _SERVICES[name]:
            for method in pool.FindServiceByName(service).methods:
                assert method.input_type.fields is not None
                assert method.output_type.fields is not None


@pytest.mark.parametrize("name", _SERVICES)
def test_health_is_serving(pair: ServedPair, name: str) -> None:
    """Health is SERVING overall and for each service."""
    with grpc.insecure_channel(getattr(pair, name)) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )
        for service in ["", *_SERVICES[name]]:
            answer = check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("symbol", ["GovernorService.Authorize", "AuthorizeRequest.models", "EntryKind"])
def test_reflection_finds_what_people_describe(pair: ServedPair, symbol: str) -> None:
    """`grpcurl describe` finds methods, fields and enums by name, not only services."""
    with grpc.insecure_channel(pair.governor) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        file = database.FindFileContainingSymbol(f"infin8.governor.v1.{symbol}")
        assert file.package == "infin8.governor.v1"
