"""Settings bases. A service combines them under a prefix of its own:

    class GovernorSettings(ServerSettings, DatabaseSettings, LogSettings):
        model_config = SettingsConfigDict(env_prefix="GOVERNOR_")

so that `port` is read from GOVERNOR_PORT and `database_pool_size` from GOVERNOR_DATABASE_POOL_SIZE.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class _Settings(BaseSettings):
    # A variable that is set to nothing counts as unset: compose files and CI write them so.
    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True)


class DatabaseSettings(_Settings):
    """Every wait on the database has a bound."""

    database_url: SecretStr | None = None
    """Unset: the embedded PostgreSQL."""

    database_pool_size: int = Field(default=10, ge=1, le=1000)
    database_waiters_max: int = Field(default=200, ge=0)
    """How many may wait for a connection; who comes after them is OVERLOADED at once."""
    database_acquire_timeout_seconds: float = Field(default=2.0, gt=0)
    database_connect_timeout_seconds: float = Field(default=5.0, gt=0)
    database_statement_timeout_seconds: float = Field(default=5.0, gt=0)
    """The server ends a longer statement. The client waits one second more, then gives the connection up."""
    database_lock_timeout_seconds: float = Field(default=3.0, gt=0)
    database_idle_in_transaction_timeout_seconds: float = Field(default=10.0, gt=0)
    database_statement_cache_size: int = Field(default=256, ge=0)
    """0 behind PgBouncer in transaction mode, which cannot hold prepared statements."""


class ServerSettings(_Settings):
    """Where a service listens and how it ends. `port` 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    shares_port: bool = False
    """Set for worker processes by their parent."""
    reflection: bool = True
    grace_seconds: float = Field(default=10.0, ge=0)
    """How long a stop waits for the calls that are running."""
    minimum_deadline_seconds: float = Field(default=0.01, ge=0)
    """A call with less time left than this is DEADLINE_TOO_SHORT before anything is done."""


class LogSettings(_Settings):
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"
