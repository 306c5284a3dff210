"""A client as others would write it: it uses the generated stubs and nothing else of the project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import grpc
from google.protobuf import json_format

from infin8.governor.v1 import (
    budget_pb2,
    budget_service_pb2,
    budget_service_pb2_grpc,
    entry_pb2,
    ledger_service_pb2,
    ledger_service_pb2_grpc,
)
from infin8.workflow.v1 import (
    steps_pb2,
    workflow_pb2,
    workflow_service_pb2,
    workflow_service_pb2_grpc,
)
from tests.acceptance.served_pair import PROFILE, ServedPair

_SECONDS = 60.0


@dataclass
class Client:
    """Calls both services for one organization."""

    governor: grpc.Channel
    workflow: grpc.Channel
    organization_id: str = field(default_factory=lambda: str(uuid4()))

    def __post_init__(self) -> None:
        self.workflows = workflow_service_pb2_grpc.WorkflowServiceStub(self.workflow)
        self.ledger = ledger_service_pb2_grpc.LedgerServiceStub(self.governor)
        self.budgets = budget_service_pb2_grpc.BudgetServiceStub(self.governor)

    def create(self) -> workflow_pb2.Workflow:
        return self.workflows.CreateWorkflow(
            workflow_service_pb2.CreateWorkflowRequest(
                organization_id=self.organization_id,
                request_id=str(uuid4()),
                display_name="Acceptance",
                profile=json_format.Parse(PROFILE.read_text(), workflow_pb2.Profile()),
            ),
            timeout=_SECONDS,
        )

    def get(self, workflow_id: str) -> workflow_pb2.Workflow:
        return self.workflows.GetWorkflow(
            workflow_service_pb2.GetWorkflowRequest(
                organization_id=self.organization_id, workflow_id=workflow_id
            ),
            timeout=_SECONDS,
        )

    def run(self, workflow: workflow_pb2.Workflow, *, wait: bool = True) -> workflow_pb2.Workflow:
        return self.workflows.RunWorkflow(
            workflow_service_pb2.RunWorkflowRequest(
                organization_id=self.organization_id,
                workflow_id=workflow.workflow_id,
                request_id=str(uuid4()),
                expected_state=workflow.state,
                wait=wait,
            ),
            timeout=_SECONDS,
        )

    def approve_all(self, workflow: workflow_pb2.Workflow) -> workflow_pb2.Workflow:
        keywords = self.workflows.ListKeywords(
            workflow_service_pb2.ListKeywordsRequest(
                organization_id=self.organization_id, workflow_id=workflow.workflow_id
            ),
            timeout=_SECONDS,
        ).keywords
        return self.workflows.SubmitSeedReview(
            workflow_service_pb2.SubmitSeedReviewRequest(
                organization_id=self.organization_id,
                workflow_id=workflow.workflow_id,
                request_id=str(uuid4()),
                expected_state=workflow.state,
                decisions=[
                    workflow_service_pb2.KeywordDecision(
                        keyword=keyword.keyword, decision=steps_pb2.REVIEW_DECISION_APPROVED
                    )
                    for keyword in keywords
                ],
            ),
            timeout=_SECONDS,
        )

    def entries(self, workflow_id: str) -> Sequence[entry_pb2.LedgerEntry]:
        return self.ledger.ListEntries(
            ledger_service_pb2.ListEntriesRequest(
                organization_id=self.organization_id, workflow_id=workflow_id, page_size=1000
            ),
            timeout=_SECONDS,
        ).entries

    def cost_nano_usd(self, workflow_id: str) -> int:
        return self.ledger.GetWorkflowCost(
            ledger_service_pb2.GetWorkflowCostRequest(
                organization_id=self.organization_id, workflow_id=workflow_id
            ),
            timeout=_SECONDS,
        ).cost_nano_usd

    def workflow_budget(self, workflow_id: str) -> budget_pb2.BudgetStatus:
        return self._budget(budget_pb2.BUDGET_SCOPE_WORKFLOW, workflow_id)

    def organization_budget(self) -> budget_pb2.BudgetStatus:
        return self._budget(budget_pb2.BUDGET_SCOPE_ORGANIZATION, "")

    def _budget(self, scope: budget_pb2.BudgetScope.ValueType, subject: str) -> budget_pb2.BudgetStatus:
        return self.budgets.GetBudget(
            budget_service_pb2.GetBudgetRequest(
                organization_id=self.organization_id, scope=scope, subject=subject
            ),
            timeout=_SECONDS,
        )


def client_of(pair: ServedPair, organization_id: str | None = None) -> Client:
    """A client of the pair for one organization; by default for a new one."""
    return Client(
        grpc.insecure_channel(pair.governor),
        grpc.insecure_channel(pair.workflow),
        organization_id or str(uuid4()),
    )
