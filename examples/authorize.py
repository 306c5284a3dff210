"""A governed model call with the generated stubs: authorize, call the model, settle.

    .venv/bin/python examples/authorize.py [HOST:PORT of the governor]

Run it beside `make serve`. Any language can do the same: the files in protos/ import only
google/protobuf.
"""

from __future__ import annotations

import sys
from uuid import uuid4

import grpc

from infin8.governor.v1 import entry_pb2, governor_service_pb2, governor_service_pb2_grpc

SECONDS = 5


def main(target: str) -> None:
    with grpc.insecure_channel(target) as channel:
        governor = governor_service_pb2_grpc.GovernorServiceStub(channel)
        organization_id = str(uuid4())

        # A retry sends the same request_id, so that it places no second hold.
        request = governor_service_pb2.AuthorizeRequest(
            organization_id=organization_id,
            workflow_id=str(uuid4()),
            request_id=str(uuid4()),
            models=["perplexity/sonar", "openai/gpt-4o-mini"],
            input_tokens_max=2_000,
            output_tokens_max=1_000,
        )
        try:
            hold = governor.Authorize(request, timeout=SECONDS)
        except grpc.RpcError as error:  # for any error, do not call the model
            sys.exit(f"not authorized: {error.code().name}: {error.details()}")
        print(
            f"call {hold.model} with max_tokens={hold.output_tokens_max}: {hold.held_nano_usd} nano-USD held"
        )

        # Call the model here. The provider's answer says what the call used.
        settlement = governor.Settle(
            governor_service_pb2.SettleRequest(
                organization_id=organization_id,
                authorization_id=hold.authorization_id,
                served_model=hold.model,
                usage=entry_pb2.Usage(input_tokens=1_200, output_tokens=400, requests=1),
            ),
            timeout=SECONDS,
        )
        print(f"cost {settlement.entry.cost_nano_usd} nano-USD, {settlement.released_nano_usd} released")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051")
