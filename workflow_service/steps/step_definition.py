"""The interface of a working step: how its input is read, and where its result is kept.

A step's file in this package has all of it: the input that it reads, its prompt, the answers that it accepts,
and how its result is stored. `registry.py` lists the steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from service_chassis.postgres.database import Connection
from workflow_service.domain.states import Step
from workflow_service.domain.steps import Cluster, IcpResult, StepInput, StepResult
from workflow_service.domain.workflow import StoredCluster, Workflow
from workflow_service.store import results

InputT = TypeVar("InputT", bound=StepInput)
ResultT = TypeVar("ResultT", bound=StepResult)


class StepDefinition(ABC, Generic[InputT, ResultT]):
    """One per working step."""

    step: Step

    @abstractmethod
    async def read_input(self, connection: Connection, workflow: Workflow) -> InputT:
        """The step's input, out of the profile and the results of earlier steps.

        Fixed once the step is due.
        """

    async def store_result(self, connection: Connection, workflow: Workflow, result: ResultT) -> None:
        """Runs in the transaction that completes the step. By default the result is kept as one document.

        A step overrides this if its result has its own tables, because callers list it.
        """
        await results.insert_document(
            connection, workflow.organization_id, workflow.workflow_id, self.step, result
        )


def icp_of(workflow: Workflow) -> IcpResult:
    """The result of ICP, which the workflow's own row holds."""
    assert workflow.icp is not None  # a CHECK: no workflow past ICP is without one
    return workflow.icp


def cluster_of(stored: StoredCluster) -> Cluster:
    """A stored cluster as CLUSTERING made it."""
    return Cluster(
        cluster_id=stored.cluster_id,
        pillar_keyword=stored.pillar_keyword,
        supporting_keywords=stored.supporting_keywords,
        theme=stored.theme,
    )
