"""Converts the steps' typed messages: the input in a lease, and the result that a worker sends."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from google.protobuf.json_format import MessageToDict, ParseDict
from pydantic import ValidationError

from infin8.workflow.v1 import steps_pb2, workflow_service_pb2
from service_chassis.refusal import FieldViolation, Refusal, bad_fields, invalid_field
from service_chassis.rpc.fields import VIOLATIONS_MAX, Fields
from workflow_service.domain.states import Step
from workflow_service.domain.steps import (
    RESULT_TYPES,
    IcpResult,
    StepInput,
    StepResult,
    article_id,
    cluster_id,
)

# The ids in a result: the list that has them, the field, and whether an empty id is derived.
_IDS: Final = {
    "clustering": [("clusters", "cluster_id", True)],
    "validation": [("verdicts", "cluster_id", False)],
    "article": [("articles", "cluster_id", False), ("articles", "article_id", True)],
    "publish": [("publications", "article_id", False)],
}


def step_result(
    fields: Fields, workflow_id: UUID, message: workflow_service_pb2.CompleteStepRequest
) -> StepResult:
    """Raises INVALID_FIELD for an unset result, and for one that does not fit its schema."""
    kind = message.WhichOneof("result")
    if kind is None:
        raise invalid_field("result", "is required")
    values: dict[str, Any] = MessageToDict(
        getattr(message, kind), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    for items, name, may_be_derived in _IDS.get(kind, ()):
        for index, item in enumerate(values[items]):
            path = f"{kind}.{items}[{index}].{name}"
            if may_be_derived and not item[name]:
                item[name] = _derived(workflow_id, item, name)
            else:
                # Not parsed by pydantic, which would also accept braces and `urn:`.
                item[name] = fields.required_uuid(path, item[name])
    try:
        return RESULT_TYPES[Step(kind.upper())].model_validate(values)
    except ValidationError as error:
        raise _refusal(kind, error) from None


def set_input(message: workflow_service_pb2.Lease, step: Step, step_input: StepInput) -> None:
    """Sets the lease's input for this step. The message and the input have the same fields."""
    of_step = getattr(message, step.value.lower())
    of_step.SetInParent()
    ParseDict(step_input.model_dump(mode="json", exclude_none=True), of_step)


def icp_message(icp: IcpResult) -> steps_pb2.IcpResult:
    return steps_pb2.IcpResult(
        industries=icp.industries,
        buyer_roles=icp.buyer_roles,
        pain_points=icp.pain_points,
        value_proposition=icp.value_proposition,
    )


def _derived(workflow_id: UUID, item: dict[str, Any], name: str) -> UUID:
    if name == "cluster_id":
        return cluster_id(workflow_id, item["pillar_keyword"])
    cluster: UUID = item["cluster_id"]
    return article_id(workflow_id, cluster)


def _refusal(kind: str, error: ValidationError) -> Refusal:
    """Names each violation by its path, without the value that was sent."""
    violations = [
        FieldViolation(
            kind + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]),
            detail["msg"],
        )
        for detail in error.errors(include_url=False, include_context=False, include_input=False)
    ][:VIOLATIONS_MAX]
    # If items of a list are bad, pydantic also reports that the list has too few.
    paths = [violation.field for violation in violations]
    return bad_fields(
        [each for each in violations if not any(path.startswith(f"{each.field}[") for path in paths)], []
    )
