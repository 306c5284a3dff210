"""Every RPC of the governor names all bad fields of a request at once."""

from __future__ import annotations

from typing import Any

import grpc

from infin8.governor.v1 import (
    budget_service_pb2,
    governor_service_pb2,
    ledger_service_pb2,
    pricing_service_pb2,
)
from service_chassis.rpc.errors import from_rpc_error
from tests.bad_fields import bad_requests
from tests.governor.conftest import Governor, refusal

# Fields that only answers set, or whose check depends on another field that is bad too.
NOT_LOOKED_AT = {
    "GetBudget": {"subject"},
    "SetBudget": {"subject"},
    "SetOrganization": {"organization.author", "organization.create_time", "organization.update_time"},
    "SetTier": {"tier.author", "tier.update_time"},
}


async def test_every_bad_field_is_named(governor: Governor) -> None:
    """Exactly the bad fields are named."""
    wrong, asked = {}, 0
    for service, stub in (
        (governor_service_pb2.DESCRIPTOR.services_by_name["GovernorService"], governor.stub),
        (budget_service_pb2.DESCRIPTOR.services_by_name["BudgetService"], governor.budgets),
        (ledger_service_pb2.DESCRIPTOR.services_by_name["LedgerService"], governor.ledger),
        (pricing_service_pb2.DESCRIPTOR.services_by_name["PricingService"], governor.prices),
    ):
        for method in service.methods:
            if method.server_streaming or method.name.startswith("Batch"):
                continue
            for request, paths in bad_requests(method):
                named = await named_by(getattr(stub, method.name), request)
                if named is None:
                    continue  # not built yet
                asked += 1
                expected = paths - NOT_LOOKED_AT.get(method.name, set())
                if named != expected:
                    wrong[method.name, frozenset(paths)] = (expected - named, named - expected)
    assert wrong == {}
    assert asked > 25


async def named_by(call: Any, request: Any) -> set[str] | None:
    """The fields that an RPC names, or None if it is not built yet."""
    try:
        await call(request)
    except grpc.aio.AioRpcError as error:
        refused = from_rpc_error(error)
        if refused is None or refused.reason == "NOT_BUILT_YET":
            return None
        return {violation.field for violation in refused.fields}
    return set()


async def test_an_item_of_a_batch_names_each_of_its_bad_fields(governor: Governor) -> None:
    """The item's message names each bad field, and the item beside it succeeds."""
    service = governor_service_pb2.DESCRIPTOR.services_by_name["GovernorService"]
    good = governor.authorize_request()
    for request, paths in bad_requests(service.methods_by_name["Authorize"]):
        answer = await governor.stub.BatchAuthorize(
            governor_service_pb2.BatchAuthorizeRequest(items=[request, good])
        )
        error = answer.results[0].error
        assert [path for path in paths if path not in error.message] == []
        assert answer.results[1].WhichOneof("outcome") == "result"
    for request, paths in bad_requests(service.methods_by_name["Settle"]):
        batch = governor_service_pb2.BatchSettleRequest(items=[request])
        error = (await governor.stub.BatchSettle(batch)).results[0].error
        assert [path for path in paths if path not in error.message] == []


async def test_only_too_large(governor: Governor) -> None:
    """VALUE_TOO_LARGE names each such field, if no field has a worse fault."""
    request = governor.authorize_request(input_tokens_max=10**10, output_tokens_max=10**10)
    with_worse = governor.authorize_request(input_tokens_max=10**10, workflow_id="x")
    for sent, reason, named in (
        (request, "VALUE_TOO_LARGE", ["output_tokens_max", "input_tokens_max"]),
        (with_worse, "INVALID_FIELD", ["workflow_id", "input_tokens_max"]),
    ):
        refused = await refusal(governor.stub.Authorize(sent))
        assert (refused.reason, [violation.field for violation in refused.fields]) == (reason, named)
