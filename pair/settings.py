"""Settings of the pair. Each service reads its own settings from the same environment."""

from __future__ import annotations

from pathlib import Path

from service_chassis.settings import ApiKey, Directory, PostgresUrl, Settings


class PairSettings(Settings):
    """Read from variables of these names, in capitals."""

    data_dir: Directory = Path(".data")
    """The embedded PostgreSQL's data is in `postgres` below it."""

    governor_database_url: PostgresUrl | None = None
    """Unset: a database of the embedded PostgreSQL."""
    workflow_database_url: PostgresUrl | None = None

    workflow_publish_directory: Directory | None = None
    """Unset: `published` in the data directory."""

    openrouter_api_key: ApiKey | None = None
    """Unset: the local simulator answers in place of the models."""
