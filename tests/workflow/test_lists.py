"""Lists are in order, in pages, and for their organization only (I11)."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct, Value

from service_chassis.refusal import Refusal
from service_chassis.rpc.paging import encode_page_token
from tests.workflow.service import Client, state_name

OTHER_ORGANIZATION = "0a4e5b1e-94a9-4fd5-9d2b-3f0e6f1f2c3d"


async def paged(client: Client, method: str, items: str, page_size: int, **fields: Any) -> list[Any]:
    found: list[Any] = []
    token = ""
    while True:
        page = await client.call(method, page_size=page_size, page_token=token, **fields)
        found += getattr(page, items)
        assert len(getattr(page, items)) <= page_size
        token = page.next_page_token
        if not token:
            return found


@pytest.mark.parametrize(
    ("method", "items"),
    [
        ("ListTransitions", "transitions"),
        ("ListKeywords", "keywords"),
        ("ListClusters", "clusters"),
        ("ListArticles", "articles"),
        ("ListInvocations", "invocations"),
    ],
)
@pytest.mark.parametrize("page_size", [1, 2, 3])
async def test_pages_join_to_the_whole(client: Client, method: str, items: str, page_size: int) -> None:
    """Pages of any size have every item once."""
    workflow_id = (await client.at("COMPLETED")).workflow_id
    whole = list(getattr(await client.call(method, workflow_id=workflow_id), items))
    assert whole or method == "ListInvocations"
    assert await paged(client, method, items, page_size, workflow_id=workflow_id) == whole


async def test_workflows_come_newest_first_by_state_and_organization(client: Client) -> None:
    """A state filters the list, and another organization's workflows are not in it."""
    made = [await client.create(display_name=f"Workflow {n}") for n in range(5)]
    await client.create(organization_id=OTHER_ORGANIZATION)
    advanced = await client.advance(made[2])

    listed = await paged(client, "ListWorkflows", "workflows", 2)
    assert [workflow.display_name for workflow in listed] == [f"Workflow {n}" for n in (4, 3, 2, 1, 0)]

    pending = await paged(client, "ListWorkflows", "workflows", 2, state=advanced.state)
    assert [workflow.workflow_id for workflow in pending] == [advanced.workflow_id]
    assert state_name(pending[0]) == "ICP_PENDING"


async def test_a_page_of_large_workflows_is_shorter(client: Client) -> None:
    """A page ends before the 4 MiB that clients accept by default, and its token continues the list."""
    made = [await client.create(display_name=f"Workflow {n}") for n in range(16)]
    for workflow in made:
        await client.call(
            "UpdateWorkflowData",
            workflow_id=workflow.workflow_id,
            workflow_data=Struct(fields={"text": Value(string_value="x" * 250_000)}),
        )
    assert 1 < len((await client.call("ListWorkflows")).workflows) < 16
    listed = await paged(client, "ListWorkflows", "workflows", 50)
    assert [workflow.workflow_id for workflow in listed] == [w.workflow_id for w in reversed(made)]


async def test_a_page_token_is_good_for_its_own_list_only(client: Client) -> None:
    """A token of another filter, organization, workflow or list is INVALID_FIELD."""
    first, second = await client.at("COMPETITOR_COMPLETED"), await client.at("COMPETITOR_COMPLETED")
    token = (await client.call("ListWorkflows", page_size=1)).next_page_token
    keywords_token = (
        await client.call("ListKeywords", workflow_id=first.workflow_id, page_size=1)
    ).next_page_token
    for method, fields in [
        ("ListWorkflows", {"page_token": token, "state": first.state}),
        ("ListWorkflows", {"page_token": token, "organization_id": OTHER_ORGANIZATION}),
        ("ListKeywords", {"page_token": token, "workflow_id": first.workflow_id}),
        ("ListKeywords", {"page_token": keywords_token, "workflow_id": second.workflow_id}),
        ("ListTransitions", {"page_token": keywords_token, "workflow_id": first.workflow_id}),
    ]:
        with pytest.raises(Refusal) as raised:
            await client.call(method, **fields)
        assert raised.value.fields[0].field == "page_token"


@pytest.mark.parametrize(
    ("method", "positions"),
    [
        ("ListTransitions", [[], ["x"]]),
        ("ListKeywords", [[], [1], [2**40, "a"]]),
        ("ListClusters", [[1, "x"], [2**40, OTHER_ORGANIZATION]]),
        ("ListInvocations", [[0], [2**62, OTHER_ORGANIZATION], [0, "x"]]),
    ],
)
async def test_a_token_of_another_shape_is_refused(
    client: Client, method: str, positions: list[list[str | int]]
) -> None:
    """A forged token with a valid checksum is INVALID_FIELD like any other foreign token."""
    workflow_id = (await client.create()).workflow_id
    scope = f"{method}Request {client.organization_id} {workflow_id}"
    for position in positions:
        token = encode_page_token(scope, position)
        with pytest.raises(Refusal, match="INVALID_FIELD: page_token"):
            await client.call(method, workflow_id=workflow_id, page_token=token)
