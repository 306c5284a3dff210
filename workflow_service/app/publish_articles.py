"""The work of PUBLISH: delivers a step's articles one after the other, and remembers which are delivered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from workflow_service.app.step_failed import StepFailed
from workflow_service.clients.publishing.delivery import Delivery, PublishFailed
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.steps import Publication, PublishInput, PublishResult
from workflow_service.domain.workflow import Lease, PublishTarget
from workflow_service.steps.publish import delivery_key
from workflow_service.store.deliveries import Deliveries

Deliver = Callable[[PublishTarget, Delivery], Awaitable[str]]
"""Returns the article's location. Raises PublishFailed."""


class Publishing:
    def __init__(self, deliveries: Deliveries, deliver: Deliver) -> None:
        self._deliveries = deliveries
        self._deliver = deliver

    async def publish(self, lease: Lease, step_input: PublishInput) -> PublishResult:
        """A delivery is recorded as soon as it is made, so another run goes on with the rest.

        A run that was killed in between repeats that one delivery, with the same key. Raises StepFailed.
        """
        ids = (lease.organization_id, lease.workflow_id)
        locations = await self._deliveries.of_workflow(*ids)
        for article in step_input.articles:
            if article.article_id in locations:
                continue
            key = delivery_key(lease.workflow_id, article.article_id)
            try:
                location = await self._deliver(lease.workflow.publish_target, Delivery(*ids, key, article))
            except PublishFailed as failed:
                reason = ErrorClass.PUBLISH_FAILED.value
                raise StepFailed(ErrorClass.PUBLISH_FAILED, reason, str(failed)) from None
            locations[article.article_id] = location
            await self._deliveries.insert(*ids, article.article_id, location)
        return PublishResult(
            publications=tuple(
                Publication(article_id=article.article_id, location=locations[article.article_id])
                for article in step_input.articles
            )
        )
