"""Settings of the governor, read from GOVERNOR_… variables."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from service_chassis.settings import DatabaseSettings, LogSettings, ServerSettings


class GovernorSettings(ServerSettings, DatabaseSettings, LogSettings):
    """GOVERNOR_HOST, GOVERNOR_PORT, GOVERNOR_DATABASE_URL and the others, each with its default."""

    model_config = SettingsConfigDict(env_prefix="GOVERNOR_")

    port: int = Field(default=50051, ge=0, le=65535)
    price_list: Literal["shipped", "document"] = "shipped"
    """What an empty price book is filled with at the first start."""
