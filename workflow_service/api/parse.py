"""From request messages to what the app takes. Each function raises INVALID_FIELD or VALUE_TOO_LARGE."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from google.protobuf.json_format import MessageToDict, SerializeToJsonError
from google.protobuf.message import Message

from infin8.workflow.v1 import errors_pb2, steps_pb2, workflow_pb2, workflow_service_pb2
from service_chassis.refusal import invalid_field
from service_chassis.rpc import fields
from workflow_service.app.read_workflows import DATA_BYTES_MAX
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.states import Step, WorkflowState
from workflow_service.domain.steps import keyword_key
from workflow_service.domain.workflow import LastError, Profile, PublishKind, PublishTarget, ReviewDecision
from workflow_service.store.leases import LeaseKey
from workflow_service.store.request_ids import Request

NAME_LENGTH_MAX: Final = 200
REASON_LENGTH_MAX: Final = 1024
COMPETITOR_URLS_MAX: Final = 10
DECISIONS_MAX: Final = 1000
LEASE_DURATION_MAX: Final = timedelta(hours=24)
EPOCH_MAX: Final = 2**63 - 1
SERVICE_KEYS: Final = frozenset({"total_ai_cost"})
"""Keys of `workflow_data` that only the service writes."""

ANONYMOUS: Final = "anonymous"
_PATH_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*", re.ASCII)


def ids(message: Any) -> tuple[UUID, UUID]:
    """`organization_id` and `workflow_id`."""
    return (
        fields.required_uuid("organization_id", message.organization_id),
        fields.required_uuid("workflow_id", message.workflow_id),
    )


def request_of(message: Any, *, required: bool = False) -> Request:
    """Who asks for what; the method is the message's name less `Request`."""
    request_id = None
    if required:
        request_id = fields.required_uuid("request_id", message.request_id)
    elif "request_id" in message.DESCRIPTOR.fields_by_name:
        request_id = fields.optional_uuid("request_id", message.request_id)
    return Request(
        organization_id=fields.required_uuid("organization_id", message.organization_id),
        method=message.DESCRIPTOR.name.removesuffix("Request"),
        request_id=request_id,
        content_hash=fields.content_hash(message),
        actor=ANONYMOUS,
    )


def expected_state(message: Any) -> WorkflowState:
    return state("expected_state", message.expected_state)


def state(path: str, value: int) -> WorkflowState:
    return WorkflowState(fields.enum_name(path, value, workflow_pb2.WorkflowState, "WORKFLOW_STATE_"))


def working_step(message: Any) -> Step:
    step = Step(fields.enum_name("step", message.step, steps_pb2.Step, "STEP_"))
    if step is Step.SEED_REVIEW:
        raise invalid_field("step", "is a person's to do, by SubmitSeedReview")
    return step


def wait(message: Any) -> bool:
    return bool(message.wait) if message.HasField("wait") else True


def lease_duration(message: Message, *, default: timedelta, minimum: timedelta) -> timedelta:
    sent = fields.duration(
        "lease_duration", message, "lease_duration", minimum=minimum, maximum=LEASE_DURATION_MAX
    )
    return default if sent is None else sent


def lease_key(message: Any) -> LeaseKey:
    organization_id, workflow_id = ids(message)
    return LeaseKey(
        organization_id=organization_id,
        workflow_id=workflow_id,
        lease_token=fields.required_uuid("lease_token", message.lease_token),
        epoch=fields.integer("epoch", message.epoch, minimum=1, maximum=EPOCH_MAX),
    )


def display_name(message: workflow_service_pb2.CreateWorkflowRequest) -> str:
    return fields.text("display_name", message.display_name, max_length=NAME_LENGTH_MAX)


def profile(message: workflow_service_pb2.CreateWorkflowRequest) -> Profile:
    if not message.HasField("profile"):
        raise invalid_field("profile", "is required")
    sent = message.profile
    if not sent.competitor_urls:
        raise invalid_field("profile.competitor_urls", "is required")
    if len(sent.competitor_urls) > COMPETITOR_URLS_MAX:
        raise invalid_field("profile.competitor_urls", f"has more than {COMPETITOR_URLS_MAX}")
    competitor_urls = []
    for index, value in enumerate(sent.competitor_urls):
        path = f"profile.competitor_urls[{index}]"
        if fields.url(path, value) in competitor_urls:
            raise invalid_field(path, "stands there twice")
        competitor_urls.append(value)
    return Profile(
        organization_name=fields.text(
            "profile.organization_name", sent.organization_name, max_length=NAME_LENGTH_MAX
        ),
        organization_url=fields.url("profile.organization_url", sent.organization_url),
        linkedin_url=fields.url("profile.linkedin_url", sent.linkedin_url) if sent.linkedin_url else "",
        competitor_urls=tuple(competitor_urls),
    )


def publish_target(
    message: workflow_service_pb2.CreateWorkflowRequest, *, allow_private: bool
) -> PublishTarget:
    if not message.HasField("publish_target"):
        return PublishTarget(PublishKind.DIRECTORY, "")
    sent = message.publish_target
    match sent.WhichOneof("target"):
        case "directory":
            return PublishTarget(PublishKind.DIRECTORY, _relative_path(sent.directory.path))
        case "webhook":
            url = fields.url("publish_target.webhook.url", sent.webhook.url, allow_private=allow_private)
            return PublishTarget(PublishKind.WEBHOOK, url)
        case "wordpress":
            url = fields.url("publish_target.wordpress.url", sent.wordpress.url, allow_private=allow_private)
            return PublishTarget(PublishKind.WORDPRESS, url)
        case _:
            raise invalid_field("publish_target.target", "directory, webhook or wordpress is required")


def workflow_data(message: workflow_service_pb2.UpdateWorkflowDataRequest) -> Mapping[str, Any]:
    path = "workflow_data"
    if not message.workflow_data.fields:
        raise invalid_field(path, "has no key to merge")
    try:
        data: dict[str, Any] = MessageToDict(message.workflow_data)
        encoded = json.dumps(data, allow_nan=False, ensure_ascii=False)
    except (SerializeToJsonError, ValueError):
        raise invalid_field(path, "has a number that JSON cannot carry") from None
    if len(encoded.encode()) > DATA_BYTES_MAX:
        raise invalid_field(path, f"is larger than {DATA_BYTES_MAX} bytes of JSON")
    if "\\u0000" in encoded and _has_nul(data):
        raise invalid_field(path, "has the control character U+0000")
    for key in sorted(SERVICE_KEYS & data.keys()):
        raise invalid_field(f"{path}.{key}", "is kept by the service")
    return data


def decisions(message: workflow_service_pb2.SubmitSeedReviewRequest) -> Mapping[str, ReviewDecision]:
    """By keyword_key, in the order sent."""
    if len(message.decisions) > DECISIONS_MAX:
        raise invalid_field("decisions", f"has more than {DECISIONS_MAX}")
    decided: dict[str, ReviewDecision] = {}
    for index, sent in enumerate(message.decisions):
        path = f"decisions[{index}]"
        key = keyword_key(fields.text(f"{path}.keyword", sent.keyword, max_length=NAME_LENGTH_MAX))
        if key in decided:
            raise invalid_field(f"{path}.keyword", "is decided twice")
        decided[key] = ReviewDecision(
            fields.enum_name(f"{path}.decision", sent.decision, steps_pb2.ReviewDecision, "REVIEW_DECISION_")
        )
    return decided


def reason(message: Any, *, required: bool) -> str:
    return fields.text(
        "reason", message.reason, max_length=REASON_LENGTH_MAX, required=required, multiline=True
    )


def last_error(message: workflow_service_pb2.FailStepRequest) -> LastError:
    error_class = ErrorClass.REPORTED_BY_WORKER
    if message.error_class:
        name = fields.enum_name("error_class", message.error_class, errors_pb2.ErrorClass, "ERROR_CLASS_")
        error_class = ErrorClass(name)
    return LastError(
        error_class=error_class,
        reason=reason(message, required=True),
        message=fields.text(
            "message", message.message, max_length=REASON_LENGTH_MAX, required=False, multiline=True
        ),
    )


def _relative_path(value: str) -> str:
    path = "publish_target.directory.path"
    fields.text(path, value, max_length=NAME_LENGTH_MAX, required=False)
    if value and not all(_PATH_PART.fullmatch(part) for part in value.split("/")):
        raise invalid_field(
            path, "is not a relative path of letters, digits, '.', '_' and '-' that stays below its root"
        )
    return value


def _has_nul(value: Mapping[str, Any] | Sequence[Any] | object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, Mapping):
        return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
    if isinstance(value, Sequence):
        return any(_has_nul(item) for item in value)
    return False
