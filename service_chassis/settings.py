"""The base classes of settings, and how a process reads them. A service combines them under its own prefix:

    class GovernorSettings(ServerSettings, DatabaseSettings, LogSettings):
        model_config = SettingsConfigDict(env_prefix="GOVERNOR_")

    settings = load_settings(GovernorSettings)

Then `port` is read from GOVERNOR_PORT, and `database_pool_size` from GOVERNOR_DATABASE_POOL_SIZE. A wrong
setting ends the process with exit status 2 and one line on stderr. The line names the variable, but does not
show its value, which may be a secret.
"""

from __future__ import annotations

import re
import socket
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal, NoReturn, TypeVar
from urllib.parse import urlsplit

import asyncpg
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

S = TypeVar("S", bound=BaseSettings)

EXIT_STATUS: Final = 2
SECONDS_MAX: Final = 86_400.0
_HOST: Final = re.compile(r"[A-Za-z0-9_.:%-]{1,255}")


def load_settings(kind: type[S]) -> S:
    """Reads the settings from the environment; ends the process if one of them is wrong."""
    try:
        return kind()
    except ValidationError as error:
        problems = [
            f"{_variable(kind, detail['loc'])}{detail['msg'].removeprefix('Value error, ')}"
            for detail in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        _end("; ".join(problems))


def refuse_setting(variable: str, problem: str) -> NoReturn:
    """Ends the process because a setting proved wrong, or missing, when it was used."""
    _end(f"{variable}: {problem}")


@contextmanager
def database_of(variable: str) -> Iterator[None]:
    """Wraps a process's first connection: a failure ends the process with a line that names `variable`."""
    try:
        yield
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        refuse_setting(variable, str(error))
    except asyncpg.ClientConfigurationError:
        refuse_setting(variable, "is not a URL postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    except (TimeoutError, OSError, asyncpg.PostgresConnectionError) as error:
        problem = getattr(error, "strerror", None) or type(error).__name__
        refuse_setting(variable, f"the database cannot be reached: {problem}")


def require_free_address(variables: str, host: str, port: int) -> None:
    """Ends the process if the address cannot be listened on. gRPC would only write its own log line."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        refuse_setting(variables, f"cannot listen on {host}:{port}: {error.strerror}")


class CommandLine(ArgumentParser):
    """Wrong arguments end the process as wrong settings do: with one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        _end(message)


def _end(line: str) -> NoReturn:
    print(" ".join(line.split()), file=sys.stderr, flush=True)
    sys.exit(EXIT_STATUS)


def _variable(kind: type[BaseSettings], place: tuple[int | str, ...]) -> str:
    """The variable that a setting is read from, as a prefix; "" if the problem concerns several settings."""
    if not place:
        return ""
    name = str(place[0])
    field = kind.model_fields.get(name)
    alias = field.validation_alias if field is not None else name
    if isinstance(alias, str):
        return f"{alias}: "
    return f"{kind.model_config.get('env_prefix', '')}{name}".upper() + ": "


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("must be a host name or an IP address")
    return value


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_url = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        is_url = False
    if not is_url or not value.isprintable() or " " in value:
        raise ValueError("must be an http:// or https:// URL")
    return value


def _postgres_url(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("must be a URL postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    return value


def _header_value(value: SecretStr) -> SecretStr:
    secret = value.get_secret_value()
    if not (secret.isascii() and secret.isprintable() and secret == secret.strip()):
        raise ValueError("has characters that an HTTP header cannot carry")
    return value


def _directory(value: Path) -> Path:
    if value.exists() and not value.is_dir():
        raise ValueError("must be a directory, or not exist yet")
    return value


Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, Field(ge=0, le=65535)]
"""0: a free port is chosen."""
Seconds = Annotated[float, Field(gt=0, le=SECONDS_MAX)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]
ApiKey = Annotated[SecretStr, AfterValidator(_header_value)]
Directory = Annotated[Path, AfterValidator(_directory)]


class Settings(BaseSettings):
    """The base of all settings. A variable that is set to the empty string counts as unset."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True,
        frozen=True,
        # Each list field parses its own text, so that an error names the variable.
        enable_decoding=False,
    )


class DatabaseSettings(Settings):
    """Every wait on the database has a bound."""

    database_url: PostgresUrl | None = None
    """Unset: the embedded PostgreSQL."""

    database_pool_size: int = Field(default=10, ge=1, le=1000)
    database_waiters_max: int = Field(default=200, ge=0, le=1_000_000)
    """How many may wait for a connection; further calls fail immediately with OVERLOADED."""
    database_acquire_timeout_seconds: Seconds = 2.0
    database_connect_timeout_seconds: Seconds = 5.0
    database_statement_timeout_seconds: Seconds = 5.0
    """PostgreSQL cancels a longer statement. The client waits one second more, then drops the connection."""
    database_lock_timeout_seconds: Seconds = 3.0
    database_idle_in_transaction_timeout_seconds: Seconds = 10.0
    database_statement_cache_size: int = Field(default=256, ge=0, le=100_000)
    """Set it to 0 behind PgBouncer in transaction mode, which cannot keep prepared statements."""


class ServerSettings(Settings):
    """Where a service listens, how much it serves at once, and how it stops."""

    host: Host = "127.0.0.1"
    port: Port = 0
    shares_port: bool = False
    """Set for worker processes by their parent."""
    reflection: bool = True
    grace_seconds: float = Field(default=10.0, ge=0, le=SECONDS_MAX)
    """How long a stopping service waits for the calls that are running."""
    calls_max: int = Field(default=1000, ge=1, le=1_000_000)
    """How many calls a process serves at once. Further calls fail immediately with OVERLOADED. Health checks
    do not count, and are never refused."""
    call_bytes_max: int = Field(default=64 * 1024 * 1024, ge=4 * 1024 * 1024)
    """How many bytes the requests of these calls may have together. Further calls fail with OVERLOADED."""
    minimum_deadline_seconds: float = Field(default=0.01, ge=0, le=SECONDS_MAX)
    """A call with less time left than this fails immediately with DEADLINE_TOO_SHORT."""


class LogSettings(Settings):
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"
