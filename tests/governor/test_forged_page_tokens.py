"""A forged page token with a right checksum gets a clear answer and not INTERNAL."""

from __future__ import annotations

from infin8.governor.v1 import ledger_service_pb2 as ledger_pb2
from service_chassis.rpc.paging import encode_page_token
from tests.governor.conftest import Governor, new_id


async def test_a_workflow_of_the_year_nine(governor: Governor) -> None:
    """A token with a month in the year 9 gives an empty page."""
    token = encode_page_token(
        f"ListTopWorkflowsRequest {governor.organization_id} None", ["0009-01-01", 5, new_id()]
    )
    answer = await governor.ledger.ListTopWorkflows(
        ledger_pb2.ListTopWorkflowsRequest(organization_id=governor.organization_id, page_token=token)
    )
    assert list(answer.workflows) == []
