"""Entries that do not settle a hold: usage without a hold, and corrections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from governor_service.domain.ledger import LedgerEntry, idempotency_key, usage_content
from governor_service.domain.model_id import ModelId
from governor_service.domain.usage import Usage
from service_chassis.content_hash import content_hash, labels_content


class PostingOutcome(StrEnum):
    """How the database answers RecordUsage and Adjust (functions/60_record_usage.sql, 61_adjust.sql)."""

    RECORDED = "RECORDED"
    ADJUSTED = "ADJUSTED"
    UNCHANGED = "UNCHANGED"
    REPLAYED = "REPLAYED"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    OCCURRED_IN_FUTURE = "OCCURRED_IN_FUTURE"
    OCCURRED_TOO_LONG_AGO = "OCCURRED_TOO_LONG_AGO"
    MODEL_NOT_PRICED = "MODEL_NOT_PRICED"
    COST_TOO_LARGE = "COST_TOO_LARGE"
    TOTAL_TOO_LARGE = "TOTAL_TOO_LARGE"
    ENTRY_NOT_FOUND = "ENTRY_NOT_FOUND"
    ENTRY_IS_ADJUSTMENT = "ENTRY_IS_ADJUSTMENT"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRequest:
    """Usage that had no hold. `price_context` selects a variant of its price; `occurred_time` None: now."""

    organization_id: UUID
    workflow_id: UUID
    request_id: UUID
    served_model: ModelId
    price_context: Mapping[str, str]
    usage: Usage
    provider_cost_nano_usd: int | None
    labels: Mapping[str, str]
    occurred_time: datetime | None
    author: str

    @property
    def idempotency_key(self) -> UUID:
        """The id of the entry that it becomes."""
        return idempotency_key("RecordUsage", self.request_id)

    @property
    def content_hash(self) -> bytes:
        """Distinguishes a replay of `request_id` from its reuse."""
        return content_hash(
            workflow_id=self.workflow_id,
            served_model=self.served_model.general_name,
            usage=usage_content(self.usage),
            provider_cost_nano_usd=self.provider_cost_nano_usd,
            labels=labels_content(self.labels),
            occurred_time=self.occurred_time,
            price_context=labels_content(self.price_context),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustRequest:
    """What an entry should have cost, its adjustments included: a target, not a difference."""

    organization_id: UUID
    request_id: UUID
    entry_id: UUID
    corrected_cost_nano_usd: int
    reason: str
    author: str

    @property
    def idempotency_key(self) -> UUID:
        """The id of the adjustment that it becomes."""
        return idempotency_key("Adjust", self.request_id)

    @property
    def content_hash(self) -> bytes:
        """Distinguishes a replay of `request_id` from its reuse."""
        return content_hash(
            entry_id=self.entry_id,
            corrected_cost_nano_usd=self.corrected_cost_nano_usd,
            reason=self.reason,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PostingAnswer:
    """The database's answer, with the entry where there is one."""

    outcome: PostingOutcome
    entry: LedgerEntry | None
