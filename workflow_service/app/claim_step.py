"""Claims a working step: a lease with an epoch, by compare-and-set; the built-in executor's door, too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from service_chassis.postgres.database import Connection, Database
from service_chassis.refusal import Refusal
from workflow_service.app.once import Move, once, workflow_from_json, workflow_to_json
from workflow_service.domain.refusals import lease_lost, state_conflict, workflow_not_found
from workflow_service.domain.states import Step, WorkflowState, processing
from workflow_service.domain.steps import (
    Article,
    ArticleInput,
    Cluster,
    ClusteringInput,
    CompetitorInput,
    IcpInput,
    IcpResult,
    PublishInput,
    StepInput,
    ValidationInput,
)
from workflow_service.domain.workflow import Lease, ReviewDecision, StoredCluster, Workflow
from workflow_service.store import leases, results, workflows
from workflow_service.store.leases import LeasedWorkflow, LeaseKey
from workflow_service.store.request_ids import Recorded, Request


@dataclass(frozen=True)
class Claimed:
    """A lease, and whether an earlier call got it already."""

    lease: Lease
    replayed: bool = False


def claim_move(step: Step, expected_state: WorkflowState) -> Move:
    """A claim that expects the step to be processing takes over a lease that ran out."""
    target = processing(step)
    return Move(expected_state, target, takes_over=expected_state is target)


async def claim_step(
    database: Database,
    request: Request,
    workflow_id: UUID,
    step: Step,
    expected_state: WorkflowState,
    lease_duration: timedelta,
) -> Claimed:
    """Raises WORKFLOW_NOT_FOUND, ILLEGAL_TRANSITION, STATE_CONFLICT, REQUEST_ID_REUSED."""
    outcome = await claim(
        database,
        request,
        workflow_id,
        claim_move(step, expected_state),
        step,
        lease_duration,
        answer=_to_json,
    )
    if isinstance(outcome, Lease):
        return Claimed(outcome)
    async with database.read() as connection:
        return Claimed(await _from_json(connection, outcome.answer), replayed=True)


async def claim(
    database: Database,
    request: Request,
    workflow_id: UUID,
    move: Move,
    step: Step,
    lease_duration: timedelta,
    *,
    answer: Callable[[Lease], Any | None],
) -> Lease | Recorded:
    """The lease, or what the same request got before.

    With the request_id the epoch is kept, and what `answer` makes of the lease (None: the run's end tells).
    """

    async def work(connection: Connection) -> Lease | None:
        # The transaction may be done again: each time with a token of its own.
        if move.takes_over:
            leased = await leases.take_over_if_expired(
                connection,
                request.organization_id,
                workflow_id,
                state=move.target,
                lease_token=uuid4(),
                lease_duration=lease_duration,
            )
            if leased is None:
                await _refuse_while_leased(connection, request.organization_id, workflow_id, move)
                return None
        else:
            leased = await leases.claim_if_state(
                connection,
                request.organization_id,
                workflow_id,
                from_state=move.expected,
                to_state=move.target,
                lease_token=uuid4(),
                lease_duration=lease_duration,
                actor=request.actor,
                reason=request.method,
            )
            if leased is None:
                return None
        return Lease(
            organization_id=request.organization_id,
            workflow_id=workflow_id,
            step=step,
            lease_token=leased.lease_token,
            epoch=leased.workflow.epoch,
            expire_time=leased.expire_time,
            workflow=leased.workflow,
            input=await step_input(connection, leased.workflow, step),
        )

    return await once(
        database, request, workflow_id, move, work, answer=answer, epoch=lambda lease: lease.epoch
    )


async def heartbeat_step(database: Database, key: LeaseKey, lease_duration: timedelta) -> LeasedWorkflow:
    """Raises WORKFLOW_NOT_FOUND, LEASE_LOST."""

    async def work(connection: Connection) -> LeasedWorkflow:
        leased = await leases.renew_if_leased(connection, key, lease_duration)
        if leased is None:
            raise await lost_lease(connection, key)
        return leased

    return await database.write(work)


async def lost_lease(connection: Connection, key: LeaseKey) -> Refusal:
    """What a worker is told whose lease does not stand: LEASE_LOST, or WORKFLOW_NOT_FOUND."""
    workflow = await workflows.get_workflow(connection, key.organization_id, key.workflow_id)
    return workflow_not_found() if workflow is None else lease_lost(workflow.epoch)


async def step_input(connection: Connection, workflow: Workflow, step: Step) -> StepInput:
    """What the step has to work with, out of the profile and the results of the steps before it."""
    organization_id, workflow_id = workflow.organization_id, workflow.workflow_id
    profile = workflow.profile
    match step:
        case Step.ICP:
            return IcpInput(
                organization_name=profile.organization_name,
                organization_url=profile.organization_url,
                linkedin_url=profile.linkedin_url or None,
            )
        case Step.COMPETITOR:
            return CompetitorInput(icp=_icp(workflow), competitor_urls=profile.competitor_urls)
        case Step.CLUSTERING:
            keywords = await results.list_keywords(connection, organization_id, workflow_id)
            return ClusteringInput(
                keywords=tuple(
                    keyword.seed for _, keyword in keywords if keyword.decision is ReviewDecision.APPROVED
                )
            )
        case Step.VALIDATION:
            stored = await results.list_clusters(connection, organization_id, workflow_id)
            return ValidationInput(
                icp=_icp(workflow), clusters=tuple(_cluster(cluster) for _, cluster in stored)
            )
        case Step.ARTICLE:
            stored = await results.list_clusters(connection, organization_id, workflow_id)
            return ArticleInput(
                organization_name=profile.organization_name,
                icp=_icp(workflow),
                clusters=tuple(_cluster(cluster) for _, cluster in stored if cluster.valid),
            )
        case Step.PUBLISH:
            articles = await results.list_articles(connection, organization_id, workflow_id)
            return PublishInput(
                articles=tuple(
                    Article(
                        article_id=article.article_id,
                        cluster_id=article.cluster_id,
                        title=article.title,
                        slug=article.slug,
                        meta_description=article.meta_description,
                        body_markdown=article.body_markdown,
                    )
                    for _, article in articles
                )
            )
        case Step.SEED_REVIEW:
            raise ValueError("SEED_REVIEW is a person's")


def _icp(workflow: Workflow) -> IcpResult:
    assert workflow.icp is not None  # the database holds no workflow past ICP without one
    return workflow.icp


def _cluster(stored: StoredCluster) -> Cluster:
    return Cluster(
        cluster_id=stored.cluster_id,
        pillar_keyword=stored.pillar_keyword,
        supporting_keywords=stored.supporting_keywords,
        theme=stored.theme,
    )


async def _refuse_while_leased(
    connection: Connection, organization_id: UUID, workflow_id: UUID, move: Move
) -> None:
    """Raises STATE_CONFLICT where the state is the one expected: then it is the lease that still lives."""
    workflow = await workflows.get_workflow(connection, organization_id, workflow_id)
    if workflow is not None and workflow.state is move.expected:
        raise state_conflict(move.expected, workflow.state, lease_expire_time=workflow.lease_expire_time)


def _to_json(lease: Lease) -> dict[str, Any]:
    """Without the input, which the steps before have fixed: it is read again."""
    return {
        "step": lease.step.value,
        "lease_token": str(lease.lease_token),
        "expire_time": lease.expire_time.isoformat(),
        "workflow": workflow_to_json(lease.workflow),
    }


async def _from_json(connection: Connection, answer: Any) -> Lease:
    workflow = workflow_from_json(answer["workflow"])
    step = Step(answer["step"])
    return Lease(
        organization_id=workflow.organization_id,
        workflow_id=workflow.workflow_id,
        step=step,
        lease_token=UUID(answer["lease_token"]),
        epoch=workflow.epoch,
        expire_time=datetime.fromisoformat(answer["expire_time"]),
        workflow=workflow,
        input=await step_input(connection, workflow, step),
    )
