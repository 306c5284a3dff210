"""BatchAuthorize and BatchSettle answer each item separately, in the order sent, as the unary RPCs would."""

from __future__ import annotations

import asyncio
from collections import Counter

import grpc
import pytest

from infin8.governor.v1 import entry_pb2, errors_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from tests.governor.conftest import MINI, Governor, new_id, refusal

HOLD = 2_400_000
USAGE = entry_pb2.Usage(input_tokens=600, output_tokens=100, requests=1)
COST = 800_000


async def authorize_all(
    governor: Governor, items: list[governor_pb2.AuthorizeRequest]
) -> list[governor_pb2.BatchAuthorizeResult]:
    answer = await governor.stub.BatchAuthorize(governor_pb2.BatchAuthorizeRequest(items=items))
    return list(answer.results)


def reason(result: governor_pb2.BatchAuthorizeResult | governor_pb2.BatchSettleResult) -> str:
    """The refusal's reason, or GRANTED."""
    if result.WhichOneof("outcome") == "result":
        return "GRANTED"
    return errors_pb2.ErrorReason.Name(result.error.reason).removeprefix("ERROR_REASON_")


async def test_each_item_answers_for_itself_in_the_order_sent(governor: Governor) -> None:
    """Items of several organizations in any order get their own answers; a failed item affects no other."""
    good = [governor.authorize_request(organization_id=new_id()) for _ in range(6)]
    items = [
        good[0],
        governor.authorize_request(models=["nobody/nothing"]),
        good[1],
        governor.authorize_request(input_tokens_max=-1),
        governor.authorize_request(models=[MINI]),
        governor.authorize_request(input_tokens_max=10**9),
        *good[2:],
    ]
    results = await authorize_all(governor, items)
    assert [reason(result) for result in results] == [
        "GRANTED",
        "MODEL_NOT_PRICED",
        "GRANTED",
        "INVALID_FIELD",
        "GRANTED",
        "BUDGET_EXCEEDED",
        *["GRANTED"] * 4,
    ]
    for item, result in zip(items, results, strict=True):
        if reason(result) == "GRANTED":
            assert result.result.request_id == item.request_id
            assert list(result.result.budgets) == []
    denied = results[5].error
    assert denied.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    assert denied.metadata["scope"] == "WORKFLOW"


async def test_an_item_sees_the_holds_of_those_before_it(governor: Governor) -> None:
    """With room for three holds, the first three of five items are granted."""
    await governor.set_workflow_limit(3 * HOLD)
    results = await authorize_all(governor, [governor.authorize_request() for _ in range(5)])
    assert [reason(result) for result in results] == ["GRANTED"] * 3 + ["BUDGET_EXCEEDED"] * 2


async def test_an_item_is_idempotent_against_its_own_batch_and_the_unary_method(governor: Governor) -> None:
    """One request places one hold, whether it is repeated in the batch or as a unary call."""
    request = governor.authorize_request()
    first, again = await authorize_all(governor, [request, request])
    assert (first.result.replayed, again.result.replayed) == (False, True)
    assert first.result.authorization_id == again.result.authorization_id
    unary = await governor.stub.Authorize(request)
    assert (unary.replayed, unary.authorization_id) == (True, first.result.authorization_id)
    request.output_tokens_max += 1
    assert [reason(result) for result in await authorize_all(governor, [request])] == ["REQUEST_ID_REUSED"]


async def test_settlements_in_a_batch(governor: Governor) -> None:
    """Items settle by usage, as unknown and as a replay; a missing hold or outcome is refused."""
    holds = [await governor.authorize() for _ in range(2)]
    items = [
        governor_pb2.SettleRequest(authorization_id=holds[0].authorization_id, usage=USAGE),
        governor_pb2.SettleRequest(
            authorization_id=holds[1].authorization_id, unknown_outcome=governor_pb2.UnknownOutcome()
        ),
        governor_pb2.SettleRequest(authorization_id=holds[0].authorization_id, usage=USAGE),
        governor_pb2.SettleRequest(authorization_id=new_id(), usage=USAGE),
        governor_pb2.SettleRequest(authorization_id=holds[1].authorization_id),
    ]
    for item in items:
        item.organization_id = governor.organization_id
    answer = await governor.stub.BatchSettle(governor_pb2.BatchSettleRequest(items=items))
    results = list(answer.results)
    assert [reason(result) for result in results] == [
        *["GRANTED"] * 3,
        "AUTHORIZATION_NOT_FOUND",
        "INVALID_FIELD",
    ]
    assert [result.result.entry.cost_nano_usd for result in results[:3]] == [COST, HOLD, COST]
    assert [result.result.replayed for result in results[:3]] == [False, False, True]
    assert [entry.sequence for entry in await governor.entries()] == [1, 2]


async def test_more_than_a_thousand_items_are_refused(governor: Governor) -> None:
    """The whole batch is refused before any item is looked at."""
    items = [governor.authorize_request()] * 1001
    refused = await refusal(authorize_all(governor, items))
    assert (refused.reason, refused.fields[0].field) == ("INVALID_FIELD", "items")
    assert await authorize_all(governor, []) == []


@pytest.mark.own_world
async def test_batches_hammered_at_once_over_the_same_organizations(governor: Governor) -> None:
    """Twenty batches over ten organizations in different orders cause no deadlock and no overspend."""
    organizations = [new_id() for _ in range(10)]
    workflows = {organization: new_id() for organization in organizations}

    def batch(turn: int) -> list[governor_pb2.AuthorizeRequest]:
        turned = organizations[turn % 10 :] + organizations[: turn % 10]
        return [
            governor.authorize_request(
                organization_id=organization, workflow_id=workflows[organization], input_tokens_max=50_000
            )
            for organization in (turned if turn % 2 else turned[::-1])
            for _ in range(2)
        ]

    answers = await asyncio.gather(*(authorize_all(governor, batch(turn)) for turn in range(20)))
    reasons = Counter(reason(result) for answer in answers for result in answer)
    # 50,000 + 700 tokens hold 51,400,000 nano-USD; 19 such holds fit into 1.00 USD, in each of ten workflows.
    assert reasons == {"GRANTED": 190, "BUDGET_EXCEEDED": 210}
    (deadlocks,) = await governor.sql(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    assert deadlocks["deadlocks"] == 0


@pytest.mark.own_world  # it damages the books
async def test_an_item_with_an_internal_error_fails_alone(governor: Governor) -> None:
    """The item gets INTERNAL_ERROR with the call's correlation id; all other items settle."""
    held = [await governor.authorize(), await governor.authorize(workflow_id=new_id())]
    other = await governor.authorize(organization_id=new_id())
    await governor.sql(
        "DELETE FROM budgets WHERE organization_id = $1 AND budget_key = $2",
        governor.organization_id,
        f"workflow/{held[0].workflow_id}",
    )
    answer = await governor.stub.BatchSettle(
        governor_pb2.BatchSettleRequest(
            items=[
                governor_pb2.SettleRequest(
                    organization_id=each.organization_id,
                    authorization_id=each.authorization_id,
                    usage=USAGE,
                )
                for each in [*held, other]
            ]
        )
    )
    assert [reason(result) for result in answer.results] == ["INTERNAL_ERROR", "GRANTED", "GRANTED"]
    error = answer.results[0].error
    assert error.code == grpc.StatusCode.INTERNAL.value[0]
    assert error.metadata["correlation_id"] in error.message
