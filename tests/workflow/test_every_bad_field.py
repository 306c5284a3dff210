"""Every RPC of the workflow service names all bad fields of a request at once."""

from __future__ import annotations

import pytest

from infin8.workflow.v1 import workflow_service_pb2
from service_chassis.refusal import Refusal
from tests.bad_fields import bad_requests
from tests.workflow.service import Client


async def test_every_bad_field_is_named(client: Client) -> None:
    """Exactly the bad fields are named."""
    wrong, asked = {}, 0
    for method in workflow_service_pb2.DESCRIPTOR.services_by_name["WorkflowService"].methods:
        if method.server_streaming:
            continue
        for request, paths in bad_requests(method):
            try:
                await client.send(method.name, request)
                named: set[str] = set()
            except Refusal as refusal:
                if refusal.reason == "NOT_BUILT_YET":
                    continue
                named = {violation.field for violation in refusal.fields}
            asked += 1
            if named != paths:
                wrong[method.name, frozenset(paths)] = (paths - named, named - paths)
    assert wrong == {}
    assert asked > 20


async def test_a_request_with_nothing_in_it(client: Client) -> None:
    """For an empty request each required field is named."""
    with pytest.raises(Refusal) as raised:
        await client.send("CreateWorkflow", workflow_service_pb2.CreateWorkflowRequest())
    assert {violation.field for violation in raised.value.fields} == {
        "organization_id",
        "request_id",
        "display_name",
        "profile",
        "profile.competitor_urls",
        "profile.organization_name",
        "profile.organization_url",
    }
