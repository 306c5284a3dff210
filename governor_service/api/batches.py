"""BatchAuthorize and BatchSettle: each item has its own result or error, in the order of the items."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from governor_service.api import render
from governor_service.api.holds import hold_request, settle_request
from governor_service.app import authorize, settle
from governor_service.domain.authorization import Hold
from governor_service.domain.ledger import Settlement
from governor_service.store.holds import HoldStore
from infin8.governor.v1 import errors_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from service_chassis.refusal import Refusal
from service_chassis.rpc.calls import internal_error
from service_chassis.rpc.errors import CODES

_PARSED_AT_ONCE: Final = 100

Message = TypeVar("Message", governor_pb2.AuthorizeRequest, governor_pb2.SettleRequest)
Request = TypeVar("Request")
Result = TypeVar("Result")


async def authorize_items(
    holds: HoldStore, items: Sequence[governor_pb2.AuthorizeRequest]
) -> governor_pb2.BatchAuthorizeResponse:
    outcomes = await _each(items, hold_request, lambda ready: authorize.authorize_all(holds, ready))
    return governor_pb2.BatchAuthorizeResponse(results=[_authorize_result(outcome) for outcome in outcomes])


async def settle_items(
    holds: HoldStore, items: Sequence[governor_pb2.SettleRequest], *, author: str
) -> governor_pb2.BatchSettleResponse:
    outcomes = await _each(
        items,
        lambda item: settle_request(item, author=author),
        lambda ready: settle.settle_all(holds, ready),
    )
    return governor_pb2.BatchSettleResponse(results=[_settle_result(outcome) for outcome in outcomes])


async def _each(
    items: Sequence[Message],
    parse_item: Callable[[Message], Request],
    decide: Callable[[Sequence[Request]], Awaitable[Sequence[Result | Exception]]],
) -> list[Result | Exception]:
    """Parses each item, decides all valid ones together, and returns outcomes in the items' order."""
    outcomes: dict[int, Result | Exception] = {}
    ready: dict[int, Request] = {}
    for place, item in enumerate(items):
        if place % _PARSED_AT_ONCE == _PARSED_AT_ONCE - 1:
            await asyncio.sleep(0)  # lets other calls run, such as health checks
        try:
            ready[place] = parse_item(item)
        except Refusal as refusal:
            outcomes[place] = refusal
    if ready:
        outcomes |= zip(ready, await decide(list(ready.values())), strict=True)
    return [outcomes[place] for place in range(len(items))]


def _authorize_result(outcome: Hold | Exception) -> governor_pb2.BatchAuthorizeResult:
    if isinstance(outcome, Exception):
        return governor_pb2.BatchAuthorizeResult(error=_item_error(outcome))
    return governor_pb2.BatchAuthorizeResult(result=render.authorization(outcome, with_budgets=False))


def _settle_result(outcome: Settlement | Exception) -> governor_pb2.BatchSettleResult:
    if isinstance(outcome, Exception):
        return governor_pb2.BatchSettleResult(error=_item_error(outcome))
    return governor_pb2.BatchSettleResult(result=render.settlement(outcome, with_budgets=False))


def _item_error(error: Exception) -> governor_pb2.ItemError:
    refusal = error if isinstance(error, Refusal) else internal_error(error)
    return governor_pb2.ItemError(
        code=CODES[refusal.reason].value[0],
        reason=errors_pb2.ErrorReason.Value(f"ERROR_REASON_{refusal.reason}"),
        message=refusal.message,
        metadata=refusal.metadata,
    )
