"""Settings come from the environment, under the service's own prefix."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from service_chassis.settings import DatabaseSettings, LogSettings, ServerSettings


class TinySettings(ServerSettings, DatabaseSettings, LogSettings):
    model_config = SettingsConfigDict(env_prefix="TINY_")


def test_a_service_reads_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables have the service's prefix; an empty one counts as unset; repr() hides a password."""
    monkeypatch.setenv("TINY_PORT", "50051")
    monkeypatch.setenv("TINY_HOST", "")
    monkeypatch.setenv("TINY_DATABASE_URL", "postgresql://a:hunter2@h/d")
    monkeypatch.setenv("OTHER_REFLECTION", "false")
    settings = TinySettings()
    assert (settings.port, settings.host, settings.reflection) == (50051, "127.0.0.1", True)
    assert "hunter2" not in repr(settings)


def test_nonsense_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad value is refused at the start and not at the first call."""
    monkeypatch.setenv("TINY_DATABASE_POOL_SIZE", "0")
    with pytest.raises(ValidationError):
        TinySettings()
