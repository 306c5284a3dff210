"""RecordUsage and Adjust: requests → domain."""

from __future__ import annotations

from governor_service.api import parse
from governor_service.domain.money import ENTRY_COST_NANO_USD_MAX
from governor_service.domain.postings import AdjustRequest, RecordRequest
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from service_chassis.rpc.fields import Fields


def record_request(request: governor_pb2.RecordUsageRequest, *, author: str) -> RecordRequest:
    """Usage that had no hold. The database checks `occurred_time` against its clock."""
    with Fields() as fields:
        if not request.HasField("usage"):
            fields.invalid("usage", "is required")
        return RecordRequest(
            organization_id=fields.required_uuid("organization_id", request.organization_id),
            workflow_id=fields.required_uuid("workflow_id", request.workflow_id),
            request_id=fields.required_uuid("request_id", request.request_id),
            served_model=parse.model(fields, "served_model", request.served_model),
            price_context=parse.price_context(fields, request),
            usage=parse.usage(fields, "usage", request.usage),
            provider_cost_nano_usd=parse.provider_cost(fields, request),
            labels=fields.labels("labels", request.labels),
            occurred_time=fields.timestamp("occurred_time", request, "occurred_time"),
            author=author,
        )


def adjust_request(request: governor_pb2.AdjustRequest, *, author: str) -> AdjustRequest:
    """A correction, with its reason."""
    with Fields() as fields:
        return AdjustRequest(
            organization_id=fields.required_uuid("organization_id", request.organization_id),
            request_id=fields.required_uuid("request_id", request.request_id),
            entry_id=fields.required_uuid("entry_id", request.entry_id),
            corrected_cost_nano_usd=fields.integer(
                "corrected_cost_nano_usd",
                request.corrected_cost_nano_usd,
                minimum=0,
                maximum=ENTRY_COST_NANO_USD_MAX,
            ),
            reason=parse.reason(fields, "reason", request.reason, required=True),
            author=author,
        )
