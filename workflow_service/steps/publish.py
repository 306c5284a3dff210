"""PUBLISH (S42): no model call; each article is delivered once, known to its receiver by a key of its own."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

_NAMESPACE: Final = UUID("b1c0a1de-27a4-5f5c-8d38-0d1c5e0c6a42")


def delivery_key(workflow_id: UUID, article_id: UUID) -> UUID:
    """The idempotency key of an article's delivery: the same in every run of the step."""
    return uuid5(_NAMESPACE, f"{workflow_id}:{article_id}")
