"""The RPCs that list a workflow's history, model calls and results."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import grpc

from infin8.workflow.v1 import workflow_service_pb2, workflow_service_pb2_grpc
from service_chassis.postgres.database import Database
from service_chassis.rpc.fields import Fields
from service_chassis.rpc.paging import INT32, Paging
from workflow_service.api import parse, render
from workflow_service.app.read_workflows import list_of_workflow
from workflow_service.store import invocations, results, workflows

Context = grpc.aio.ServicerContext[Any, Any]


class ListingRpcs(workflow_service_pb2_grpc.WorkflowServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListTransitions(
        self, request: workflow_service_pb2.ListTransitionsRequest, _context: Context
    ) -> workflow_service_pb2.ListTransitionsResponse:
        with Fields() as fields:
            key = parse.workflow_of(fields, request)
            paging = Paging(fields, request, (int,), scope=[key.organization_id, key.workflow_id])
        found = await list_of_workflow(
            self._database,
            key.organization_id,
            key.workflow_id,
            lambda connection: workflows.list_transitions(
                connection,
                key.organization_id,
                key.workflow_id,
                after_version=paging.after or 0,
                limit=paging.limit,
            ),
        )
        page = paging.page(found, render.transition_message, lambda transition: transition.version)
        return workflow_service_pb2.ListTransitionsResponse(
            transitions=page.messages, next_page_token=page.next_page_token
        )

    async def ListInvocations(
        self, request: workflow_service_pb2.ListInvocationsRequest, _context: Context
    ) -> workflow_service_pb2.ListInvocationsResponse:
        with Fields() as fields:
            key = parse.workflow_of(fields, request)
            paging = Paging(fields, request, (datetime, UUID), scope=[key.organization_id, key.workflow_id])
        found = await list_of_workflow(
            self._database,
            key.organization_id,
            key.workflow_id,
            lambda connection: invocations.list_invocations(
                connection, key.organization_id, key.workflow_id, after=paging.after, limit=paging.limit
            ),
        )
        page = paging.page(
            found,
            render.invocation_message,
            lambda invocation: (invocation.create_time, invocation.request_id),
        )
        return workflow_service_pb2.ListInvocationsResponse(
            invocations=page.messages, next_page_token=page.next_page_token
        )

    async def ListKeywords(
        self, request: workflow_service_pb2.ListKeywordsRequest, _context: Context
    ) -> workflow_service_pb2.ListKeywordsResponse:
        with Fields() as fields:
            key = parse.workflow_of(fields, request)
            paging = Paging(fields, request, (INT32, str), scope=[key.organization_id, key.workflow_id])
        found = await list_of_workflow(
            self._database,
            key.organization_id,
            key.workflow_id,
            lambda connection: results.list_keywords(
                connection, key.organization_id, key.workflow_id, after=paging.after, limit=paging.limit
            ),
        )
        page = paging.page(found, lambda item: render.keyword_message(item[1]), lambda item: item[0])
        return workflow_service_pb2.ListKeywordsResponse(
            keywords=page.messages, next_page_token=page.next_page_token
        )

    async def ListClusters(
        self, request: workflow_service_pb2.ListClustersRequest, _context: Context
    ) -> workflow_service_pb2.ListClustersResponse:
        with Fields() as fields:
            key = parse.workflow_of(fields, request)
            paging = Paging(fields, request, (INT32, UUID), scope=[key.organization_id, key.workflow_id])
        found = await list_of_workflow(
            self._database,
            key.organization_id,
            key.workflow_id,
            lambda connection: results.list_clusters(
                connection, key.organization_id, key.workflow_id, after=paging.after, limit=paging.limit
            ),
        )
        page = paging.page(found, lambda item: render.cluster_message(item[1]), lambda item: item[0])
        return workflow_service_pb2.ListClustersResponse(
            clusters=page.messages, next_page_token=page.next_page_token
        )

    async def ListArticles(
        self, request: workflow_service_pb2.ListArticlesRequest, _context: Context
    ) -> workflow_service_pb2.ListArticlesResponse:
        with Fields() as fields:
            key = parse.workflow_of(fields, request)
            paging = Paging(fields, request, (INT32, UUID), scope=[key.organization_id, key.workflow_id])
        found = await list_of_workflow(
            self._database,
            key.organization_id,
            key.workflow_id,
            lambda connection: results.list_articles(
                connection, key.organization_id, key.workflow_id, after=paging.after, limit=paging.limit
            ),
        )
        page = paging.page(found, lambda item: render.article_message(item[1]), lambda item: item[0])
        return workflow_service_pb2.ListArticlesResponse(
            articles=page.messages, next_page_token=page.next_page_token
        )
