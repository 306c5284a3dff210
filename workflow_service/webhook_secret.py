"""Prints the secret of an organization's webhook: `python -m workflow_service.webhook_secret`.

It is derived from WORKFLOW_WEBHOOK_SECRET, so it is the same on every instance, and nothing stores it.
"""

from __future__ import annotations

from uuid import UUID

from service_chassis.settings import CommandLine, load_settings, refuse_setting
from workflow_service.clients.publishing.webhook import target_secret
from workflow_service.settings import WorkflowSettings


def main() -> None:
    command_line = CommandLine(prog="python -m workflow_service.webhook_secret", description=__doc__)
    command_line.add_argument("organization_id", type=UUID)
    command_line.add_argument("url", help="the webhook's URL, exactly as workflows name it")
    arguments = command_line.parse_args()
    secret = load_settings(WorkflowSettings).webhook_secret.get_secret_value()
    if not secret:
        refuse_setting("WORKFLOW_WEBHOOK_SECRET", "is not set, so nothing is signed")
    print(target_secret(secret, arguments.organization_id, arguments.url))


if __name__ == "__main__":
    main()
