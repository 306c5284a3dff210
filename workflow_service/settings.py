"""Settings of the workflow service: WORKFLOW_…, GOVERNOR_HOST, GOVERNOR_PORT and OPENROUTER_… variables."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from service_chassis.settings import DatabaseSettings, LogSettings, ServerSettings
from workflow_service.domain.routing import DEFAULT_MODELS, Route


class WorkflowSettings(ServerSettings, DatabaseSettings, LogSettings):
    """WORKFLOW_HOST, WORKFLOW_PORT, WORKFLOW_DATABASE_URL and the others, each with its default."""

    model_config = SettingsConfigDict(env_prefix="WORKFLOW_", populate_by_name=True)

    port: int = Field(default=50052, ge=0, le=65535)

    database_waiters_max: int = Field(default=2000, ge=0)
    database_acquire_timeout_seconds: float = Field(default=5.0, gt=0)
    """A thousand may race for one step, and all but one are told so: they wait for a connection, briefly."""

    governor_host: str = Field(default="127.0.0.1", validation_alias="GOVERNOR_HOST")
    governor_port: int = Field(default=50051, ge=1, le=65535, validation_alias="GOVERNOR_PORT")

    openrouter_api_key: SecretStr | None = Field(default=None, validation_alias="OPENROUTER_API_KEY")
    openrouter_base_url: str = Field(
        default="https://openrouter.ai/api/v1", validation_alias="OPENROUTER_BASE_URL"
    )

    models: tuple[str, ...] = Field(default=DEFAULT_MODELS, min_length=1, max_length=10)
    """In order of preference, as a JSON list."""
    disable_fallback: bool = False
    """Only the first model is ever asked for."""
    model_call_deadline_seconds: float = Field(default=120.0, gt=0)
    """Over the whole of one model call, whatever its server does."""

    lease_seconds: float = Field(default=300.0, gt=0, le=86400)
    """How long a lease lives without a heartbeat, where its worker names no duration."""
    lease_seconds_min: float = Field(default=120.0, gt=0)
    """The shortest that a worker may ask for."""

    publish_directory: Path = Path("published")
    webhook_secret: SecretStr = SecretStr("")
    """Signs what a webhook gets, as Standard Webhooks do; empty: nothing is signed."""
    wordpress_url: str = ""
    wordpress_user: str = ""
    wordpress_password: SecretStr = SecretStr("")
    allow_private_targets: bool = True
    """Whether articles may be sent to addresses that are not public."""

    @model_validator(mode="after")
    def _leases_outlive_calls(self) -> Self:
        if not self.model_call_deadline_seconds <= self.lease_seconds_min <= self.lease_seconds:
            raise ValueError(
                "a lease is never shorter than a model call: "
                "model_call_deadline_seconds <= lease_seconds_min <= lease_seconds"
            )
        return self

    @property
    def governor_target(self) -> str:
        return f"{self.governor_host}:{self.governor_port}"

    @property
    def route(self) -> Route:
        return Route(models=self.models, disable_fallback=self.disable_fallback)

    @property
    def lease_duration(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)

    @property
    def lease_duration_min(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds_min)
