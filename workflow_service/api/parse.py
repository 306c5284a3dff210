"""Converts request messages to arguments of the app. Each function notes bad fields in `fields`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from google.protobuf.json_format import MessageToDict, SerializeToJsonError
from google.protobuf.message import Message

from infin8.workflow.v1 import errors_pb2, steps_pb2, workflow_pb2, workflow_service_pb2
from service_chassis.content_hash import content_hash
from service_chassis.rpc.fields import Fields
from service_chassis.text import REASON_LENGTH_MAX
from workflow_service.app.pause import Matching
from workflow_service.app.read_workflows import DATA_BYTES_MAX
from workflow_service.domain.driving import OnBudgetExceeded
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.states import Step, WorkflowState
from workflow_service.domain.steps import keyword_key
from workflow_service.domain.workflow import (
    LastError,
    Profile,
    PublishKind,
    PublishTarget,
    ReviewDecision,
    WaitKind,
    WorkflowKey,
)
from workflow_service.store.leases import LeaseKey
from workflow_service.store.request_ids import Request

NAME_LENGTH_MAX: Final = 200
COMPETITOR_URLS_MAX: Final = 10
DECISIONS_MAX: Final = 1000
LEASE_DURATION_MAX: Final = timedelta(hours=24)
EPOCH_MAX: Final = 2**63 - 1
SERVICE_KEYS: Final = frozenset({"total_ai_cost"})
"""Keys of `workflow_data` that only the service writes."""

ANONYMOUS: Final = "anonymous"
_PATH_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class WorkflowToCreate:
    """A parsed CreateWorkflowRequest."""

    request: Request
    display_name: str
    profile: Profile
    publish_target: PublishTarget


def workflow_of(fields: Fields, message: Any) -> WorkflowKey:
    """`organization_id` and `workflow_id`."""
    return WorkflowKey(
        organization_id=fields.required_uuid("organization_id", message.organization_id),
        workflow_id=fields.required_uuid("workflow_id", message.workflow_id),
    )


def request_of(fields: Fields, message: Any, *, required: bool = False, **content: object) -> Request:
    """The request as the app records it. Its method is the message's name without `Request`.

    `content` is passed to `content_hash`: the parsed values that decide what the request means.
    """
    request_id = None
    if required:
        request_id = fields.required_uuid("request_id", message.request_id)
    elif "request_id" in message.DESCRIPTOR.fields_by_name:
        request_id = fields.optional_uuid("request_id", message.request_id)
    return Request(
        organization_id=fields.required_uuid("organization_id", message.organization_id),
        method=message.DESCRIPTOR.name.removesuffix("Request"),
        request_id=request_id,
        content_hash=content_hash(**content),
        actor=ANONYMOUS,
    )


def expected_state(fields: Fields, message: Any) -> WorkflowState:
    return fields.enum(
        "expected_state",
        message.expected_state,
        workflow_pb2.WorkflowState,
        "WORKFLOW_STATE_",
        WorkflowState,
    )


def optional_expected_state(
    fields: Fields, message: workflow_service_pb2.RunWorkflowRequest
) -> WorkflowState | None:
    return fields.optional_enum(
        "expected_state",
        message.expected_state,
        workflow_pb2.WorkflowState,
        "WORKFLOW_STATE_",
        WorkflowState,
    )


def on_budget_exceeded(fields: Fields, message: workflow_service_pb2.RunWorkflowRequest) -> OnBudgetExceeded:
    return (
        fields.optional_enum(
            "on_budget_exceeded",
            message.on_budget_exceeded,
            workflow_service_pb2.OnBudgetExceeded,
            "ON_BUDGET_EXCEEDED_",
            OnBudgetExceeded,
        )
        or OnBudgetExceeded.FAIL
    )


def state_filter(fields: Fields, message: workflow_service_pb2.ListWorkflowsRequest) -> WorkflowState | None:
    return fields.optional_enum(
        "state", message.state, workflow_pb2.WorkflowState, "WORKFLOW_STATE_", WorkflowState
    )


def waits_for(fields: Fields, path: str, value: int) -> WaitKind | None:
    return fields.optional_enum(path, value, workflow_pb2.WaitKind, "WAIT_KIND_", WaitKind)


def matching(fields: Fields, filter_message: workflow_service_pb2.WorkflowFilter) -> Matching:
    return Matching(
        fields.optional_enum(
            "filter.state",
            filter_message.state,
            workflow_pb2.WorkflowState,
            "WORKFLOW_STATE_",
            WorkflowState,
        ),
        waits_for(fields, "filter.waits_for", filter_message.waits_for),
    )


def working_step(fields: Fields, message: Any) -> Step:
    step = fields.enum("step", message.step, steps_pb2.Step, "STEP_", Step)
    if step is Step.SEED_REVIEW:
        fields.invalid("step", "is done by a person, with SubmitSeedReview")
    return step


def wait(message: Any) -> bool:
    return bool(message.wait) if message.HasField("wait") else True


def lease_duration(fields: Fields, message: Message, *, default: timedelta, minimum: timedelta) -> timedelta:
    sent = fields.duration(
        "lease_duration", message, "lease_duration", minimum=minimum, maximum=LEASE_DURATION_MAX
    )
    return default if sent is None else sent


def lease_key(fields: Fields, message: Any) -> LeaseKey:
    return LeaseKey(
        organization_id=fields.required_uuid("organization_id", message.organization_id),
        workflow_id=fields.required_uuid("workflow_id", message.workflow_id),
        lease_token=fields.required_uuid("lease_token", message.lease_token),
        epoch=fields.integer("epoch", message.epoch, minimum=1, maximum=EPOCH_MAX),
    )


def workflow_to_create(
    message: workflow_service_pb2.CreateWorkflowRequest, *, allow_private_targets: bool
) -> WorkflowToCreate:
    with Fields() as fields:
        display_name = fields.text("display_name", message.display_name, max_length=NAME_LENGTH_MAX)
        profile = _profile(fields, message)
        target = _publish_target(fields, message, allow_private=allow_private_targets)
        return WorkflowToCreate(
            request=request_of(
                fields,
                message,
                required=True,
                display_name=display_name,
                organization_name=profile.organization_name,
                organization_url=profile.organization_url,
                linkedin_url=profile.linkedin_url,
                competitor_urls="\n".join(profile.competitor_urls),
                publish_target=f"{target.kind} {target.location}",
            ),
            display_name=display_name,
            profile=profile,
            publish_target=target,
        )


def _profile(fields: Fields, message: workflow_service_pb2.CreateWorkflowRequest) -> Profile:
    sent = message.profile
    if not message.HasField("profile"):
        fields.invalid("profile", "is required")
    if not sent.competitor_urls:
        fields.invalid("profile.competitor_urls", "is required")
    if len(sent.competitor_urls) > COMPETITOR_URLS_MAX:
        fields.invalid("profile.competitor_urls", f"has more than {COMPETITOR_URLS_MAX}")
    competitor_urls: list[str] = []
    for index, value in enumerate(sent.competitor_urls[:COMPETITOR_URLS_MAX]):
        path = f"profile.competitor_urls[{index}]"
        if fields.url(path, value) in competitor_urls:
            fields.invalid(path, "is given twice")
        competitor_urls.append(value)
    return Profile(
        organization_name=fields.text(
            "profile.organization_name", sent.organization_name, max_length=NAME_LENGTH_MAX
        ),
        organization_url=fields.url("profile.organization_url", sent.organization_url),
        linkedin_url=fields.url("profile.linkedin_url", sent.linkedin_url) if sent.linkedin_url else "",
        competitor_urls=tuple(competitor_urls),
    )


def _publish_target(
    fields: Fields, message: workflow_service_pb2.CreateWorkflowRequest, *, allow_private: bool
) -> PublishTarget:
    sent = message.publish_target
    match sent.WhichOneof("target"):
        case "directory":
            return PublishTarget(PublishKind.DIRECTORY, _relative_path(fields, sent.directory.path))
        case "webhook":
            url = fields.url("publish_target.webhook.url", sent.webhook.url, allow_private=allow_private)
            return PublishTarget(PublishKind.WEBHOOK, url)
        case "wordpress":
            url = fields.url("publish_target.wordpress.url", sent.wordpress.url, allow_private=allow_private)
            return PublishTarget(PublishKind.WORDPRESS, url)
    if message.HasField("publish_target"):
        fields.invalid("publish_target.target", "directory, webhook or wordpress is required")
    return PublishTarget(PublishKind.DIRECTORY, "")


def workflow_data(
    fields: Fields, message: workflow_service_pb2.UpdateWorkflowDataRequest
) -> Mapping[str, Any]:
    path = "workflow_data"
    if not message.workflow_data.fields:
        fields.invalid(path, "has no key to merge")
        return {}
    try:
        data: dict[str, Any] = MessageToDict(message.workflow_data)
        encoded = json.dumps(data, allow_nan=False, ensure_ascii=False)
    except (SerializeToJsonError, ValueError):
        fields.invalid(path, "has a number that JSON cannot carry")
        return {}
    if len(encoded.encode()) > DATA_BYTES_MAX:
        fields.invalid(path, f"is larger than {DATA_BYTES_MAX} bytes of JSON")
    elif "\\u0000" in encoded and _has_nul(data):
        fields.invalid(path, "has the control character U+0000")
    for key in sorted(SERVICE_KEYS & data.keys()):
        fields.invalid(f"{path}.{key}", "is kept by the service")
    return data


def decisions(
    fields: Fields, message: workflow_service_pb2.SubmitSeedReviewRequest
) -> Mapping[str, ReviewDecision]:
    """By keyword_key, in the order sent."""
    decided: dict[str, ReviewDecision] = {}
    if len(message.decisions) > DECISIONS_MAX:
        fields.invalid("decisions", f"has more than {DECISIONS_MAX}")
        return decided
    for index, sent in enumerate(message.decisions):
        path = f"decisions[{index}]"
        key = keyword_key(fields.text(f"{path}.keyword", sent.keyword, max_length=NAME_LENGTH_MAX))
        if key in decided:
            fields.invalid(f"{path}.keyword", "is decided twice")
        decided[key] = fields.enum(
            f"{path}.decision", sent.decision, steps_pb2.ReviewDecision, "REVIEW_DECISION_", ReviewDecision
        )
    return decided


def approved(decided: Mapping[str, ReviewDecision]) -> str:
    """The sorted approved keys, for `content_hash`: a keyword without a decision is rejected anyway."""
    return "\n".join(sorted(key for key, decision in decided.items() if decision is ReviewDecision.APPROVED))


def free_text(fields: Fields, path: str, value: str, *, required: bool = False) -> str:
    """A reason or a message: line breaks and tabs are accepted."""
    return fields.text(path, value, max_length=REASON_LENGTH_MAX, required=required, multiline=True)


def last_error(fields: Fields, message: workflow_service_pb2.FailStepRequest) -> LastError:
    error_class = fields.optional_enum(
        "error_class", message.error_class, errors_pb2.ErrorClass, "ERROR_CLASS_", ErrorClass
    )
    return LastError(
        error_class=error_class or ErrorClass.REPORTED_BY_WORKER,
        reason=free_text(fields, "reason", message.reason, required=True),
        message=free_text(fields, "message", message.message),
    )


def _relative_path(fields: Fields, value: str) -> str:
    path = "publish_target.directory.path"
    fields.text(path, value, max_length=NAME_LENGTH_MAX, required=False)
    if value and not all(_PATH_PART.fullmatch(part) for part in value.split("/")):
        fields.invalid(
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
