"""Bad input gets a clear error that names the field, and changes nothing."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from infin8.governor.v1 import budget_pb2, budget_service_pb2, entry_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from infin8.governor.v1 import ledger_service_pb2 as ledger_pb2
from service_chassis.rpc.errors import from_rpc_error
from tests.governor.conftest import Governor, new_id, refusal

pytestmark = pytest.mark.own_world

BAD_IDS = [
    "",
    "nonsense",
    "{7d0b8c1e-6f6a-4b52-9a51-0c1f7e1f9a11}",
    "urn:uuid:7d0b8c1e-6f6a-4b52-9a51-0c1f7e1f9a11",
    "7d0b8c1e6f6a4b529a510c1f7e1f9a11",
    "7d0b-8c1e6f6a-4b52-9a51-0c1f7e1f9a11",
    "00000000-0000-0000-0000-000000000000",
    "7d0b8c1e-6f6a-4b52-9a51-0c1f7e1f9a11\0",
]
TOO_LARGE = "VALUE_TOO_LARGE"


@pytest.mark.parametrize("value", BAD_IDS)
@pytest.mark.parametrize("field", ["organization_id", "workflow_id", "request_id"])
async def test_ids_of_authorize(governor: Governor, field: str, value: str) -> None:
    """Only canonical UUIDs are accepted."""
    await invalid(governor, governor.authorize(**{field: value}), field)


async def test_an_id_in_upper_case_is_the_same_id(governor: Governor) -> None:
    """An id in upper case is accepted and answered in lower case."""
    held = await governor.authorize(organization_id=governor.organization_id.upper())
    assert held.organization_id == governor.organization_id


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"models": []}, "models", None),
        ({"models": ["perplexity/sonar"] * 11}, "models", None),
        ({"models": ["perplexity/sonar", ""]}, "models[1]", None),
        ({"models": ["x" * 201]}, "models[0]", None),
        ({"models": ["a b"]}, "models[0]", None),
        ({"models": ["a\0b"]}, "models[0]", None),
        ({"models": [":free"]}, "models[0]", None),
        ({"input_tokens_max": 0}, "input_tokens_max", None),
        ({"input_tokens_max": -1}, "input_tokens_max", None),
        ({"input_tokens_max": 10**9 + 1}, "input_tokens_max", TOO_LARGE),
        ({"output_tokens_max": 0}, "output_tokens_max", None),
        ({"output_tokens_max": 2**63 - 1}, "output_tokens_max", TOO_LARGE),
        ({"output_tokens_min": 0}, "output_tokens_min", None),
        ({"output_tokens_min": 701}, "output_tokens_min", None),
        ({"requests_max": 0}, "requests_max", None),
        ({"requests_max": 10**6 + 1}, "requests_max", TOO_LARGE),
        ({"hold_duration": Duration(seconds=0)}, "hold_duration", None),
        ({"hold_duration": Duration(seconds=-5)}, "hold_duration", None),
        ({"hold_duration": Duration(seconds=86_401)}, "hold_duration", TOO_LARGE),
        ({"hold_duration": Duration(seconds=1, nanos=-1)}, "hold_duration", None),
        ({"on_expiry": 9}, "on_expiry", None),
        ({"labels": {f"k{n}": "v" for n in range(17)}}, "labels", None),
        ({"labels": {"k" * 65: "v"}}, "labels", None),
        ({"labels": {"k": "v" * 257}}, "labels", None),
        ({"labels": {"": "v"}}, "labels", None),
        ({"labels": {"a=b": "v"}}, "labels", None),
        ({"labels": {"k": "a\0b"}}, "labels", None),
        ({"labels": {f"k{n}": "v" * 100 for n in range(11)}}, "labels", None),
    ],
)
async def test_fields_of_authorize(
    governor: Governor, changes: dict[str, Any], field: str, reason: str | None
) -> None:
    """A bad field is refused before any lock is taken."""
    await invalid(governor, governor.authorize(**changes), field, reason or "INVALID_FIELD")


@pytest.mark.parametrize(
    ("usage", "field", "reason"),
    [
        ({"input_tokens": -1}, "usage.input_tokens", None),
        ({"output_tokens": 10**9 + 1}, "usage.output_tokens", TOO_LARGE),
        ({"requests": 10**6 + 1}, "usage.requests", TOO_LARGE),
        ({"input_tokens": 5, "cached_input_tokens": 6}, "usage.cached_input_tokens", None),
        (
            {"input_tokens": 5, "cached_input_tokens": 3, "cache_write_tokens": 3},
            "usage.cache_write_tokens",
            None,
        ),
        ({"output_tokens": 5, "reasoning_tokens": 6}, "usage.reasoning_tokens", None),
    ],
)
async def test_usage_of_settle(
    governor: Governor, usage: dict[str, Any], field: str, reason: str | None
) -> None:
    """Impossible usage is refused, and the hold stays unchanged."""
    held = await governor.authorize()
    refused = await refusal(governor.settle(held, entry_pb2.Usage(**usage)))
    assert (refused.reason, refused.fields[0].field) == (reason or "INVALID_FIELD", field)
    assert (await governor.workflow_budget()).held_nano_usd == held.held_nano_usd


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"provider_cost_nano_usd": -1}, "provider_cost_nano_usd", None),
        ({"provider_cost_nano_usd": 10**15 + 1}, "provider_cost_nano_usd", TOO_LARGE),
        ({"served_model": "x" * 201}, "served_model", None),
        ({"provider_generation_id": "g" * 201}, "provider_generation_id", None),
        ({"provider_generation_id": "a\u202eb"}, "provider_generation_id", None),
    ],
)
async def test_fields_of_settle(
    governor: Governor, changes: dict[str, Any], field: str, reason: str | None
) -> None:
    """A bad field is refused, and the hold stays unchanged."""
    held = await governor.authorize()
    refused = await refusal(governor.settle(held, **changes))
    assert (refused.reason, refused.fields[0].field) == (reason or "INVALID_FIELD", field)
    assert await governor.entries() == []


async def test_an_outcome_is_required(governor: Governor) -> None:
    """A Settle with neither usage nor unknown outcome is refused."""
    request = governor_pb2.SettleRequest(organization_id=governor.organization_id, authorization_id=new_id())
    await invalid(governor, governor.stub.Settle(request), "outcome")


async def test_a_hold_is_named_by_one_of_its_ids(governor: Governor) -> None:
    """Void and GetAuthorization need one of the hold's ids."""
    organization = {"organization_id": governor.organization_id}
    await invalid(governor, governor.stub.Void(governor_pb2.VoidRequest(**organization)), "authorization_id")
    await invalid(
        governor,
        governor.stub.GetAuthorization(governor_pb2.GetAuthorizationRequest(**organization)),
        "authorization_id",
    )
    too_long = governor_pb2.VoidRequest(**organization, authorization_id=new_id(), reason="x" * 1025)
    await invalid(governor, governor.stub.Void(too_long), "reason")


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"scope": 0}, "scope", None),
        ({"scope": 9}, "scope", None),
        ({"scope": 1, "subject": "x"}, "subject", None),
        ({"scope": 1, "period": 9}, "period", None),
        (
            {
                "scope": 1,
                "period": budget_pb2.BUDGET_PERIOD_LIFETIME,
                "period_start": Timestamp(seconds=10**9),
            },
            "period_start",
            None,
        ),
        ({"scope": 1, "limit_nano_usd": 1, "expire_time": Timestamp(seconds=10**9)}, "expire_time", None),
        ({"scope": 2, "subject": "x"}, "subject", None),
        ({"scope": 2, "subject": new_id(), "period_start": Timestamp(seconds=10**9)}, "period_start", None),
        ({"scope": 3, "subject": "team", "period": 1}, "subject", None),
        ({"scope": 3, "subject": "=growth", "period": 1}, "subject", None),
        ({"scope": 3, "subject": "team=growth"}, "period", None),
        ({"scope": 1, "limit_nano_usd": -1}, "limit_nano_usd", None),
        ({"scope": 1, "limit_nano_usd": 10**17 + 1}, "limit_nano_usd", TOO_LARGE),
        ({"scope": 1, "period_start": Timestamp(seconds=946_684_799)}, "period_start", None),
        ({"scope": 1, "period_start": Timestamp(seconds=-(10**18))}, "period_start", None),
        ({"scope": 1, "period_start": Timestamp(seconds=10**9, nanos=-1)}, "period_start", None),
        ({"scope": 1, "request_id": "x"}, "request_id", None),
    ],
)
async def test_fields_of_set_budget(
    governor: Governor, changes: dict[str, Any], field: str, reason: str | None
) -> None:
    """A bad field is refused, and no limit is set."""
    request = budget_service_pb2.SetBudgetRequest(organization_id=governor.organization_id, **changes)
    await invalid(governor, governor.budgets.SetBudget(request), field, reason or "INVALID_FIELD")
    assert await governor.sql("SELECT FROM budget_limits") == []


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"page_size": -1}, "page_size", None),
        ({"page_size": 1001}, "page_size", TOO_LARGE),
        ({"page_token": "garbage"}, "page_token", None),
        ({"kind": 9}, "kind", None),
        ({"flag": 99}, "flag", None),
        ({"label": "team"}, "label", None),
        ({"workflow_id": "x"}, "workflow_id", None),
        ({"model": "\0"}, "model", None),
        ({"start_time": Timestamp(seconds=1)}, "start_time", None),
    ],
)
async def test_fields_of_list_entries(
    governor: Governor, changes: dict[str, Any], field: str, reason: str | None
) -> None:
    """ListEntries refuses bad fields too."""
    request = ledger_pb2.ListEntriesRequest(organization_id=governor.organization_id, **changes)
    await invalid(governor, governor.ledger.ListEntries(request), field, reason or "INVALID_FIELD")


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x02\xff\xfe", b"\x0a\x7f"])
async def test_bytes_that_are_no_request(governor: Governor, data: bytes) -> None:
    """Bytes that are no request get INVALID_ARGUMENT in our form, without the framework's exception text."""
    call: Any = governor.channel.unary_unary("/infin8.governor.v1.GovernorService/Authorize")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(data)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    refused = from_rpc_error(caught.value)
    assert refused is not None
    assert refused.reason == "INVALID_FIELD"


async def invalid(governor: Governor, call: Any, field: str, reason: str = "INVALID_FIELD") -> None:
    refused = await refusal(call)
    assert (refused.reason, refused.fields[0].field) == (reason, field)
    assert await governor.sql("SELECT FROM authorizations") == []
