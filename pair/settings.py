"""Settings of the pair. What is set for one of its services reaches that service as it is."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class PairSettings(BaseSettings):
    """Read from variables of these names, in capitals. One that is set to nothing counts as unset."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True)

    data_dir: Path = Path(".data")
    """The embedded PostgreSQL's data is in `postgres` below it."""

    governor_database_url: SecretStr | None = None
    """Unset: a database of the embedded PostgreSQL. The same, by itself, for the workflow service."""
    workflow_database_url: SecretStr | None = None

    workflow_publish_directory: Path | None = None
    """Unset: `published` in the data directory."""

    openrouter_api_key: SecretStr | None = None
    """Unset: the local simulator answers in place of the models."""
