"""The checksum of a page token is no secret: who computes one gets a clear answer, and no INTERNAL."""

from __future__ import annotations

import pytest

from governor_service.api import parse
from infin8.governor.v1 import ledger_service_pb2 as ledger_pb2
from service_chassis.refusal import Refusal
from service_chassis.rpc import fields
from tests.governor.conftest import Governor, new_id


def test_a_hold_from_before_all_calendars() -> None:
    """Its creation time would be no date."""
    token = fields.encode_page_token(scope="list", position=[1 - 10**17, new_id()])
    with pytest.raises(Refusal, match="page token"):
        parse.after_authorization(token, "list")


async def test_a_workflow_of_the_year_nine(governor: Governor) -> None:
    """A month like any other in which nothing was spent."""
    token = fields.encode_page_token(
        scope=f"ListTopWorkflows {governor.organization_id} None", position=["0009-01-01", 5, new_id()]
    )
    answer = await governor.ledger.ListTopWorkflows(
        ledger_pb2.ListTopWorkflowsRequest(organization_id=governor.organization_id, page_token=token)
    )
    assert list(answer.workflows) == []
