"""Settings say which secrets go where, and whether private targets are dialled."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from service_chassis.settings import load_settings
from tests.models.published import ORGANIZATION, OTHER_ORGANIZATION
from workflow_service.clients.publishing.webhook import target_secret
from workflow_service.settings import WorkflowSettings

SECRET = "a secret of the service's own"


@pytest.mark.parametrize(
    ("variables", "allowed"),
    [
        ({}, True),
        ({"WORKFLOW_HOST": "::1"}, True),
        ({"WORKFLOW_HOST": "localhost"}, True),
        ({"WORKFLOW_HOST": "0.0.0.0"}, False),  # noqa: S104 - where a service listens
        ({"WORKFLOW_HOST": "::"}, False),
        ({"WORKFLOW_HOST": "10.0.0.7"}, False),
        ({"WORKFLOW_HOST": "workflow.example"}, False),
        ({"WORKFLOW_HOST": "10.0.0.7", "WORKFLOW_ALLOW_PRIVATE_TARGETS": "true"}, True),
        ({"WORKFLOW_ALLOW_PRIVATE_TARGETS": "false"}, False),
        ({"WORKFLOW_ALLOW_PRIVATE_TARGETS": ""}, True),
    ],
)
def test_private_targets(variables: dict[str, str], allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Private targets are dialled only by a service on loopback, unless the setting says otherwise."""
    monkeypatch.delenv("WORKFLOW_HOST", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert load_settings(WorkflowSettings).may_dial_private_targets == allowed


def test_wordpress_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account is of the organizations that it names; one that names none is everybody's."""
    own = {"url": "https://a.example", "user": "u", "password": "p", "organizations": [str(ORGANIZATION)]}
    shared = {"url": "https://b.example", "user": "v", "password": "q"}
    monkeypatch.setenv("WORKFLOW_WORDPRESS_ACCOUNTS", json.dumps([own, shared]))
    monkeypatch.setenv("WORKFLOW_WORDPRESS_URL", "https://c.example")
    monkeypatch.setenv("WORKFLOW_WORDPRESS_USER", "w")
    monkeypatch.setenv("WORKFLOW_WORDPRESS_PASSWORD", "r")
    settings = load_settings(WorkflowSettings)
    accounts = {account.url: account for account in settings.all_wordpress_accounts}
    assert [account.password for account in accounts.values()] == ["p", "q", "r"]
    for organization_id, is_own in ((ORGANIZATION, True), (OTHER_ORGANIZATION, False)):
        assert accounts["https://a.example"].is_open_to(organization_id) == is_own
        assert accounts["https://b.example"].is_open_to(organization_id)
        assert accounts["https://c.example"].is_open_to(organization_id)
    assert "p'" not in repr(settings)


def test_the_command_that_prints_a_webhooks_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints what the service signs with; without the service's secret, one line says so."""
    url = "https://acme.example/hook"
    command = [sys.executable, "-m", "workflow_service.webhook_secret", str(ORGANIZATION), url]
    monkeypatch.setenv("WORKFLOW_WEBHOOK_SECRET", SECRET)
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed == target_secret(SECRET, ORGANIZATION, url) + "\n"
    monkeypatch.delenv("WORKFLOW_WEBHOOK_SECRET")
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("WORKFLOW_WEBHOOK_SECRET: ")
    assert ended.stderr.count("\n") == 1
