"""Organizations, their tiers, and freezes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from service_chassis.content_hash import content_hash

DEFAULT_TIER = "default"
TIER_LENGTH_MAX = 200
ALLOWED_MODELS_MAX = 1000


class SetOutcome(StrEnum):
    """How the database answers a change (functions/72_set_tier.sql and the two after it)."""

    SET = "SET"
    REPLAYED = "REPLAYED"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    TIER_NOT_FOUND = "TIER_NOT_FOUND"


class CostBasis(StrEnum):
    """What is charged for a call whose cost the provider reported."""

    GREATER = "GREATER"
    PROVIDER = "PROVIDER"
    RATED = "RATED"


class OrganizationField(StrEnum):
    """The fields that SetOrganization can set."""

    TIER = "tier"
    WORKFLOW_LIMIT = "workflow_limit_nano_usd"
    MONTHLY_QUOTA = "monthly_quota_nano_usd"
    COST_BASIS = "cost_basis"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRequest:
    """Who asks for a change. `content_hash` distinguishes a replay of `request_id` from its reuse."""

    author: str
    request_id: UUID | None
    content_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """An organization's tier and overrides. If an override is None, the tier's value applies.

    `create_time` None: it has never been seen. `author` and `update_time` None: nobody has changed it.
    """

    organization_id: UUID
    tier: str
    workflow_limit_nano_usd: int | None
    monthly_quota_nano_usd: int | None
    cost_basis: CostBasis | None
    create_time: datetime | None
    update_time: datetime | None
    author: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationChange:
    """New values of the `fields`. None removes one: then the default tier, or the tier's limit, applies."""

    organization_id: UUID
    fields: Sequence[OrganizationField]
    tier: str | None
    workflow_limit_nano_usd: int | None
    monthly_quota_nano_usd: int | None
    cost_basis: CostBasis | None

    @property
    def content_hash(self) -> bytes:
        """Distinguishes a replay of a `request_id` from its reuse."""
        return content_hash(
            fields="\n".join(self.fields),
            tier=self.tier or (DEFAULT_TIER if OrganizationField.TIER in self.fields else None),
            workflow_limit_nano_usd=self.workflow_limit_nano_usd,
            monthly_quota_nano_usd=self.monthly_quota_nano_usd,
            cost_basis=self.cost_basis,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TierTerms:
    """A subscription level. A limit of None is no limit. Empty `allowed_models` allow every priced model.

    Above `downgrade_threshold_percent` of the monthly limit (None: never) the cheapest candidate comes first.
    """

    tier: str
    workflow_limit_nano_usd: int | None
    monthly_quota_nano_usd: int | None
    allowed_models: tuple[str, ...]
    downgrade_threshold_percent: int | None
    subscription_price_nano_usd: int
    cost_basis: CostBasis

    @property
    def content_hash(self) -> bytes:
        """Distinguishes a replay of a `request_id` from its reuse. The order of models does not count."""
        return content_hash(
            tier=self.tier,
            workflow_limit_nano_usd=self.workflow_limit_nano_usd,
            monthly_quota_nano_usd=self.monthly_quota_nano_usd,
            allowed_models="\n".join(sorted(self.allowed_models)),
            downgrade_threshold_percent=self.downgrade_threshold_percent,
            subscription_price_nano_usd=self.subscription_price_nano_usd,
            # GREATER means the same as no basis.
            cost_basis=None if self.cost_basis is CostBasis.GREATER else self.cost_basis,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A tier's terms, and who set them and when."""

    terms: TierTerms
    update_time: datetime
    author: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeTarget:
    """An organization, a model (canonical), or, with both None, everything."""

    organization_id: UUID | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """Whether something is frozen, who said so, when and why."""

    target: FreezeTarget
    frozen: bool
    reason: str
    author: str
    update_time: datetime
