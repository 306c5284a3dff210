"""The columns of a batch, in the order of the parameters of the queries in holds.sql."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from governor_service.domain.authorization import HoldRequest
from governor_service.domain.ledger import SettleRequest
from governor_service.domain.usage import Usage

NO_USAGE = Usage(input_tokens=0, output_tokens=0, requests=0)


def authorize_arguments(requests: Sequence[HoldRequest]) -> tuple[Sequence[Any], ...]:
    """p_authorization_ids … p_candidates of authorize_set_based and authorize_sequential."""
    calls = [request.call for request in requests]
    return (
        [request.authorization_id for request in requests],
        [request.request_id for request in requests],
        [request.content_hash for request in requests],
        [call.workflow_id for call in calls],
        [call.input_tokens_max for call in calls],
        [call.output_tokens_max for call in calls],
        [call.requests_max for call in calls],
        [call.cache_write_tokens_max for call in calls],
        [call.cache_write_1h_tokens_max for call in calls],
        # None where it is empty: converting it to JSON would cost more than reading the rest of the call.
        [call.other_units_max or None for call in calls],
        [call.price_context or None for call in calls],
        [request.hold_duration for request in requests],
        [request.on_expiry.value for request in requests],
        [call.labels for call in calls],
        ["\n".join([model.line for model in call.models]) for call in calls],
    )


def settle_arguments(requests: Sequence[SettleRequest]) -> tuple[Sequence[Any], ...]:
    """p_authorization_ids … p_authors of settle_set_based and settle_sequential."""
    usages = [request.usage or NO_USAGE for request in requests]
    return (
        [request.authorization_id for request in requests],
        [request.content_hash if request.usage else None for request in requests],
        [request.served_model.line if request.served_model else "" for request in requests],
        [usage.input_tokens for usage in usages],
        [usage.cached_input_tokens for usage in usages],
        [usage.cache_write_tokens for usage in usages],
        [usage.cache_write_1h_tokens for usage in usages],
        [usage.output_tokens for usage in usages],
        [usage.reasoning_tokens for usage in usages],
        [usage.requests for usage in usages],
        [usage.other_units or None for usage in usages],
        [request.price_context or None for request in requests],
        [request.provider_cost_nano_usd for request in requests],
        [request.provider_generation_id for request in requests],
        [request.author for request in requests],
    )
