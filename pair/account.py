"""What a workflow did and cost, as both services report it, and whether their figures agree."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from infin8.governor.v1 import (
    budget_pb2,
    budget_service_pb2,
    budget_service_pb2_grpc,
    entry_pb2,
    ledger_service_pb2,
    ledger_service_pb2_grpc,
    pricing_service_pb2,
    pricing_service_pb2_grpc,
)
from infin8.workflow.v1 import (
    invocations_pb2,
    steps_pb2,
    workflow_pb2,
    workflow_service_pb2,
    workflow_service_pb2_grpc,
)

_CALL_SECONDS = 30


@dataclass(frozen=True)
class Check:
    """Two figures in nano-USD that must be the same."""

    what: str
    expected_nano_usd: int
    actual_nano_usd: int

    @property
    def holds(self) -> bool:
        return self.expected_nano_usd == self.actual_nano_usd


@dataclass(frozen=True)
class Account:
    """Everything about one workflow. Each list is in the order of its service."""

    workflow: workflow_pb2.Workflow
    transitions: Sequence[workflow_pb2.Transition]
    invocations: Sequence[invocations_pb2.Invocation]
    entries: Sequence[entry_pb2.LedgerEntry]
    cost: ledger_service_pb2.WorkflowCost
    workflow_budget: budget_pb2.BudgetStatus
    organization_budget: budget_pb2.BudgetStatus
    articles: Sequence[steps_pb2.Article]
    prices: pricing_service_pb2.ListPricesResponse
    """One price, and when the price book was last compared with a price list."""

    @property
    def is_completed(self) -> bool:
        return self.workflow.state == workflow_pb2.WORKFLOW_STATE_COMPLETED

    @property
    def entries_sum_nano_usd(self) -> int:
        return sum(entry.cost_nano_usd for entry in self.entries)

    @property
    def checks(self) -> list[Check]:
        """The organization is new, so its month has only this workflow."""
        entries = self.entries_sum_nano_usd
        calls = sum(invocation.cost_nano_usd for invocation in self.invocations)
        return [
            Check("the ledger's entries = the workflow's cost", entries, self.cost.cost_nano_usd),
            Check("… = spent of the workflow's budget", entries, self.workflow_budget.spent_nano_usd),
            Check("… = spent of the organization's month", entries, self.organization_budget.spent_nano_usd),
            Check("… = the workflow's total_ai_cost", entries, self.workflow.total_ai_cost_nano_usd),
            Check("… = its model calls' costs", entries, calls),
            Check("nothing held for the workflow", 0, self.workflow_budget.held_nano_usd),
            Check("nothing held for the organization", 0, self.organization_budget.held_nano_usd),
        ]


async def account_of(
    organization_id: str, workflow_id: str, *, governor: grpc.aio.Channel, workflow: grpc.aio.Channel
) -> Account:
    """Asks both services. The workflow must have stopped: the answers are not from one instant."""
    workflows = workflow_service_pb2_grpc.WorkflowServiceStub(workflow)
    ledger = ledger_service_pb2_grpc.LedgerServiceStub(governor)
    budgets = budget_service_pb2_grpc.BudgetServiceStub(governor)
    pricing = pricing_service_pb2_grpc.PricingServiceStub(governor)
    of_workflow = {"organization_id": organization_id, "workflow_id": workflow_id}

    async def all_of(method: Callable[..., Awaitable[Any]], request: type[Any], field: str) -> list[Any]:
        items: list[Any] = []
        token = ""
        while True:
            answer = await method(request(**of_workflow, page_token=token), timeout=_CALL_SECONDS)
            items += getattr(answer, field)
            token = answer.next_page_token
            if not token:
                return items

    return Account(
        workflow=await workflows.GetWorkflow(workflow_service_pb2.GetWorkflowRequest(**of_workflow)),
        transitions=await all_of(
            workflows.ListTransitions, workflow_service_pb2.ListTransitionsRequest, "transitions"
        ),
        invocations=await all_of(
            workflows.ListInvocations, workflow_service_pb2.ListInvocationsRequest, "invocations"
        ),
        entries=await all_of(ledger.ListEntries, ledger_service_pb2.ListEntriesRequest, "entries"),
        cost=await ledger.GetWorkflowCost(ledger_service_pb2.GetWorkflowCostRequest(**of_workflow)),
        workflow_budget=await budgets.GetBudget(
            budget_service_pb2.GetBudgetRequest(
                organization_id=organization_id,
                scope=budget_pb2.BUDGET_SCOPE_WORKFLOW,
                subject=workflow_id,
            )
        ),
        organization_budget=await budgets.GetBudget(
            budget_service_pb2.GetBudgetRequest(
                organization_id=organization_id, scope=budget_pb2.BUDGET_SCOPE_ORGANIZATION
            )
        ),
        articles=await all_of(workflows.ListArticles, workflow_service_pb2.ListArticlesRequest, "articles"),
        prices=await pricing.ListPrices(pricing_service_pb2.ListPricesRequest(page_size=1)),
    )
