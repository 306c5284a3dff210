"""Asks for workflows: each request is repeated until it is acknowledged, and after that nobody asks again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import asyncpg
import grpc

from infin8.workflow.v1 import steps_pb2, workflow_pb2, workflow_service_pb2
from infin8.workflow.v1.workflow_service_pb2_grpc import WorkflowServiceStub
from tests.kills.cluster import Cluster

_AGAIN = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)
_LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_CALL_SECONDS = 5.0
_PAUSE_SECONDS = 0.2


@dataclass
class Feed:
    cluster: Cluster
    dsn: str
    dice: random.Random
    organizations: list[str] = field(default_factory=lambda: [str(uuid4()) for _ in range(3)])
    begun: int = 0
    completed: int = 0
    wrong: list[str] = field(default_factory=list)

    async def run(self, at_once: int, goes_on: Callable[[], bool]) -> None:
        """Begins workflows for as long as `goes_on()`, and waits until each has come to its end."""
        await asyncio.gather(*(self._one_after_the_other(goes_on) for _ in range(at_once)))

    async def _one_after_the_other(self, goes_on: Callable[[], bool]) -> None:
        while goes_on():
            self.begun += 1
            await self._one()

    async def _one(self) -> None:
        ids = {"organization_id": self.dice.choice(self.organizations)}
        created = await self._ask(
            "CreateWorkflow",
            **ids,
            request_id=str(uuid4()),
            display_name="Kills",
            profile=workflow_pb2.Profile(
                organization_name="Acme",
                organization_url="https://acme.example",
                competitor_urls=["https://one.example", "https://two.example"],
            ),
        )
        ids["workflow_id"] = created.workflow_id
        await self._ask("RunWorkflow", **ids, request_id=str(uuid4()), wait=False)
        if not await self._until(created.workflow_id, "SEED_REVIEW_PENDING"):
            return
        keywords = (await self._ask("ListKeywords", **ids)).keywords
        await self._ask(
            "SubmitSeedReview",
            **ids,
            request_id=str(uuid4()),
            expected_state="WORKFLOW_STATE_SEED_REVIEW_PENDING",
            decisions=[
                workflow_service_pb2.KeywordDecision(
                    keyword=keyword.keyword, decision=steps_pb2.REVIEW_DECISION_APPROVED
                )
                for keyword in keywords[:2]
            ],
        )
        await self._ask("RunWorkflow", **ids, request_id=str(uuid4()), wait=False)
        if await self._until(created.workflow_id, "COMPLETED"):
            self.completed += 1

    async def _ask(self, method: str, **fields: Any) -> Any:
        request = getattr(workflow_service_pb2, f"{method}Request")(**fields)
        while True:
            target = self.dice.choice(self.cluster.instances).target
            async with grpc.aio.insecure_channel(target) as channel:
                try:
                    return await getattr(WorkflowServiceStub(channel), method)(request, timeout=_CALL_SECONDS)
                except grpc.aio.AioRpcError as error:
                    if error.code() not in _AGAIN:
                        self.wrong.append(f"{method}: {error.code().name} {error.details()}")
                        raise
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _until(self, workflow_id: str, state: str) -> bool:
        """Whether the workflow comes there. It is only looked at, past the service."""
        while True:
            row = await self._look(workflow_id)
            if row is not None:
                if row["state"] == state:
                    return True
                if row["has_stopped"]:
                    self.wrong.append(f"{workflow_id} stopped in {row['state']}: {row['error_message']}")
                    return False
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _look(self, workflow_id: str) -> asyncpg.Record | None:
        try:
            connection = await asyncpg.connect(self.dsn, timeout=5)
        except _LOST:
            return None
        try:
            return await connection.fetchrow(
                "SELECT state, error_message, state LIKE '%\\_FAILED' AND run_time IS NULL AS has_stopped "
                "FROM intent_workflows WHERE id = $1",
                workflow_id,
                timeout=5,
            )
        except _LOST:
            return None
        finally:
            connection.terminate()
