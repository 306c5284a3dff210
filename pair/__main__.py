"""`python -m pair serve` keeps the pair up; `python -m pair run` drives one workflow through it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from governor_service.settings import GovernorSettings
from infin8.workflow.v1 import workflow_pb2
from pair.make import stopped_by_make
from pair.run import run
from pair.serve import serve
from pair.settings import PairSettings
from service_chassis.processes.child_process import ProcessEndedError
from service_chassis.settings import CommandLine, load_settings
from workflow_service.settings import WorkflowSettings

_PROFILE = Path(__file__).parent.parent / "examples" / "organization.json"


def main() -> int:
    parser = CommandLine(prog="python -m pair", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="keep the pair up until SIGINT or SIGTERM")
    running = commands.add_parser("run", help="drive one workflow from CREATED to COMPLETED and show it")
    running.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    running.add_argument(
        "--profile", type=Path, default=_PROFILE, help="a JSON file with a Profile (default: %(default)s)"
    )
    arguments = parser.parse_args()
    settings = load_settings(PairSettings)
    # The services read their settings themselves. This shows a wrong one before PostgreSQL is started.
    load_settings(GovernorSettings)
    load_settings(WorkflowSettings)
    if arguments.command == "serve":
        return asyncio.run(_until_signalled(serve(settings), status_when_stopped=0))
    try:
        profile = json_format.Parse(arguments.profile.read_text(), workflow_pb2.Profile())
    except (OSError, json_format.ParseError) as error:
        return _failed(f"{arguments.profile}: {error}")
    command = run(settings, profile, as_json=arguments.json)
    return asyncio.run(_until_signalled(command, status_when_stopped=130))


async def _until_signalled(command: Coroutine[Any, Any, int], *, status_when_stopped: int) -> int:
    """The first SIGINT or SIGTERM stops the command in order. Further signals are ignored."""
    working = asyncio.create_task(command)
    watching = asyncio.create_task(stopped_by_make())
    signalled = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled.set)
    waiting = asyncio.create_task(signalled.wait())
    await asyncio.wait([working, watching, waiting], return_when=asyncio.FIRST_COMPLETED)
    watching.cancel()
    waiting.cancel()
    if not working.done():
        working.cancel()
        await asyncio.wait([working])
    if working.cancelled():
        return status_when_stopped
    try:
        return working.result()
    except ProcessEndedError as error:
        return _failed(str(error))


def _failed(message: str) -> int:
    print(f"pair: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
