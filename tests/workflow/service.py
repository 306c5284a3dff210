"""A workflow service on a socket and a real database, with an executor that calls no models."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import grpc
from google.protobuf.message import Message

from infin8.workflow.v1 import steps_pb2, workflow_pb2, workflow_service_pb2
from infin8.workflow.v1.workflow_service_pb2_grpc import WorkflowServiceStub
from service_chassis.postgres.database import Database
from service_chassis.refusal import Refusal
from service_chassis.rpc.errors import from_rpc_error
from workflow_service.__main__ import serving
from workflow_service.app.step_worker import Executor
from workflow_service.domain.states import Step
from workflow_service.domain.steps import (
    INPUT_TYPES,
    Article,
    ArticleInput,
    ArticleResult,
    Cluster,
    ClusteringInput,
    ClusteringResult,
    ClusterVerdict,
    CompetitorInput,
    CompetitorResult,
    IcpInput,
    IcpResult,
    Publication,
    PublishInput,
    PublishResult,
    SeedKeyword,
    StepInput,
    StepResult,
    ValidationInput,
    ValidationResult,
    article_id,
    cluster_id,
)
from workflow_service.domain.workflow import Lease
from workflow_service.settings import WorkflowSettings
from workflow_service.simulator.content import answer as simulator_answer
from workflow_service.steps.registry import MODEL_STEPS

ORGANIZATION = "7f1c8a52-1f0e-4a57-9b1c-0d9c3a6f5e21"
COMPETITORS = ("https://one.example", "https://two.example")
ICP_MESSAGE = steps_pb2.IcpResult(
    industries=["Software"], buyer_roles=["CMO"], pain_points=["No leads"], value_proposition="More leads"
)


class PlainExecutor:
    """Answers each step with a valid result. `gate` delays it; `failures` come first."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()
        self.failures: list[Exception] = []
        self.runs: Counter[Step] = Counter()
        self.results: dict[Step, StepResult] = {}

    async def execute(self, lease: Lease) -> StepResult:
        self.runs[lease.step] += 1
        self.entered.set()
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        return self.results.get(lease.step) or result_for(lease.workflow_id, lease.input)


def result_for(workflow_id: UUID, step_input: StepInput) -> StepResult:
    match step_input:
        case IcpInput():
            return IcpResult(
                industries=("Software",),
                buyer_roles=("CMO",),
                pain_points=("No leads",),
                value_proposition="More leads",
            )
        case CompetitorInput():
            return CompetitorResult(
                keywords=tuple(
                    SeedKeyword(keyword=f"Keyword {n} of {url}", competitor_url=url, intent="x", reason="y")
                    for url in step_input.competitor_urls
                    for n in range(3)
                )
            )
        case ClusteringInput():
            return ClusteringResult(
                clusters=tuple(
                    Cluster(
                        cluster_id=cluster_id(workflow_id, seed.keyword),
                        pillar_keyword=seed.keyword,
                        supporting_keywords=(),
                        theme="theme",
                    )
                    for seed in step_input.keywords
                )
            )
        case ValidationInput():
            return ValidationResult(
                verdicts=tuple(
                    ClusterVerdict(cluster_id=c.cluster_id, valid=n == 0, confidence=0.5, reason="r")
                    for n, c in enumerate(step_input.clusters)
                )
            )
        case ArticleInput():
            return ArticleResult(
                articles=tuple(
                    Article(
                        article_id=article_id(workflow_id, c.cluster_id),
                        cluster_id=c.cluster_id,
                        title=c.pillar_keyword,
                        slug=f"article-{n}",
                        meta_description="m",
                        body_markdown="# body",
                    )
                    for n, c in enumerate(step_input.clusters)
                )
            )
        case PublishInput():
            return PublishResult(
                publications=tuple(
                    Publication(article_id=a.article_id, location=f"out/{a.slug}.md")
                    for a in step_input.articles
                )
            )
        case _:
            return simulated_result(workflow_id, step_input)


def simulated_result(workflow_id: UUID, step_input: StepInput) -> StepResult:
    """The result that the step makes of the simulator's answers to this input."""
    (step,) = [step for step, input_type in INPUT_TYPES.items() if type(step_input) is input_type]
    definition = MODEL_STEPS[step]
    answers = []
    for item in definition.items(step_input):
        prompt = definition.prompt(item.payload)
        text = simulator_answer(prompt.schema_name, prompt.user, prompt.schema)
        answers.append(definition.parse(item.payload, text))
    result: StepResult = definition.combine(workflow_id, step_input, answers)
    return result


@dataclass
class Client:
    """Calls the service for one organization. A refused call raises its Refusal."""

    stub: WorkflowServiceStub
    target: str
    dsn: str
    organization_id: str = ORGANIZATION
    timeout_seconds: float = 30.0

    async def call(self, method: str, **fields: Any) -> Any:
        request_type = getattr(workflow_service_pb2, f"{method}Request")
        names = request_type.DESCRIPTOR.fields_by_name
        if "organization_id" in names:
            fields.setdefault("organization_id", self.organization_id)
        return await self.send(method, request_type(**fields))

    async def send(self, method: str, request: Message) -> Any:
        try:
            return await getattr(self.stub, method)(request, timeout=self.timeout_seconds)
        except grpc.aio.AioRpcError as error:
            refusal = from_rpc_error(error, domain="workflow.infin8")
            if refusal is None:  # the transport's own error
                raise
            raise refusal from error

    async def create(self, **fields: Any) -> Any:
        fields.setdefault("request_id", str(uuid4()))
        fields.setdefault("display_name", "Acme content")
        fields.setdefault(
            "profile",
            workflow_pb2.Profile(
                organization_name="Acme",
                organization_url="https://acme.example",
                competitor_urls=COMPETITORS,
            ),
        )
        return await self.call("CreateWorkflow", **fields)

    async def get(self, workflow_id: str) -> Any:
        return await self.call("GetWorkflow", workflow_id=workflow_id)

    async def advance(self, workflow: Any) -> Any:
        return await self.call(
            "AdvanceWorkflow", workflow_id=workflow.workflow_id, expected_state=workflow.state
        )

    async def run(self, workflow: Any, step: str, expected: str | None = None, **fields: Any) -> Any:
        return await self.call(
            "RunStep",
            workflow_id=workflow.workflow_id,
            step=f"STEP_{step}",
            expected_state=f"WORKFLOW_STATE_{expected}" if expected else workflow.state,
            **fields,
        )

    async def claim(self, workflow: Any, step: str, expected: str | None = None, **fields: Any) -> Any:
        return await self.call(
            "ClaimStep",
            workflow_id=workflow.workflow_id,
            step=f"STEP_{step}",
            expected_state=f"WORKFLOW_STATE_{expected}" if expected else workflow.state,
            **fields,
        )

    async def review(self, workflow: Any, approve: int = 1, **fields: Any) -> Any:
        keywords = (await self.call("ListKeywords", workflow_id=workflow.workflow_id)).keywords
        decisions = [
            workflow_service_pb2.KeywordDecision(
                keyword=keyword.keyword,
                decision=steps_pb2.REVIEW_DECISION_APPROVED
                if n < approve
                else steps_pb2.REVIEW_DECISION_REJECTED,
            )
            for n, keyword in enumerate(keywords)
        ]
        return await self.call(
            "SubmitSeedReview",
            workflow_id=workflow.workflow_id,
            expected_state=workflow.state,
            decisions=decisions,
            **fields,
        )

    async def at(self, target: str) -> Any:
        """A new workflow in the state `target`; its review approved two keywords."""
        workflow = await self.create()
        while state_name(workflow) != target:
            name = state_name(workflow)
            if name == "SEED_REVIEW_PENDING":
                workflow = await self.review(workflow, approve=2)
            elif name.endswith("_PENDING"):
                workflow = await self.run(workflow, name.removesuffix("_PENDING"))
            else:
                workflow = await self.advance(workflow)
        return workflow


def state_name(workflow: Any) -> str:
    return str(workflow_pb2.WorkflowState.Name(workflow.state)).removeprefix("WORKFLOW_STATE_")


async def outcomes(calls: list[Any]) -> tuple[list[Any], list[Refusal]]:
    """The answers and the refusals of concurrent calls; any other error is raised."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Refusal)]
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, Refusal):
            raise answer
    return [answer for answer in answers if not isinstance(answer, Refusal)], refused


@asynccontextmanager
async def served(
    dsn: str, executor: Executor, settings: WorkflowSettings | None = None
) -> AsyncIterator[Client]:
    """One instance of the service, and a client of it."""
    settings = settings or WorkflowSettings(port=0, grace_seconds=5)
    database = await Database.open(dsn, settings, application_name="test")
    try:
        async with (
            serving(database, executor, settings) as port,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            yield Client(WorkflowServiceStub(channel), f"127.0.0.1:{port}", dsn)
    finally:
        await database.close()
