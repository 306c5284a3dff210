"""Converts results of the app to response messages."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from infin8.workflow.v1 import errors_pb2, invocations_pb2, steps_pb2, workflow_pb2, workflow_service_pb2
from workflow_service.api.step_messages import icp_message, set_input
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.events import WorkflowEvent
from workflow_service.domain.states import (
    TERMINAL,
    TRANSITIONS,
    Step,
    WorkflowState,
    allowed_transitions,
    due,
    step_of,
)
from workflow_service.domain.workflow import (
    LastError,
    Lease,
    Profile,
    PublishKind,
    PublishTarget,
    ReviewDecision,
    StoredArticle,
    StoredCluster,
    StoredKeyword,
    Transition,
    Waiting,
    Workflow,
)
from workflow_service.store.invocations import Invocation, InvocationState
from workflow_service.store.leases import LeasedWorkflow


def state_value(state: WorkflowState) -> workflow_pb2.WorkflowState.ValueType:
    return workflow_pb2.WorkflowState.Value(f"WORKFLOW_STATE_{state}")


def step_value(step: Step | None) -> steps_pb2.Step.ValueType:
    return steps_pb2.STEP_UNSPECIFIED if step is None else steps_pb2.Step.Value(f"STEP_{step}")


def error_class_value(error_class: ErrorClass | None) -> errors_pb2.ErrorClass.ValueType:
    if error_class is None:
        return errors_pb2.ERROR_CLASS_UNSPECIFIED
    return errors_pb2.ErrorClass.Value(f"ERROR_CLASS_{error_class}")


def timestamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    message = Timestamp()
    message.FromDatetime(time)
    return message


def workflow_message(workflow: Workflow, *, replayed: bool = False) -> workflow_pb2.Workflow:
    return workflow_pb2.Workflow(
        workflow_id=str(workflow.workflow_id),
        organization_id=str(workflow.organization_id),
        display_name=workflow.display_name,
        state=state_value(workflow.state),
        version=workflow.version,
        profile=_profile(workflow.profile),
        workflow_data=ParseDict(workflow.workflow_data, Struct()),
        total_ai_cost_nano_usd=workflow.total_ai_cost_nano_usd,
        last_error=_last_error(workflow.last_error),
        allowed_transitions=[state_value(state) for state in allowed_transitions(workflow.state)],
        due=step_value(due(workflow.state)),
        publish_target=_publish_target(workflow.publish_target),
        epoch=workflow.epoch,
        lease_expire_time=timestamp(workflow.lease_expire_time),
        create_time=timestamp(workflow.create_time),
        update_time=timestamp(workflow.update_time),
        icp=None if workflow.icp is None else icp_message(workflow.icp),
        replayed=replayed,
        waiting=_waiting(workflow.waiting),
        pause=None
        if workflow.pause is None
        else workflow_pb2.Pause(
            since_time=timestamp(workflow.pause.since_time),
            actor=workflow.pause.actor,
            reason=workflow.pause.reason,
        ),
    )


def event_message(event: WorkflowEvent) -> workflow_pb2.WorkflowEvent:
    return workflow_pb2.WorkflowEvent(
        offset=event.offset,
        event_id=str(event.event_id),
        organization_id=str(event.organization_id),
        workflow_id=str(event.workflow_id),
        type=workflow_pb2.EventType.Value(f"EVENT_TYPE_{event.type}"),
        state=state_value(event.state),
        from_state=workflow_pb2.WORKFLOW_STATE_UNSPECIFIED
        if event.from_state is None
        else state_value(event.from_state),
        version=event.version,
        epoch=event.epoch,
        actor=event.actor,
        reason=event.reason,
        last_error=_last_error(event.error),
        attempt=event.attempt,
        attempts_max=event.attempts_max,
        next_time=timestamp(event.next_time),
        total_ai_cost_nano_usd=event.total_ai_cost_nano_usd,
        create_time=timestamp(event.create_time),
    )


def _waiting(waiting: Waiting | None) -> workflow_pb2.Waiting | None:
    if waiting is None:
        return None
    return workflow_pb2.Waiting(
        kind=workflow_pb2.WaitKind.Value(f"WAIT_KIND_{waiting.kind}"),
        since_time=timestamp(waiting.since_time),
        next_time=timestamp(waiting.next_time),
        attempt=waiting.attempt,
        attempts_max=waiting.attempts_max,
    )


def lease_message(lease: Lease, *, replayed: bool) -> workflow_service_pb2.Lease:
    message = workflow_service_pb2.Lease(
        organization_id=str(lease.organization_id),
        workflow_id=str(lease.workflow_id),
        step=step_value(lease.step),
        lease_token=str(lease.lease_token),
        epoch=lease.epoch,
        expire_time=timestamp(lease.expire_time),
        workflow=workflow_message(lease.workflow),
        replayed=replayed,
    )
    set_input(message, lease.step, lease.input)
    return message


def renewed_lease_message(leased: LeasedWorkflow) -> workflow_service_pb2.Lease:
    """Without the input, which the worker already has."""
    workflow = leased.workflow
    return workflow_service_pb2.Lease(
        organization_id=str(workflow.organization_id),
        workflow_id=str(workflow.workflow_id),
        step=step_value(step_of(workflow.state)),
        lease_token=str(leased.lease_token),
        epoch=workflow.epoch,
        expire_time=timestamp(leased.expire_time),
        workflow=workflow_message(workflow),
        paused=workflow.pause is not None,
    )


def transition_message(transition: Transition) -> workflow_pb2.Transition:
    return workflow_pb2.Transition(
        from_state=state_value(transition.from_state),
        to_state=state_value(transition.to_state),
        version=transition.version,
        actor=transition.actor,
        reason=transition.reason,
        epoch=transition.epoch,
        total_ai_cost_nano_usd=transition.total_ai_cost_nano_usd,
        create_time=timestamp(transition.create_time),
    )


def invocation_message(invocation: Invocation) -> invocations_pb2.Invocation:
    response = invocation.response
    message = invocations_pb2.Invocation(
        step=step_value(invocation.step),
        item=invocation.item,
        attempt=invocation.attempt,
        model=invocation.model or "",
        served_model=response.served_model or "",
        state=_invocation_state(invocation.state),
        request_id=str(invocation.request_id),
        authorization_id=str(invocation.authorization_id or ""),
        entry_id=str(invocation.entry_id or ""),
        held_nano_usd=invocation.held_nano_usd or 0,
        cost_nano_usd=invocation.cost_nano_usd,
        error_class=error_class_value(response.error_class),
        provider_generation_id=response.generation_id or "",
        epoch=invocation.epoch,
        create_time=timestamp(invocation.create_time),
        update_time=timestamp(invocation.update_time),
    )
    if usage := response.usage:
        message.usage.MergeFrom(
            invocations_pb2.Usage(
                input_tokens=usage.input_tokens,
                cached_input_tokens=usage.cached_input_tokens,
                cache_write_tokens=usage.cache_write_tokens,
                output_tokens=usage.output_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                requests=usage.requests,
                cache_write_1h_tokens=usage.cache_write_1h_tokens,
                other_units=usage.other_units,
            )
        )
    return message


def keyword_message(keyword: StoredKeyword) -> steps_pb2.Keyword:
    return steps_pb2.Keyword(
        keyword=keyword.seed.keyword,
        competitor_url=keyword.seed.competitor_url,
        intent=keyword.seed.intent,
        reason=keyword.seed.reason,
        decision=_decision(keyword.decision),
        create_time=timestamp(keyword.create_time),
        decide_time=timestamp(keyword.decide_time),
    )


def cluster_message(cluster: StoredCluster) -> steps_pb2.Cluster:
    return steps_pb2.Cluster(
        cluster_id=str(cluster.cluster_id),
        pillar_keyword=cluster.pillar_keyword,
        supporting_keywords=cluster.supporting_keywords,
        theme=cluster.theme,
        valid=cluster.valid,
        confidence=cluster.confidence,
        reason=cluster.reason,
        create_time=timestamp(cluster.create_time),
    )


def article_message(article: StoredArticle) -> steps_pb2.Article:
    return steps_pb2.Article(
        article_id=str(article.article_id),
        cluster_id=str(article.cluster_id),
        title=article.title,
        slug=article.slug,
        meta_description=article.meta_description,
        body_markdown=article.body_markdown,
        location=article.location,
        create_time=timestamp(article.create_time),
        publish_time=timestamp(article.publish_time),
    )


def state_machine_message() -> workflow_pb2.StateMachine:
    return workflow_pb2.StateMachine(
        states=[
            workflow_pb2.StateDescription(
                state=state_value(state),
                step=step_value(step_of(state)),
                terminal=state in TERMINAL,
                allowed_transitions=[state_value(target) for target in allowed_transitions(state)],
            )
            for state in WorkflowState
        ],
        transitions=[
            workflow_pb2.Edge(from_state=state_value(state), to_state=state_value(target))
            for state in TRANSITIONS
            for target in allowed_transitions(state)
        ],
    )


def _profile(profile: Profile) -> workflow_pb2.Profile:
    return workflow_pb2.Profile(
        organization_name=profile.organization_name,
        organization_url=profile.organization_url,
        linkedin_url=profile.linkedin_url,
        competitor_urls=profile.competitor_urls,
    )


def _publish_target(target: PublishTarget) -> workflow_pb2.PublishTarget:
    match target.kind:
        case PublishKind.DIRECTORY:
            return workflow_pb2.PublishTarget(directory=workflow_pb2.DirectoryTarget(path=target.location))
        case PublishKind.WEBHOOK:
            return workflow_pb2.PublishTarget(webhook=workflow_pb2.WebhookTarget(url=target.location))
        case PublishKind.WORDPRESS:
            return workflow_pb2.PublishTarget(wordpress=workflow_pb2.WordPressTarget(url=target.location))


def _last_error(error: LastError | None) -> workflow_pb2.LastError | None:
    if error is None:
        return None
    return workflow_pb2.LastError(
        error_class=error_class_value(error.error_class), reason=error.reason, message=error.message
    )


def _invocation_state(state: InvocationState) -> invocations_pb2.InvocationState.ValueType:
    return invocations_pb2.InvocationState.Value(f"INVOCATION_STATE_{state}")


def _decision(decision: ReviewDecision | None) -> steps_pb2.ReviewDecision.ValueType:
    if decision is None:
        return steps_pb2.REVIEW_DECISION_UNSPECIFIED
    return steps_pb2.ReviewDecision.Value(f"REVIEW_DECISION_{decision}")
