"""However the pair ends, no process remains, and the next pair finds everything that was acknowledged."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import grpc
import pytest

from infin8.governor.v1 import budget_pb2
from infin8.workflow.v1 import workflow_pb2
from tests.acceptance.clients import client_of
from tests.acceptance.served_pair import END_SECONDS, ServedPair, eventually, served_pair

# `-o`: make does not reinstall the environment that runs the tests.
_MAKE = ("make", "-o", ".venv/.installed", "serve")
_PYTHON = (sys.executable, "-m", "pair", "serve")

_LIVE_AT_LEAST = 5  # the pair, PostgreSQL's owner and server, simulator, governor, workflow service


@pytest.mark.parametrize(
    ("command", "number", "status"),
    [
        (_PYTHON, signal.SIGTERM, 0),
        (_PYTHON, signal.SIGINT, 0),
        (_PYTHON, signal.SIGKILL, -signal.SIGKILL),
        (_MAKE, signal.SIGTERM, -signal.SIGTERM),
        (_MAKE, signal.SIGINT, -signal.SIGINT),
    ],
    ids=["TERM", "INT", "KILL", "make-TERM", "make-INT"],
)
def test_a_second_serve_finds_everything(
    scratch_dir: Path, command: tuple[str, ...], number: signal.Signals, status: int
) -> None:
    """After the signal no process remains, and the next pair has the same workflow, ledger and budget."""
    data_dir = scratch_dir / f"ends-{command[0].rpartition('/')[2]}-{number.name}"
    with served_pair(data_dir, command, preexec_fn=_catch_sigint) as pair:
        assert len(pair.processes()) >= _LIVE_AT_LEAST
        client = client_of(pair)
        workflow = client.run(client.create())
        entries, budget = client.entries(workflow.workflow_id), client.workflow_budget(workflow.workflow_id)
        assert entries
        pair.signal(number)
        assert pair.wait_until_gone() == status

    with served_pair(data_dir) as pair:
        again = client_of(pair, client.organization_id)
        assert again.get(workflow.workflow_id).version == workflow.version
        assert list(again.entries(workflow.workflow_id)) == list(entries)
        assert again.workflow_budget(workflow.workflow_id) == budget
        assert again.run(again.approve_all(workflow)).state == workflow_pb2.WORKFLOW_STATE_COMPLETED


def test_a_pair_killed_at_work_keeps_its_books(scratch_dir_on_disk: Path) -> None:
    """After `kill -9` in the middle of a run no process remains, and spent equals the sum of the entries."""
    data_dir = scratch_dir_on_disk / "ends-at-work"
    with served_pair(data_dir) as pair:
        client = client_of(pair)
        workflow = client.run(client.create(), wait=False)
        eventually(lambda: len(client.entries(workflow.workflow_id)) > 0, END_SECONDS)
        pair.signal(signal.SIGKILL)
        pair.wait_until_gone()

    with served_pair(data_dir) as pair:
        again = client_of(pair, client.organization_id)
        assert again.get(workflow.workflow_id).version >= workflow.version
        spent = sum(entry.cost_nano_usd for entry in again.entries(workflow.workflow_id))
        assert spent == again.cost_nano_usd(workflow.workflow_id)
        assert spent == again.workflow_budget(workflow.workflow_id).spent_nano_usd
        assert spent == again.organization_budget().spent_nano_usd


@pytest.mark.parametrize("name", ["governor", "workflow", "simulator", "postgres"])
def test_a_process_that_dies_takes_the_pair_with_it(scratch_dir: Path, name: str) -> None:
    """When one process dies, the whole pair stops, names that process, and exits with 1."""
    modules = {
        "governor": "service_chassis.processes.child governor_service",
        "workflow": "service_chassis.processes.child workflow_service ",
        "simulator": "service_chassis.processes.child workflow_service.simulator",
        "postgres": "service_chassis.processes.child pair.postgres",
    }
    with served_pair(scratch_dir / f"dies-{name}") as pair:
        # SIGTERM, so that the owner of PostgreSQL can stop its server.
        number = signal.SIGTERM if name == "postgres" else signal.SIGKILL
        send(pair, modules[name], number)
        assert pair.wait_until_gone() == 1
        assert f"pair: {name} ended with status" in pair.log()


def test_a_killed_postgresql_comes_back(scratch_dir: Path) -> None:
    """After `kill -9` the server is started again, and the services answer with the data they had."""
    with served_pair(scratch_dir / "postgres-killed") as pair:
        client = client_of(pair)
        workflow = client.create()
        pid_file = pair.data_dir / "postgres" / "postmaster.pid"
        send(pair, f"-D {pair.data_dir / 'postgres'}", signal.SIGKILL)
        killed = pid_file.read_text().splitlines()[0]

        def answers() -> bool:
            try:
                return client.get(workflow.workflow_id) == workflow and bool(client.organization_budget())
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                return False

        eventually(lambda: answers() and pid_file.read_text().splitlines()[0] != killed, END_SECONDS)
        assert client.organization_budget().scope == budget_pb2.BUDGET_SCOPE_ORGANIZATION


def send(pair: ServedPair, words: str, number: signal.Signals) -> None:
    """Signals the one process of the pair whose command line contains `words`."""
    os.kill(pair.pid_of(words), number)


def _catch_sigint() -> None:
    """SIGINT works as in a terminal; a shell without job control starts background processes ignoring it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
