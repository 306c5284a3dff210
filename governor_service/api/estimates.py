"""Estimates, between requests and the domain."""

from __future__ import annotations

from governor_service.api import render
from governor_service.api.prices import price_message
from governor_service.domain.estimates import Estimate
from infin8.governor.v1 import pricing_service_pb2
from service_chassis.refusal import too_large

_INT64_MAX = 2**63 - 1


def usage_estimate(value: Estimate) -> pricing_service_pb2.EstimateCostResponse:
    """The estimate for a given usage: nothing was charged. A usage within its bounds always fits an int64."""
    return pricing_service_pb2.EstimateCostResponse(cost_nano_usd=value.cost_nano_usd, models=_models(value))


def month_estimate(value: Estimate) -> pricing_service_pb2.EstimateCostResponse:
    """The estimate for a past month. Refuses with VALUE_TOO_LARGE a cost that does not fit an int64."""
    if value.cost_nano_usd > _INT64_MAX:
        raise too_large("at_time", f"the usage costs {value.cost_nano_usd} nano-USD at the prices of at_time")
    return pricing_service_pb2.EstimateCostResponse(
        cost_nano_usd=value.cost_nano_usd,
        charged_nano_usd=render.saturated(value.charged_nano_usd),
        models=_models(value),
    )


def _models(value: Estimate) -> list[pricing_service_pb2.ModelEstimate]:
    return [
        pricing_service_pb2.ModelEstimate(
            model=part.model,
            cost_nano_usd=part.cost_nano_usd,
            charged_nano_usd=(
                None if part.charged_nano_usd is None else render.saturated(part.charged_nano_usd)
            ),
            price=price_message(part.price) if part.price else None,
        )
        for part in value.models
    ]
