"""An article to deliver, ways to deliver it, and a server for web applications."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import stamina
import uvicorn
from starlette.applications import Starlette

from service_chassis.dialling import CheckedTransport
from workflow_service.clients.publishing.delivery import Delivery
from workflow_service.clients.publishing.publishers import Publishers
from workflow_service.domain.steps import Article
from workflow_service.domain.workflow import PublishTarget

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
ORGANIZATION = UUID("2f6f7a0e-51b0-4a43-8a36-0f8a5f8b1c01")
OTHER_ORGANIZATION = UUID("2f6f7a0e-51b0-4a43-8a36-0f8a5f8b1c02")
WORKFLOW = UUID("7a0f8bd6-14d7-4b10-9a3c-6d1f0c5f9a11")
KEY = UUID("0c8d1b0e-8c3e-5a55-b0a0-0c41b4a5d3e2")
ARTICLE = Article(
    article_id=UUID("b3f0c1d2-0000-5000-8000-00000000000a"),
    cluster_id=UUID("b3f0c1d2-0000-5000-8000-00000000000b"),
    title='A "practical" guide: ärzte',
    slug="practical-guide",
    meta_description="What to look at: first.",
    body_markdown="## Heading\n\nSome *text*.\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1))",
)
DELIVERY = Delivery(ORGANIZATION, WORKFLOW, KEY, ARTICLE)
SLUG = "practical-guide-b3f0c1d20000"
ATTEMPTS = 4


@pytest.fixture
def no_waits() -> Iterator[None]:
    """Attempts follow one another at once, as many as there would be."""
    with stamina.set_testing(True, attempts=ATTEMPTS, cap=True):
        yield


async def deliver(
    target: PublishTarget,
    delivery: Delivery = DELIVERY,
    *,
    directory: Path = Path("unused"),
    allow_private: bool = True,
    transport: CheckedTransport | None = None,
    **settings: Any,
) -> str:
    """Delivers with publishers of its own, as another instance or a later run would."""
    transport = transport or CheckedTransport(allow_private=allow_private)
    publishers = Publishers(directory, transport=transport, clock=lambda: NOW, **settings)
    try:
        return await publishers.publish(target, delivery)
    finally:
        await publishers.close()


@asynccontextmanager
async def hosting(app: Starlette) -> AsyncIterator[str]:
    """Serves `app` on a socket and yields its origin."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, log_level="critical"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
