"""Settings of the workflow service, read from WORKFLOW_… and OPENROUTER_… variables."""

from __future__ import annotations

import binascii
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from service_chassis.addresses import is_loopback_host
from service_chassis.settings import (
    ApiKey,
    DatabaseSettings,
    Directory,
    HttpUrl,
    LogSettings,
    Port,
    Seconds,
    ServerSettings,
)
from workflow_service.clients.publishing.webhook import SECRET_PREFIX, secret_bytes
from workflow_service.clients.publishing.wordpress import WordPressAccount
from workflow_service.domain.routing import DEFAULT_MODELS, Route

_SCHEME_TARGET: Final = re.compile(r"(dns|ipv4|ipv6|unix|unix-abstract|vsock|xds):\S+")
_HOST_PORT_TARGET: Final = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.%]+\]):([0-9]{1,5})")
_WEBHOOK_SECRET_BYTES_MIN: Final = 24  # of Standard Webhooks


def _grpc_target(value: str) -> str:
    host_port = _HOST_PORT_TARGET.fullmatch(value)
    if not _SCHEME_TARGET.fullmatch(value) and not (host_port and 0 < int(host_port[1]) <= 65535):
        raise ValueError("must be HOST:PORT, with a port from 1 to 65535, or a gRPC target such as dns:///…")
    return value


def _json_list(value: object) -> object:
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("must be a JSON list") from None
    return value


def _distinct_models(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(value)) != len(value) or not all(value):
        raise ValueError("must name each model once")
    return value


def _webhook_secret(value: SecretStr) -> SecretStr:
    secret = value.get_secret_value()
    try:
        key = secret_bytes(secret)
    except binascii.Error:
        raise ValueError(f"must be base64 after {SECRET_PREFIX}") from None
    if secret.startswith(SECRET_PREFIX) and len(key) < _WEBHOOK_SECRET_BYTES_MIN:
        raise ValueError(f"must have at least {_WEBHOOK_SECRET_BYTES_MIN} bytes after {SECRET_PREFIX}")
    return value


class WordPressSite(BaseModel):
    """A site, an account there, and the organizations that may publish to it; left out: all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: HttpUrl
    user: str = Field(min_length=1, max_length=200)
    password: SecretStr = Field(min_length=1, max_length=1000)
    organizations: Annotated[frozenset[UUID] | None, Field(min_length=1)] = None


class WorkflowSettings(ServerSettings, DatabaseSettings, LogSettings):
    """WORKFLOW_HOST, WORKFLOW_PORT, WORKFLOW_DATABASE_URL and the others, each with its default."""

    model_config = SettingsConfigDict(env_prefix="WORKFLOW_", populate_by_name=True)

    port: Port = 50052

    calls_max: int = Field(default=2000, ge=1, le=1_000_000)
    """Callers who wait for a run cost little, and thousands may race for one step."""
    database_waiters_max: int = Field(default=2000, ge=0, le=1_000_000)
    database_acquire_timeout_seconds: Seconds = 5.0
    """A thousand callers may race for one step: losers wait briefly for a connection and are refused."""

    governor_target: Annotated[str, AfterValidator(_grpc_target)] = "127.0.0.1:50051"
    """Where the governor is dialled: HOST:PORT, or any gRPC target."""

    openrouter_api_key: ApiKey | None = Field(default=None, validation_alias="OPENROUTER_API_KEY")
    openrouter_base_url: HttpUrl = Field(
        default="https://openrouter.ai/api/v1", validation_alias="OPENROUTER_BASE_URL"
    )

    models: Annotated[
        tuple[str, ...],
        Field(min_length=1, max_length=10),
        BeforeValidator(_json_list),
        AfterValidator(_distinct_models),
    ] = DEFAULT_MODELS
    """In order of preference, as a JSON list."""
    disable_fallback: bool = False
    """Only the first model is ever asked for."""
    model_call_deadline_seconds: Seconds = 120.0
    """Over the whole of one model call, whatever its server does."""
    model_call_first_data_seconds: Seconds = 60.0
    """Until the model says something, its reasoning included."""
    model_call_silence_seconds: Seconds = 30.0
    """Until the model says more."""

    model_calls_max: int = Field(default=100, ge=1, le=10_000)
    """Model calls in flight at once. Others wait, and have no hold while they wait."""
    organization_model_calls_max: int = Field(default=20, ge=1, le=10_000)
    """The same for each organization."""
    step_model_calls_max: int = Field(default=4, ge=1, le=100)
    """The same for each ARTICLE step: articles that are written at once."""
    step_deadline_seconds: Seconds = 3600.0
    """Over all the model calls of a run of a step."""

    lease_seconds: Seconds = 30.0
    """How long a lease lives without a heartbeat, where its worker names no duration. The built-in executor
    renews its leases three times within this time."""
    lease_seconds_min: Seconds = 5.0
    """The shortest that a worker may ask for."""
    takeovers_max: int = Field(default=5, ge=0, le=1000)
    """How often a step is taken over whose lease ran out; after that it is X_FAILED."""
    step_attempts_max: int = Field(default=10, ge=1, le=1000)
    """How often a run tries a step that fails because the governor or the database cannot be reached."""

    runs_max: int = Field(default=100, ge=1, le=100_000)
    """How many steps this instance does at once. What is due beyond that waits in the table."""
    organization_runs_max: int = Field(default=50, ge=1, le=100_000)
    """How many of them for one organization."""
    poll_seconds: Seconds = 1.0
    """How often this instance looks for what is due, and for changes that its callers wait for."""

    publish_directory: Directory = Path("published")
    webhook_secret: Annotated[SecretStr, AfterValidator(_webhook_secret)] = SecretStr("")
    """`whsec_` and base64, or any other text. The secret of each organization's webhook is derived from it,
    and signs what the webhook gets, as Standard Webhooks do. Empty: nothing is signed."""
    wordpress_accounts: Annotated[tuple[WordPressSite, ...], BeforeValidator(_json_list)] = ()
    """As a JSON list of {"url", "user", "password", "organizations"}, the last a list of organization_ids."""
    wordpress_url: HttpUrl | None = None
    """One more site, which every organization may publish to."""
    wordpress_user: str = Field(default="", max_length=200)
    wordpress_password: SecretStr = Field(default=SecretStr(""), max_length=1000)
    allow_private_targets: bool | None = None
    """Whether articles may be sent to addresses that are not public. Unset: only if the service itself can be
    reached from this machine alone, so that whoever names a target could dial it, too."""

    @model_validator(mode="after")
    def _leases_last_the_shortest_time(self) -> Self:
        if self.lease_seconds_min > self.lease_seconds:
            raise ValueError("WORKFLOW_LEASE_SECONDS_MIN must be at most WORKFLOW_LEASE_SECONDS")
        return self

    @model_validator(mode="after")
    def _wordpress_has_an_account(self) -> Self:
        if self.wordpress_url and not (self.wordpress_user and self.wordpress_password.get_secret_value()):
            raise ValueError(
                "WORKFLOW_WORDPRESS_URL needs WORKFLOW_WORDPRESS_USER and WORKFLOW_WORDPRESS_PASSWORD"
            )
        return self

    @property
    def may_dial_private_targets(self) -> bool:
        if self.allow_private_targets is None:
            return is_loopback_host(self.host)
        return self.allow_private_targets

    @property
    def all_wordpress_accounts(self) -> list[WordPressAccount]:
        accounts = [
            WordPressAccount(site.url, site.user, site.password.get_secret_value(), site.organizations)
            for site in self.wordpress_accounts
        ]
        if self.wordpress_url:
            password = self.wordpress_password.get_secret_value()
            accounts.append(WordPressAccount(self.wordpress_url, self.wordpress_user, password))
        return accounts

    @property
    def route(self) -> Route:
        return Route(models=self.models, disable_fallback=self.disable_fallback)

    @property
    def lease_duration(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)

    @property
    def lease_duration_min(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds_min)
