"""RecordUsage and Adjust: requests → domain."""

from __future__ import annotations

from governor_service.api import parse
from governor_service.domain.money import ENTRY_COST_NANO_USD_MAX
from governor_service.domain.postings import AdjustRequest, RecordRequest
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from service_chassis.refusal import invalid_field
from service_chassis.rpc import fields


def record_request(request: governor_pb2.RecordUsageRequest, *, author: str) -> RecordRequest:
    """Usage that had no hold. Whether `occurred_time` is near enough, the database's clock decides."""
    if not request.HasField("usage"):
        raise invalid_field("usage", "is required")
    provider_cost_nano_usd = None
    if request.HasField("provider_cost_nano_usd"):
        provider_cost_nano_usd = fields.integer(
            "provider_cost_nano_usd",
            request.provider_cost_nano_usd,
            minimum=0,
            maximum=ENTRY_COST_NANO_USD_MAX,
        )
    return RecordRequest(
        organization_id=fields.required_uuid("organization_id", request.organization_id),
        workflow_id=fields.required_uuid("workflow_id", request.workflow_id),
        request_id=fields.required_uuid("request_id", request.request_id),
        content_hash=fields.content_hash(request),
        served_model=parse.model("served_model", request.served_model),
        usage=parse.usage("usage", request.usage),
        provider_cost_nano_usd=provider_cost_nano_usd,
        labels=fields.labels("labels", request.labels),
        occurred_time=fields.timestamp("occurred_time", request, "occurred_time"),
        author=author,
    )


def adjust_request(request: governor_pb2.AdjustRequest, *, author: str) -> AdjustRequest:
    """A correction, with its reason."""
    return AdjustRequest(
        organization_id=fields.required_uuid("organization_id", request.organization_id),
        request_id=fields.required_uuid("request_id", request.request_id),
        content_hash=fields.content_hash(request),
        entry_id=fields.required_uuid("entry_id", request.entry_id),
        corrected_cost_nano_usd=fields.integer(
            "corrected_cost_nano_usd",
            request.corrected_cost_nano_usd,
            minimum=0,
            maximum=ENTRY_COST_NANO_USD_MAX,
        ),
        reason=fields.text("reason", request.reason, max_length=parse.REASON_LENGTH_MAX),
        author=author,
    )
