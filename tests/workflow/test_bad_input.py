"""Bad input to any RPC is INVALID_ARGUMENT with the field's path (or as stated), and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from infin8.workflow.v1 import workflow_service_pb2
from service_chassis.refusal import Refusal
from tests.chassis.test_addresses import PRIVATE_HOSTS
from tests.workflow.service import ORGANIZATION, Client, PlainExecutor, served
from workflow_service.settings import WorkflowSettings

pytestmark = pytest.mark.own_world

ID = "3b241101-e2bb-4255-8caf-4136c566a962"
PROFILE = {
    "organization_name": "Acme",
    "organization_url": "https://acme.example",
    "competitor_urls": ["https://one.example"],
}
OF_WORKFLOW: dict[str, Any] = {"organization_id": ORGANIZATION, "workflow_id": ID}
LEASED: dict[str, Any] = {**OF_WORKFLOW, "lease_token": ID, "epoch": 1}
ICP = {"industries": ["a"], "buyer_roles": ["b"], "pain_points": ["c"], "value_proposition": "d"}
GOOD: dict[str, dict[str, Any]] = {
    "CreateWorkflow": {
        "organization_id": ORGANIZATION,
        "request_id": ID,
        "display_name": "Acme",
        "profile": PROFILE,
    },
    "GetWorkflow": OF_WORKFLOW,
    "ListWorkflows": {"organization_id": ORGANIZATION},
    "UpdateWorkflowData": {**OF_WORKFLOW, "workflow_data": {"a": 1}},
    "AdvanceWorkflow": {**OF_WORKFLOW, "expected_state": "WORKFLOW_STATE_CREATED"},
    "RunStep": {**OF_WORKFLOW, "step": "STEP_ICP", "expected_state": "WORKFLOW_STATE_ICP_PENDING"},
    "RunWorkflow": {**OF_WORKFLOW, "expected_state": "WORKFLOW_STATE_CREATED"},
    "ClaimStep": {**OF_WORKFLOW, "step": "STEP_ICP", "expected_state": "WORKFLOW_STATE_ICP_PENDING"},
    "HeartbeatStep": LEASED,
    "CompleteStep": {**LEASED, "icp": ICP},
    "FailStep": {**LEASED, "reason": "no luck"},
    "SubmitSeedReview": {
        **OF_WORKFLOW,
        "expected_state": "WORKFLOW_STATE_SEED_REVIEW_PENDING",
        "decisions": [{"keyword": "k", "decision": "REVIEW_DECISION_APPROVED"}],
    },
    "CancelWorkflow": {**OF_WORKFLOW, "expected_state": "WORKFLOW_STATE_CREATED"},
    "PauseWorkflow": OF_WORKFLOW,
    "ResumeWorkflow": OF_WORKFLOW,
    "ListTransitions": OF_WORKFLOW,
    "ListInvocations": OF_WORKFLOW,
    "ListKeywords": OF_WORKFLOW,
    "ListClusters": OF_WORKFLOW,
    "ListArticles": OF_WORKFLOW,
}
BAD_IDS = [
    "not-a-uuid",
    "{3b241101-e2bb-4255-8caf-4136c566a962}",
    "urn:uuid:3b241101-e2bb-4255-8caf-4136c566a962",
    "3b241101e2bb42558caf4136c566a962",
    "3b24-1101e2bb42558caf4136c566a962-----",
    "00000000-0000-0000-0000-000000000000",
    "3b241101-e2bb-4255-8caf-4136c566a962\0",
]
IDS = ("organization_id", "workflow_id", "request_id", "lease_token")
REQUIRED_IDS = {"organization_id", "workflow_id", "lease_token"}


def request(method: str, fields: dict[str, Any]) -> Message:
    message: Message = getattr(workflow_service_pb2, f"{method}Request")()
    return ParseDict(fields, message)


def descriptor(method: str) -> Any:
    return getattr(workflow_service_pb2, f"{method}Request").DESCRIPTOR


def changed(method: str, path: str, value: Any) -> dict[str, Any]:
    """The good request with the field at `path` set, or removed if the value is None."""
    fields: dict[str, Any] = json.loads(json.dumps(GOOD[method]))
    place: Any = fields
    *parents, last = path.split(".")
    for parent in parents:
        place = place[int(parent)] if parent.isdigit() else place.setdefault(parent, {})
    if value is None:
        place.pop(last)
    elif last.isdigit():
        place[int(last)] = value
    else:
        place[last] = value
    return fields


def cases() -> Iterator[tuple[str, str, Any, str, str]]:
    """Method, path of the change, its value, path in the answer, reason."""
    for method in GOOD:
        for name in IDS:
            if name in descriptor(method).fields_by_name:
                for value in BAD_IDS:
                    yield method, name, value, name, "INVALID_FIELD"
                if name in REQUIRED_IDS or method == "CreateWorkflow":
                    yield method, name, "", name, "INVALID_FIELD"
        if "page_size" in descriptor(method).fields_by_name:
            yield method, "page_size", -1, "page_size", "INVALID_FIELD"
            yield method, "page_size", 1001, "page_size", "VALUE_TOO_LARGE"
            for token in ("garbage", "AAAA", "%", "x" * 5000, "ü"):
                yield method, "page_token", token, "page_token", "INVALID_FIELD"
        if "expected_state" in descriptor(method).fields_by_name:
            if method != "RunWorkflow":  # whose default is whatever the state is
                yield method, "expected_state", 0, "expected_state", "INVALID_FIELD"
            yield method, "expected_state", 99, "expected_state", "INVALID_FIELD"
    for method in ("RunStep", "ClaimStep"):
        for step in (0, 99, 3):  # 3 is the person's step
            yield method, "step", step, "step", "INVALID_FIELD"
    yield "ListWorkflows", "state", 99, "state", "INVALID_FIELD"
    for method in ("HeartbeatStep", "CompleteStep", "FailStep"):
        for epoch in (0, -1):
            yield method, "epoch", epoch, "epoch", "INVALID_FIELD"
    yield "FailStep", "error_class", 99, "error_class", "INVALID_FIELD"
    yield "FailStep", "reason", "", "reason", "INVALID_FIELD"
    for method in ("FailStep", "CancelWorkflow"):
        for reason in ("x" * 1025, "a\0b", "a\u202eb"):
            yield method, "reason", reason, "reason", "INVALID_FIELD"
    yield "FailStep", "message", "x" * 1025, "message", "INVALID_FIELD"

    for name in ("", "  ", "x" * 201, "a\0b", "a\nb", "a\x1bb", "a\u202eb"):
        yield "CreateWorkflow", "display_name", name, "display_name", "INVALID_FIELD"
        path = "profile.organization_name"
        yield "CreateWorkflow", path, name, path, "INVALID_FIELD"
        path = "decisions.0.keyword"
        yield "SubmitSeedReview", path, name, "decisions[0].keyword", "INVALID_FIELD"
    yield "CreateWorkflow", "profile", None, "profile", "INVALID_FIELD"
    for url in (
        "",
        "acme.example",
        "ftp://acme.example",
        "javascript:alert(1)",
        "https://user:password@acme.example",
        "https://",
        "https://a\0b.example",
        "https://a b.example",
        "https://acme.example/" + "x" * 2048,
    ):
        path = "profile.organization_url"
        yield "CreateWorkflow", path, url, path, "INVALID_FIELD"
        if url:
            yield "CreateWorkflow", "profile.linkedin_url", url, "profile.linkedin_url", "INVALID_FIELD"
        path = "profile.competitor_urls"
        yield "CreateWorkflow", f"{path}.0", url, f"{path}[0]", "INVALID_FIELD"
        for target in ("webhook", "wordpress"):
            path = f"publish_target.{target}.url"
            yield "CreateWorkflow", path, url, path, "INVALID_FIELD"
    path = "profile.competitor_urls"
    yield "CreateWorkflow", path, [], path, "INVALID_FIELD"
    yield "CreateWorkflow", path, [f"https://c{n}.example" for n in range(11)], path, "INVALID_FIELD"
    yield "CreateWorkflow", path, ["https://c.example"] * 2, f"{path}[1]", "INVALID_FIELD"
    yield "CreateWorkflow", "publish_target", {}, "publish_target.target", "INVALID_FIELD"
    for directory in ("/etc", "../up", "a/../../b", "a//b", "a\\b", "a/", ".hidden", "x" * 201, "a\0b"):
        path = "publish_target.directory.path"
        yield "CreateWorkflow", path, directory, path, "INVALID_FIELD"

    yield "UpdateWorkflowData", "workflow_data", {}, "workflow_data", "INVALID_FIELD"
    yield "UpdateWorkflowData", "workflow_data", None, "workflow_data", "INVALID_FIELD"
    for data in ({"a": "x\0y"}, {"a\0": 1}, {"a": [{"b": "\0"}]}, {"a": "x" * 300_000}):
        yield "UpdateWorkflowData", "workflow_data", data, "workflow_data", "INVALID_FIELD"
    key = "workflow_data.total_ai_cost"
    yield "UpdateWorkflowData", "workflow_data", {"total_ai_cost": 0}, key, "INVALID_FIELD"

    decision = "decisions.0.decision"
    for number in (0, 99):
        yield "SubmitSeedReview", decision, number, "decisions[0].decision", "INVALID_FIELD"
    twice = [{"keyword": keyword, "decision": "REVIEW_DECISION_APPROVED"} for keyword in ("k", " K ")]
    yield "SubmitSeedReview", "decisions", twice, "decisions[1].keyword", "INVALID_FIELD"

    yield "CompleteStep", "icp.industries", ["x"] * 21, "icp.industries", "INVALID_FIELD"


@pytest.fixture(scope="module")
def all_cases() -> list[tuple[str, str, Any, str, str]]:
    return list(cases())


@pytest.mark.parametrize("method", list(GOOD))
async def test_bad_fields_are_named_and_change_nothing(
    client: Client, method: str, all_cases: list[tuple[str, str, Any, str, str]]
) -> None:
    """Each case has its reason and the field's path, and adds no row."""
    for _, path, value, answered_path, reason in (case for case in all_cases if case[0] == method):
        with pytest.raises(Refusal) as raised:
            await client.send(method, request(method, changed(method, path, value)))
        assert raised.value.reason == reason, (path, value)
        assert [violation.field for violation in raised.value.fields][:1] == [answered_path], (path, value)
        assert "\0" not in raised.value.message
    assert await rows(client) == 0


async def test_bad_results_are_named_and_change_nothing(client: Client) -> None:
    """A bad result keeps the lease, so the right result is still accepted."""
    lease = await client.claim(await client.at("ICP_PENDING"), "ICP")
    held = {"workflow_id": lease.workflow_id, "lease_token": lease.lease_token, "epoch": lease.epoch}
    for path, value, answered_path in (
        ("icp", None, "result"),
        ("icp.industries", [], "icp.industries"),
        ("icp.industries", ["x" * 201], "icp.industries[0]"),
        ("icp.value_proposition", "a\0b", "icp.value_proposition"),
        ("icp.value_proposition", "a\u202eb", "icp.value_proposition"),
    ):
        with pytest.raises(Refusal) as raised:
            await client.send(
                "CompleteStep", request("CompleteStep", {**changed("CompleteStep", path, value), **held})
            )
        assert raised.value.reason == "INVALID_FIELD", (path, value)
        assert raised.value.fields[0].field == answered_path, (path, value)
        assert await client.get(lease.workflow_id) == lease.workflow
    await client.send("CompleteStep", request("CompleteStep", {**GOOD["CompleteStep"], **held}))


async def test_a_result_is_not_looked_at_without_a_lease(client: Client) -> None:
    """Without the lease the answer is LEASE_LOST, and the result is not checked."""
    workflow = await client.at("ICP_PENDING")
    for workflow_id, reason in ((workflow.workflow_id, "LEASE_LOST"), (ID, "WORKFLOW_NOT_FOUND")):
        fields = {**changed("CompleteStep", "icp.industries", []), "workflow_id": workflow_id}
        with pytest.raises(Refusal, match=reason):
            await client.send("CompleteStep", request("CompleteStep", fields))


@pytest.mark.parametrize("method", [method for method in GOOD if "workflow_id" in GOOD[method]])
async def test_a_missing_workflow_and_anothers_are_refused_alike(client: Client, method: str) -> None:
    """WORKFLOW_NOT_FOUND is word for word the same for another organization's workflow and a missing one."""
    theirs = (await client.at("ICP_PENDING")).workflow_id
    said = set()
    for workflow_id in (theirs, str(uuid4())):
        fields = {**GOOD[method], "organization_id": ID, "workflow_id": workflow_id}
        with pytest.raises(Refusal) as raised:
            await client.send(method, request(method, fields))
        said.add((raised.value.reason, raised.value.message, tuple(raised.value.metadata.items())))
    assert said == {("WORKFLOW_NOT_FOUND", "the organization has no such workflow", ())}


async def test_upper_case_ids_are_accepted(client: Client) -> None:
    """Ids in upper case are answered in lower case."""
    workflow = await client.create(request_id=str(uuid4()).upper())
    found = await client.call(
        "GetWorkflow",
        organization_id=ORGANIZATION.upper(),
        workflow_id=workflow.workflow_id.upper(),
    )
    assert found == workflow


@pytest.mark.parametrize("method", ["ClaimStep", "HeartbeatStep"])
async def test_a_lease_has_its_bounds(client: Client, method: str) -> None:
    """A lease lasts from five seconds to a day, and its duration is valid."""
    for duration, reason in [
        (Duration(seconds=4), "INVALID_FIELD"),
        (Duration(seconds=-300), "INVALID_FIELD"),
        (Duration(seconds=86401), "VALUE_TOO_LARGE"),
        (Duration(seconds=300, nanos=-5), "INVALID_FIELD"),
    ]:
        message = request(method, GOOD[method])
        message.lease_duration.CopyFrom(duration)  # type: ignore[attr-defined]
        with pytest.raises(Refusal) as raised:
            await client.send(method, message)
        assert raised.value.reason == reason
        assert raised.value.fields[0].field == "lease_duration"


async def test_numbers_that_json_cannot_carry_are_refused(client: Client) -> None:
    """NaN and the infinities are refused, although a Struct can hold them."""
    for number in (float("nan"), float("inf")):
        message = request("UpdateWorkflowData", GOOD["UpdateWorkflowData"])
        message.workflow_data["a"] = number  # type: ignore[attr-defined]
        with pytest.raises(Refusal, match="INVALID_FIELD"):
            await client.send("UpdateWorkflowData", message)


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"\x0a\x02\xff\xfe"])
async def test_bytes_that_are_no_request_are_refused(client: Client, raw: bytes) -> None:
    """Bytes that are no protobuf or no UTF-8 are INVALID_ARGUMENT, without the framework's text."""
    async with grpc.aio.insecure_channel(client.target) as channel:
        call: Any = channel.unary_unary("/infin8.workflow.v1.WorkflowService/GetWorkflow")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(raw, timeout=5)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "Exception" not in (raised.value.details() or "")


async def test_a_private_publish_url_is_refused_where_that_is_not_allowed(
    workflow_dsn: str, executor: PlainExecutor
) -> None:
    """A setting forbids private publish URLs, but not a private website, which is never called."""
    async with served(
        workflow_dsn, executor, WorkflowSettings(port=0, allow_private_targets=False)
    ) as client:
        for host in PRIVATE_HOSTS:
            fields = changed("CreateWorkflow", "publish_target.webhook.url", f"http://{host}:8080/")
            with pytest.raises(Refusal) as raised:
                await client.send("CreateWorkflow", request("CreateWorkflow", fields))
            assert raised.value.fields[0].field == "publish_target.webhook.url"


async def rows(client: Client) -> int:
    connection = await asyncpg.connect(client.dsn)
    count: int = await connection.fetchval(
        "SELECT (SELECT count(*) FROM intent_workflows) + (SELECT count(*) FROM request_ids)"
    )
    await connection.close()
    return count
