"""What publishers are given, and how they fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from workflow_service.domain.steps import Article


@dataclass(frozen=True)
class Delivery:
    """An article on its way. `key` is the same in every run of the step, and no other delivery has it."""

    organization_id: UUID
    workflow_id: UUID
    key: UUID
    article: Article


class PublishFailed(Exception):  # noqa: N818 - an outcome that callers match on, not a bug
    """An article was not delivered, or perhaps not. The text is for people.

    The text has no secrets, and of what the receiver answered it has the class of the status at most.
    `is_temporary`: the same delivery may succeed later.
    """

    def __init__(self, message: str, *, is_temporary: bool) -> None:
        super().__init__(message)
        self.is_temporary = is_temporary


class Publisher(Protocol):
    async def publish(self, delivery: Delivery) -> str:
        """Delivers the article unless it was delivered before. Returns its location. Raises PublishFailed."""
        ...
