"""A wrong setting ends a process with status 2 and one line that names the variable and not its value."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from governor_service.price_lists.__main__ import PriceListSettings
from governor_service.settings import GovernorSettings
from pair.settings import PairSettings
from service_chassis.settings import load_settings
from workflow_service.settings import WorkflowSettings

SECRET = "hunter2-hunter2"
FILE = __file__

WRONG = {
    "database_url": [f"mysql://user:{SECRET}@host/db", SECRET],
    "database_pool_size": ["0", "many"],
    "database_waiters_max": ["-1"],
    "database_acquire_timeout_seconds": ["0", "nan", "inf", "1e300"],
    "database_connect_timeout_seconds": ["0"],
    "database_statement_timeout_seconds": ["0", "5s"],
    "database_lock_timeout_seconds": ["0"],
    "database_idle_in_transaction_timeout_seconds": ["0"],
    "database_statement_cache_size": ["-1"],
    "host": ["local host", "http://127.0.0.1"],
    "port": ["70000", "-1", "http"],
    "shares_port": ["perhaps"],
    "calls_max": ["0"],
    "call_bytes_max": ["1"],
    "reflection": ["perhaps"],
    "grace_seconds": ["-1", "inf"],
    "minimum_deadline_seconds": ["-1"],
    "log_level": ["LOUD"],
    "log_format": ["yaml"],
    # the governor's
    "batch_scope": ["table"],
    "batch_lanes": ["0"],
    "batch_items_max": ["0"],
    "batch_waiters_max": ["0"],
    "batch_organization_waiters_max": ["0"],
    "batch_locked_waiters_max": ["0"],
    "batch_locked_organizations_max": ["0"],
    "hold_retention_seconds": ["-1", "1e300"],
    "sweep_interval_seconds": ["0"],
    "unknown_organizations": ["perhaps"],
    "price_list": ["mine"],
    # the workflow service's
    "governor_target": ["127.0.0.1:0", "127.0.0.1", "127.0.0.1:70000", ":50051", "http://127.0.0.1:50051"],
    "openrouter_api_key": [f"{SECRET}\n", f"{SECRET}ü"],
    "openrouter_base_url": ["openrouter.ai/api/v1", "ftp://openrouter.ai", "https://", "https://host:port/"],
    "models": ["perplexity/sonar", "[]", "[1]", '["a/b", "a/b"]', '[""]'],
    "disable_fallback": ["perhaps"],
    "model_call_deadline_seconds": ["0"],
    "model_call_first_data_seconds": ["0"],
    "model_call_silence_seconds": ["0"],
    "model_calls_max": ["0"],
    "organization_model_calls_max": ["0", "some"],
    "step_model_calls_max": ["0"],
    "step_deadline_seconds": ["0"],
    "lease_seconds": ["0", "1e9"],
    "lease_seconds_min": ["0"],
    "takeovers_max": ["-1"],
    "step_attempts_max": ["0"],
    "runs_max": ["0"],
    "organization_runs_max": ["0"],
    "poll_seconds": ["0"],
    "publish_directory": [FILE],
    "webhook_secret": [f"whsec_{SECRET}!", "whsec_", "whsec_aHVudGVyMg=="],
    "wordpress_accounts": [
        SECRET,
        f'[{{"url": "https://blog.example", "password": "{SECRET}"}}]',
        f'[{{"url": "blog.example", "user": "u", "password": "{SECRET}"}}]',
        f'[{{"url": "https://blog.example", "user": "u", "password": "p", "organizations": ["{SECRET}"]}}]',
        '[{"url": "https://blog.example", "user": "u", "password": "p", "organizations": []}]',
    ],
    "wordpress_url": ["blog.example"],
    "wordpress_user": ["u" * 201],
    "wordpress_password": [SECRET * 100],
    "allow_private_targets": ["perhaps"],
    # the pair's
    "data_dir": [FILE],
    "governor_database_url": [SECRET],
    "workflow_database_url": [SECRET],
    "workflow_publish_directory": [FILE],
}
KINDS: list[type[BaseSettings]] = [GovernorSettings, WorkflowSettings, PairSettings, PriceListSettings]


def variable_of(kind: type[BaseSettings], field: str) -> str:
    if field.startswith("openrouter_"):
        return field.upper()
    return f"{kind.model_config.get('env_prefix', '')}{field}".upper()


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        pytest.param(kind, field, value, id=f"{kind.__name__}-{field}-{value[:20]}")
        for kind in KINDS
        for field in kind.model_fields
        for value in WRONG[field]
    ],
)
def test_each_field_of_each_settings_class(
    kind: type[BaseSettings],
    field: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong value gives one line; a field without an entry in the table fails the collection."""
    variable = variable_of(kind, field)
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        load_settings(kind)
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err.startswith(f"{variable}: ")
    assert said.err.count("\n") == 1
    assert SECRET not in said.err


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"WORKFLOW_LEASE_SECONDS": "4"}, ["WORKFLOW_LEASE_SECONDS", "WORKFLOW_LEASE_SECONDS_MIN"]),
        ({"WORKFLOW_WORDPRESS_URL": "https://blog.example"}, ["WORKFLOW_WORDPRESS_USER"]),
        ({"WORKFLOW_PORT": "x", "WORKFLOW_LOG_LEVEL": "x"}, ["WORKFLOW_PORT", "WORKFLOW_LOG_LEVEL"]),
    ],
)
def test_settings_that_do_not_go_together(
    variables: dict[str, str],
    named: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The line names every variable of the conflict."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        load_settings(WorkflowSettings)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert all(name in said for name in named)


@pytest.mark.parametrize(
    "target", ["governor:50051", "[::1]:50051", "dns:///governor.example:50051", "unix:/a"]
)
def test_targets_of_the_governor(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the workflow service's own target is used; GOVERNOR_HOST and GOVERNOR_PORT have no effect here."""
    monkeypatch.setenv("WORKFLOW_GOVERNOR_TARGET", target)
    monkeypatch.setenv("GOVERNOR_HOST", "elsewhere.example")
    monkeypatch.setenv("GOVERNOR_PORT", "0")
    assert load_settings(WorkflowSettings).governor_target == target


UNREACHABLE = f"postgresql://user:{SECRET}@127.0.0.1:1/db"


@pytest.mark.parametrize(
    ("command", "variables", "named"),
    [
        ("governor_service", {}, "GOVERNOR_DATABASE_URL"),
        ("governor_service", {"GOVERNOR_PORT": "-1"}, "GOVERNOR_PORT"),
        ("governor_service", {"GOVERNOR_DATABASE_URL": UNREACHABLE}, "GOVERNOR_DATABASE_URL"),
        ("governor_service", {"GOVERNOR_HOST": "192.0.2.1"}, "GOVERNOR_HOST"),
        ("governor_service --workers x", {}, "--workers"),
        ("governor_service.price_lists import genai-prices", {}, "GOVERNOR_DATABASE_URL"),
        (
            "governor_service.price_lists import genai-prices",
            {"GOVERNOR_DATABASE_URL": UNREACHABLE},
            "GOVERNOR_DATABASE_URL",
        ),
        ("workflow_service", {"WORKFLOW_GOVERNOR_TARGET": "127.0.0.1:0"}, "WORKFLOW_GOVERNOR_TARGET"),
        ("workflow_service", {"WORKFLOW_DATABASE_URL": UNREACHABLE}, "WORKFLOW_DATABASE_URL"),
        ("workflow_service", {}, "WORKFLOW_DATABASE_URL"),
        ("pair serve", {"DATA_DIR": FILE}, "DATA_DIR"),
        ("pair serve", {"WORKFLOW_GOVERNOR_TARGET": "x"}, "WORKFLOW_GOVERNOR_TARGET"),
        ("pair run", {"GOVERNOR_LOG_LEVEL": "LOUD"}, "GOVERNOR_LOG_LEVEL"),
        ("workflow_service.simulator --port 70000", {}, "--port"),
        ("workflow_service.simulator --host 192.0.2.1", {}, "--host"),
    ],
)
def test_each_process(command: str, variables: dict[str, str], named: str, tmp_path: Path) -> None:
    """The process ends before it starts anything, without a traceback."""
    ended = run(command, variables, tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert named in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert SECRET not in ended.stderr


@pytest.mark.parametrize(
    ("command", "variable"),
    [("governor_service", "GOVERNOR_PORT"), ("workflow_service", "WORKFLOW_PORT")],
)
def test_a_port_that_is_taken(command: str, variable: str, tmp_path: Path) -> None:
    """The line says that the port is taken, and gRPC's own log lines are not printed."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = run(command, {variable: str(taken.getsockname()[1])}, tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert variable in ended.stderr
    assert "Address already in use" in ended.stderr


def run(command: str, variables: dict[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    # Free ports where the variables name none: other processes may use the default ones.
    ports = {"GOVERNOR_PORT": "0", "WORKFLOW_PORT": "0"}
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)} | ports | variables
    return subprocess.run(
        [sys.executable, "-m", *command.split()],
        env=environment,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
