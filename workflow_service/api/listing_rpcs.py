"""The RPCs that list what a workflow has come to: its history, its model calls, its results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import grpc

from infin8.workflow.v1 import workflow_service_pb2, workflow_service_pb2_grpc
from service_chassis.postgres.database import Database
from workflow_service.api import parse, render
from workflow_service.api.paging import Paging, Position, time_position
from workflow_service.app import read_workflows
from workflow_service.app.read_workflows import Page, list_of_workflow
from workflow_service.store import invocations, results, workflows

Context = grpc.aio.ServicerContext[Any, Any]
T = TypeVar("T")


class ListingRpcs(workflow_service_pb2_grpc.WorkflowServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListTransitions(
        self, request: workflow_service_pb2.ListTransitionsRequest, _context: Context
    ) -> workflow_service_pb2.ListTransitionsResponse:
        organization_id, workflow_id = parse.ids(request)
        paging = Paging(request, organization_id, workflow_id)
        page = await list_of_workflow(
            self._database,
            organization_id,
            workflow_id,
            lambda connection, limit: workflows.list_transitions(
                connection, organization_id, workflow_id, after_version=paging.number or 0, limit=limit
            ),
            page_size=paging.page_size,
        )
        return workflow_service_pb2.ListTransitionsResponse(
            transitions=[render.transition_message(transition) for transition in page.items],
            next_page_token=_next_token(paging, page, lambda transition: [transition.version]),
        )

    async def ListInvocations(
        self, request: workflow_service_pb2.ListInvocationsRequest, _context: Context
    ) -> workflow_service_pb2.ListInvocationsResponse:
        organization_id, workflow_id = parse.ids(request)
        paging = Paging(request, organization_id, workflow_id)
        page = await list_of_workflow(
            self._database,
            organization_id,
            workflow_id,
            lambda connection, limit: invocations.list_invocations(
                connection, organization_id, workflow_id, after=paging.time_and_id, limit=limit
            ),
            page_size=paging.page_size,
        )
        return workflow_service_pb2.ListInvocationsResponse(
            invocations=[render.invocation_message(invocation) for invocation in page.items],
            next_page_token=_next_token(
                paging,
                page,
                lambda invocation: [time_position(invocation.create_time), str(invocation.request_id)],
            ),
        )

    async def ListKeywords(
        self, request: workflow_service_pb2.ListKeywordsRequest, _context: Context
    ) -> workflow_service_pb2.ListKeywordsResponse:
        organization_id, workflow_id = parse.ids(request)
        paging = Paging(request, organization_id, workflow_id)
        page = await list_of_workflow(
            self._database,
            organization_id,
            workflow_id,
            lambda connection, limit: results.list_keywords(
                connection, organization_id, workflow_id, after=paging.number_and_text, limit=limit
            ),
            page_size=paging.page_size,
        )
        return workflow_service_pb2.ListKeywordsResponse(
            keywords=[render.keyword_message(keyword) for _, keyword in page.items],
            next_page_token=_next_token(paging, page, lambda item: item[0]),
        )

    async def ListClusters(
        self, request: workflow_service_pb2.ListClustersRequest, _context: Context
    ) -> workflow_service_pb2.ListClustersResponse:
        organization_id, workflow_id = parse.ids(request)
        paging = Paging(request, organization_id, workflow_id)
        page = await list_of_workflow(
            self._database,
            organization_id,
            workflow_id,
            lambda connection, limit: results.list_clusters(
                connection, organization_id, workflow_id, after=paging.number_and_id, limit=limit
            ),
            page_size=paging.page_size,
        )
        return workflow_service_pb2.ListClustersResponse(
            clusters=[render.cluster_message(cluster) for _, cluster in page.items],
            next_page_token=_next_token(paging, page, lambda item: [item[0][0], str(item[0][1])]),
        )

    async def ListArticles(
        self, request: workflow_service_pb2.ListArticlesRequest, _context: Context
    ) -> workflow_service_pb2.ListArticlesResponse:
        organization_id, workflow_id = parse.ids(request)
        paging = Paging(request, organization_id, workflow_id)
        page = await read_workflows.list_articles(
            self._database,
            organization_id,
            workflow_id,
            after=paging.number_and_id,
            page_size=paging.page_size,
        )
        return workflow_service_pb2.ListArticlesResponse(
            articles=[render.article_message(article) for _, article in page.items],
            next_page_token=_next_token(paging, page, lambda item: [item[0][0], str(item[0][1])]),
        )


def _next_token(paging: Paging, page: Page[T], position: Callable[[T], Position]) -> str:
    last: Sequence[T] = page.items[-1:]
    return paging.next_token(position(last[0]), more=page.more) if last else ""
