"""One POST for each article, signed as Standard Webhooks prescribe.

webhook-id is the delivery's key in every attempt and every run, so the receiver can tell repetitions. The
signature covers the body, and the body names the target and the organization. Each pair of them has a key of
its own, derived from the service's secret, so no receiver can sign for another.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from workflow_service.clients.publishing.delivery import Delivery
from workflow_service.clients.publishing.exchange import Exchanges, deliver_in_time
from workflow_service.clients.publishing.locations import location_in

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the prefix is no secret
_PURPOSE: Final = b"infin8 webhook v1"
_RECEIVER: Final = "the webhook"


def secret_bytes(secret: str) -> bytes:
    """`whsec_` and base64, as Standard Webhooks write secrets, or any other text as it is.

    Raises binascii.Error for `whsec_` and something that is no base64.
    """
    if secret.startswith(SECRET_PREFIX):
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    return secret.encode()


def target_key(secret: str, organization_id: UUID, url: str) -> bytes:
    """The key, of 32 bytes, that signs what this organization sends to this target."""
    info = b"\0".join((_PURPOSE, organization_id.bytes, url.encode()))
    return hmac.digest(secret_bytes(secret), info, hashlib.sha256)


def target_secret(secret: str, organization_id: UUID, url: str) -> str:
    """The target's key as its receiver is told it."""
    return SECRET_PREFIX + base64.b64encode(target_key(secret, organization_id, url)).decode()


class WebhookPublisher:
    """The receiver's answer counts once its status is known; its body is not read."""

    def __init__(
        self, exchanges: Exchanges, url: str, secret: str | None, clock: Callable[[], datetime]
    ) -> None:
        """Without a secret nothing is signed."""
        self._exchanges = exchanges
        self._url = url
        self._secret = secret
        self._clock = clock

    async def publish(self, delivery: Delivery) -> str:
        body = self._body(delivery)
        return await deliver_in_time(_RECEIVER, lambda: self._post(delivery, body))

    async def _post(self, delivery: Delivery, body: bytes) -> str:
        received = await self._exchanges.exchange(
            _RECEIVER,
            "POST",
            self._url,
            content=body,
            headers=self._headers(delivery, body),
            body_bytes_max=0,
        )
        secrets = (target_secret(self._secret, delivery.organization_id, self._url),) if self._secret else ()
        return location_in(received.location, self._url, secrets=secrets)

    def _body(self, delivery: Delivery) -> bytes:
        document = {
            "type": "article.published",
            "target": self._url,
            "organization_id": str(delivery.organization_id),
            "workflow_id": str(delivery.workflow_id),
            "article": delivery.article.model_dump(mode="json"),
        }
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

    def _headers(self, delivery: Delivery, body: bytes) -> dict[str, str]:
        """Those of one attempt: the timestamp is the attempt's own."""
        timestamp = str(int(self._clock().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": str(delivery.key),
            "webhook-id": str(delivery.key),
            "webhook-timestamp": timestamp,
        }
        if self._secret is not None:
            key = target_key(self._secret, delivery.organization_id, self._url)
            signed = b".".join((str(delivery.key).encode(), timestamp.encode(), body))
            signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
            headers["webhook-signature"] = f"v1,{signature}"
        return headers
