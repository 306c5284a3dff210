"""A site that answers as WordPress's REST API does, with the trouble that sites make.

https://developer.wordpress.org/rest-api/reference/posts/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass
class WordPress:
    """Slugs are unique. Lists have published posts, and with `status=any` those of each status."""

    renames_slugs: bool = False
    """The site makes the slug itself, as some plugins do."""
    may_list_drafts: bool = True
    """Whether the account may use `status=any` and `context=edit`."""
    status_of_posts: str = "publish"
    """What the site makes of a post that is to be published."""
    fails_after_posting: int = 0
    """This many posts are stored and still answered with a 502."""
    rival: dict[str, Any] | None = None
    """A post of a concurrent delivery, stored between the look-up and the next post."""
    link: str | None = None
    """Answered as each post's link."""
    posts: list[dict[str, Any]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.app = Starlette(
            routes=[
                Route("/blog/wp-json/wp/v2/posts", self._list),
                Route("/blog/wp-json/wp/v2/posts", self._create, methods=["POST"]),
                Route("/blog/wp-json/wp/v2/posts/{id:int}", self._delete, methods=["DELETE"]),
            ]
        )

    def store(self, document: dict[str, Any]) -> dict[str, Any]:
        """Stores a post as a request for it would."""
        post_id = 100 + len(self.posts)
        slug = f"article-{post_id}" if self.renames_slugs else str(document["slug"])
        number = 1
        while any(post["slug"] == slug for post in self.posts):
            number += 1
            slug = f"{document['slug']}-{number}"
        post = {**document, "id": post_id, "slug": slug, "status": self.status_of_posts}
        self.posts.append(post)
        return post

    async def _list(self, request: Request) -> Response:
        self.requests.append(request)
        query = request.query_params
        in_any_status = query.get("status") == "any"
        if not self.may_list_drafts and (in_any_status or query.get("context") == "edit"):
            return JSONResponse({"code": "rest_forbidden_status", "message": "Status is forbidden."}, 401)
        found = [post for post in self.posts if in_any_status or post["status"] == "publish"]
        if "slug" in query:
            found = [post for post in found if post["slug"] == query["slug"]]
        if "search" in query:
            found = [
                post for post in found if any(query["search"] in post[name] for name in ("title", "content"))
            ]
        context = query.get("context", "view")
        fields = query["_fields"].split(",")
        newest_first = sorted(found, key=lambda post: -post["id"])
        documents = [self._document(post, context) for post in newest_first][:10]
        return JSONResponse([{name: document[name] for name in fields} for document in documents])

    async def _create(self, request: Request) -> Response:
        self.requests.append(request)
        if self.rival is not None:
            self.store(self.rival)
            self.rival = None
        post = self.store(await request.json())
        if self.fails_after_posting:
            self.fails_after_posting -= 1
            return Response("Bad Gateway", 502)
        return JSONResponse(self._document(post, "edit"), 201)

    async def _delete(self, request: Request) -> Response:
        self.requests.append(request)
        assert request.query_params["force"] == "true"
        self.posts = [post for post in self.posts if post["id"] != request.path_params["id"]]
        return JSONResponse({"deleted": True})

    def _document(self, post: dict[str, Any], context: str) -> dict[str, Any]:
        texts = {
            name: {"rendered": post[name]} | ({"raw": post[name]} if context == "edit" else {})
            for name in ("title", "content", "excerpt")
        }
        return {**post, **texts, "link": self.link or f"https://blog.example/{post['slug']}/"}
