"""Leads each delivery to its target. Credentials come from the service's settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from service_chassis.dialling import CheckedTransport
from workflow_service.clients.publishing.delivery import Delivery, Publisher, PublishFailed
from workflow_service.clients.publishing.directory import DirectoryPublisher
from workflow_service.clients.publishing.exchange import Exchanges
from workflow_service.clients.publishing.webhook import WebhookPublisher
from workflow_service.clients.publishing.wordpress import WordPressAccount, WordPressPublisher, site_of
from workflow_service.domain.workflow import PublishKind, PublishTarget


class Publishers:
    def __init__(
        self,
        directory: Path,
        *,
        transport: CheckedTransport,
        webhook_secret: str | None = None,
        wordpress_accounts: Sequence[WordPressAccount] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`webhook_secret` is what the secrets of webhooks are derived from. Owns the transport."""
        self._directory = directory
        self._webhook_secret = webhook_secret
        self._wordpress_accounts = tuple(wordpress_accounts)
        self._clock = clock
        self._exchanges = Exchanges(transport)

    async def publish(self, target: PublishTarget, delivery: Delivery) -> str:
        """As `Publisher.publish`."""
        return await self._publisher(target, delivery).publish(delivery)

    async def close(self) -> None:
        await self._exchanges.close()

    def _publisher(self, target: PublishTarget, delivery: Delivery) -> Publisher:
        match target.kind:
            case PublishKind.DIRECTORY:
                return DirectoryPublisher(self._directory, target.location)
            case PublishKind.WEBHOOK:
                return WebhookPublisher(self._exchanges, target.location, self._webhook_secret, self._clock)
            case PublishKind.WORDPRESS:
                return WordPressPublisher(self._exchanges, self._account(target.location, delivery))

    def _account(self, url: str, delivery: Delivery) -> WordPressAccount:
        """An organization's own account goes before one that is everybody's."""
        usable = [
            account
            for account in self._wordpress_accounts
            if site_of(account.url) == site_of(url) and account.is_open_to(delivery.organization_id)
        ]
        if not usable:
            raise PublishFailed("no account is set for this WordPress site", is_temporary=False)
        return min(usable, key=lambda account: account.organization_ids is None)
