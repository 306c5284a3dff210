"""One workflow goes from CREATED to COMPLETED over gRPC, and its costs agree to the nano-dollar."""

from __future__ import annotations

from pathlib import Path

import pytest

from infin8.governor.v1 import entry_pb2
from infin8.workflow.v1 import invocations_pb2, workflow_pb2, workflow_service_pb2
from tests.acceptance.clients import Client, client_of
from tests.acceptance.served_pair import ServedPair
from workflow_service.domain.states import FAILED, WorkflowState


@pytest.fixture(scope="module")
def driven(pair: ServedPair) -> tuple[Client, workflow_pb2.Workflow]:
    """A client, and a workflow that it has driven to COMPLETED."""
    client = client_of(pair)
    workflow = client.run(client.create())
    assert workflow.state == workflow_pb2.WORKFLOW_STATE_SEED_REVIEW_PENDING, "a person is needed"
    return client, client.run(client.approve_all(workflow))


def test_it_passes_every_state_in_order(driven: tuple[Client, workflow_pb2.Workflow]) -> None:
    """The workflow reaches COMPLETED along the matrix, without a failure, one version per transition."""
    client, workflow = driven
    transitions = client.workflows.ListTransitions(
        workflow_service_pb2.ListTransitionsRequest(
            organization_id=client.organization_id, workflow_id=workflow.workflow_id
        )
    ).transitions
    names = [workflow_pb2.WorkflowState.Name(each.to_state) for each in transitions]

    passed = [
        state
        for state in WorkflowState
        if state not in FAILED and state not in (WorkflowState.CREATED, WorkflowState.CANCELLED)
    ]
    assert names == [f"WORKFLOW_STATE_{state}" for state in passed]
    assert [each.version for each in transitions] == list(range(2, 2 + len(names)))
    assert workflow.version == transitions[-1].version


def test_its_money_agrees_everywhere(driven: tuple[Client, workflow_pb2.Workflow]) -> None:
    """Σ entries = workflow cost = both budgets' spent = total_ai_cost = Σ calls, and nothing stays held."""
    client, workflow = driven
    entries = client.entries(workflow.workflow_id)
    invocations = client.workflows.ListInvocations(
        workflow_service_pb2.ListInvocationsRequest(
            organization_id=client.organization_id, workflow_id=workflow.workflow_id
        )
    ).invocations
    of_workflow, of_organization = client.workflow_budget(workflow.workflow_id), client.organization_budget()

    total = sum(entry.cost_nano_usd for entry in entries)
    assert total > 0
    assert {
        "cost": client.cost_nano_usd(workflow.workflow_id),
        "workflow": of_workflow.spent_nano_usd,
        "organization": of_organization.spent_nano_usd,
        "total_ai_cost": client.get(workflow.workflow_id).total_ai_cost_nano_usd,
        "calls": sum(call.cost_nano_usd for call in invocations),
    } == dict.fromkeys(("cost", "workflow", "organization", "total_ai_cost", "calls"), total)
    assert of_workflow.held_nano_usd == of_organization.held_nano_usd == 0
    assert of_workflow.limit_nano_usd == 1_000_000_000
    assert of_organization.limit_nano_usd == 25_000_000_000


def test_every_call_has_its_hold_and_its_entry(driven: tuple[Client, workflow_pb2.Workflow]) -> None:
    """Each call is SETTLED by the entry that it names, and costs no more than its hold."""
    client, workflow = driven
    entries = {entry.entry_id: entry for entry in client.entries(workflow.workflow_id)}
    invocations = client.workflows.ListInvocations(
        workflow_service_pb2.ListInvocationsRequest(
            organization_id=client.organization_id, workflow_id=workflow.workflow_id
        )
    ).invocations

    assert sorted(call.entry_id for call in invocations) == sorted(entries)
    for call in invocations:
        entry = entries[call.entry_id]
        assert call.state == invocations_pb2.INVOCATION_STATE_SETTLED
        assert entry.kind == entry_pb2.ENTRY_KIND_USAGE
        assert not entry.flags
        assert (entry.authorization_id, entry.held_nano_usd) == (call.authorization_id, call.held_nano_usd)
        assert 0 < entry.cost_nano_usd == call.cost_nano_usd <= entry.held_nano_usd
    assert sorted(entry.sequence for entry in entries.values()) == list(range(1, len(entries) + 1))


def test_its_articles_are_where_it_says(driven: tuple[Client, workflow_pb2.Workflow]) -> None:
    """Each article is a Markdown file at its location and contains its title."""
    client, workflow = driven
    articles = client.workflows.ListArticles(
        workflow_service_pb2.ListArticlesRequest(
            organization_id=client.organization_id, workflow_id=workflow.workflow_id
        )
    ).articles

    assert articles
    for article in articles:
        assert article.title in Path(article.location).read_text()
