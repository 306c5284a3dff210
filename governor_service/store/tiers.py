"""Tiers in the database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from governor_service.domain.organizations import ChangeRequest, CostBasis, SetOutcome, Tier, TierTerms
from service_chassis.postgres.database import Connection
from service_chassis.postgres.queries import load_queries

QUERIES = load_queries(__package__, "tiers.sql")


async def list_tiers(connection: Connection, *, after_tier: str, limit: int) -> list[Tier]:
    """At most `limit` tiers after a name, by name."""
    rows = await connection.fetch(QUERIES["list_tiers"], after_tier, limit)
    return [_tier(row["tier"]) for row in rows]


async def set_tier(
    connection: Connection, terms: TierTerms, request: ChangeRequest
) -> tuple[SetOutcome, Tier | None]:
    """The tier as the request set it, even if it has changed since; None if the request was refused."""
    row = await connection.fetchrow(
        QUERIES["set_tier"],
        request.request_id,
        request.content_hash,
        terms.tier,
        terms.workflow_limit_nano_usd,
        terms.monthly_quota_nano_usd,
        terms.allowed_models,
        terms.downgrade_threshold_percent,
        terms.subscription_price_nano_usd,
        terms.cost_basis.value,
        request.author,
    )
    assert row is not None
    return SetOutcome(row["outcome"]), _tier(row["answer"]) if row["answer"] else None


def _tier(row: Mapping[str, Any]) -> Tier:
    return Tier(
        terms=TierTerms(
            tier=row["tier"],
            workflow_limit_nano_usd=row["workflow_limit_nano_usd"],
            monthly_quota_nano_usd=row["monthly_quota_nano_usd"],
            allowed_models=tuple(row["allowed_models"]),
            downgrade_threshold_percent=row["downgrade_threshold_percent"],
            subscription_price_nano_usd=row["subscription_price_nano_usd"],
            # An answer that was stored before there was a choice.
            cost_basis=CostBasis(row.get("cost_basis", CostBasis.GREATER)),
        ),
        update_time=datetime.fromisoformat(row["update_time"]),
        author=row["author"],
    )
