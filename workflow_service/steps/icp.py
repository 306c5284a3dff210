"""ICP (S36): the ideal customer profile of an organization, from its name, website and LinkedIn page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from pydantic import Field

from service_chassis.postgres.database import Connection
from workflow_service.domain.states import Step
from workflow_service.domain.steps import IcpInput, IcpResult, Line, Sentence
from workflow_service.domain.workflow import Workflow
from workflow_service.steps.model_step import Answer, Item, ModelStep


class IcpAnswer(Answer):
    industries: Annotated[tuple[Line, ...], Field(min_length=1, max_length=20)]
    buyer_roles: Annotated[tuple[Line, ...], Field(min_length=1, max_length=20)]
    pain_points: Annotated[tuple[Sentence, ...], Field(min_length=1, max_length=20)]
    value_proposition: Sentence


class IcpStep(ModelStep[IcpInput, IcpInput, IcpAnswer, IcpResult]):
    step = Step.ICP
    task = (
        "You describe the ideal customer of an organization, from what is publicly known of it. Name the "
        "industries it sells to, the roles of the people who decide to buy, the problems they want solved, "
        "and the organization's value proposition in one or two sentences. Three to six entries a list."
    )
    answer_type = IcpAnswer

    async def read_input(self, connection: Connection, workflow: Workflow) -> IcpInput:  # noqa: ARG002
        profile = workflow.profile
        return IcpInput(
            organization_name=profile.organization_name,
            organization_url=profile.organization_url,
            linkedin_url=profile.linkedin_url or None,
        )

    async def store_result(self, connection: Connection, workflow: Workflow, result: IcpResult) -> None:
        """Nothing: the transition to ICP_COMPLETED writes it into the workflow's own row."""

    def items(self, step_input: IcpInput) -> Sequence[Item[IcpInput]]:
        return (Item("", step_input),)

    def combine(self, workflow_id: UUID, step_input: IcpInput, answers: Sequence[IcpAnswer]) -> IcpResult:  # noqa: ARG002
        (answer,) = answers
        return IcpResult(**answer.model_dump())
