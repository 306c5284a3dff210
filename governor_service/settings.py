"""Settings of the governor, read from GOVERNOR_… variables."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from service_chassis.settings import DatabaseSettings, LogSettings, Port, Seconds, ServerSettings, Settings

_YEAR_SECONDS = 366 * 86_400


class BatchSettings(Settings):
    """How authorizations and settlements are committed together."""

    batch_scope: Literal["database", "organization"] = "database"
    """`organization` cuts batches by organization, so that each transaction stays on one shard of Citus."""
    batch_lanes: int = Field(default=1, ge=1, le=100)
    """How many batches of both kinds may be in flight at once; in addition, the same number of large ones."""
    batch_items_max: int = Field(default=1_000, ge=1, le=10_000)
    batch_waiters_max: int = Field(default=4_000, ge=1, le=1_000_000)
    """How many items of each kind may wait for a batch; further calls fail immediately with OVERLOADED."""
    batch_organization_waiters_max: int = Field(default=2_000, ge=1, le=1_000_000)
    """How many of these may belong to one organization, so that there is room for others."""
    batch_locked_waiters_max: int = Field(default=200, ge=1, le=1_000_000)
    """How many items of each kind may wait for an organization that another session keeps locked."""
    batch_locked_organizations_max: int = Field(default=3, ge=1, le=100)
    """How many locked organizations may be waited for at once. Each takes a connection of the pool."""


class GovernorSettings(ServerSettings, DatabaseSettings, BatchSettings, LogSettings):
    """GOVERNOR_HOST, GOVERNOR_PORT, GOVERNOR_DATABASE_URL and the others, each with its default."""

    model_config = SettingsConfigDict(env_prefix="GOVERNOR_")

    port: Port = 50051
    hold_retention_seconds: float = Field(default=86_400, ge=0, le=_YEAR_SECONDS)
    """How long a hold stays in SUSPENSE after its expire_time, before it is released or charged."""
    sweep_interval_seconds: Seconds = 30
    unknown_organizations: Literal["default", "deny"] = "default"
    """Whether an organization that nobody has set up gets the default tier or ORGANIZATION_UNKNOWN."""
    price_list: Literal["shipped", "document"] = "shipped"
    """What an empty price book is filled with at the first start."""

    @property
    def denies_unknown_organizations(self) -> bool:
        return self.unknown_organizations == "deny"
