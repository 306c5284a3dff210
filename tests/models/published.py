"""An article to deliver, and a site that stores posts as WordPress does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from workflow_service.domain.steps import Article

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
SLUG = "practical-guide-b3f0c1d20000"


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


class WordPress:
    """Posts with unique slugs: a used slug gets `-2`, `-3`, … as in WordPress."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str]] = []
        """Method and Authorization header of each request."""
        self.fails_after_posting = 0
        """This many posts are stored and still answered with a 502."""
        self.rival: dict[str, Any] | None = None
        """A post of another client, made between the look-up and the next post."""
        self.app = Starlette(
            routes=[
                Route("/blog/wp-json/wp/v2/posts", self._list),
                Route("/blog/wp-json/wp/v2/posts", self._create, methods=["POST"]),
                Route("/blog/wp-json/wp/v2/posts/{id:int}", self._delete, methods=["DELETE"]),
            ]
        )

    async def _list(self, request: Request) -> Response:
        self._note(request)
        assert request.query_params["status"] == "any"
        slug = request.query_params["slug"]
        return JSONResponse([post for post in self.posts if post["slug"] == slug])

    async def _create(self, request: Request) -> Response:
        self._note(request)
        if self.rival is not None:
            self.posts.append(self.rival)
            self.rival = None
        document = await request.json()
        slug, number = document["slug"], 1
        while any(post["slug"] == slug for post in self.posts):
            number += 1
            slug = f"{document['slug']}-{number}"
        post = {
            **document,
            "id": len(self.posts) + 100,
            "slug": slug,
            "link": f"https://blog.example/{slug}/",
        }
        self.posts.append(post)
        if self.fails_after_posting:
            self.fails_after_posting -= 1
            return Response("Bad Gateway", 502)
        return JSONResponse(post, 201)

    async def _delete(self, request: Request) -> Response:
        self._note(request)
        self.posts = [post for post in self.posts if post["id"] != request.path_params["id"]]
        return JSONResponse({"deleted": True})

    def _note(self, request: Request) -> None:
        self.requests.append((request.method, request.headers.get("authorization", "")))
