"""The real pair, started as processes and observed from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

REPOSITORY = Path(__file__).parent.parent.parent
PROFILE = REPOSITORY / "examples" / "organization.json"

READY_SECONDS = 60.0
END_SECONDS = 60.0
_POLL_SECONDS = 0.05
_OURS = ("GOVERNOR_", "WORKFLOW_", "OPENROUTER_", "MAKE", "MFLAGS", "ARGS", "DATA_DIR")


class ServedPair:
    """A `serve` process in its own session. `mark` is in the environment of each of its processes."""

    def __init__(self, command: Sequence[str], data_dir: Path, log: Path, **popen: Any) -> None:
        self.data_dir = data_dir
        self.mark = f"PAIR_MARK={uuid4()}"
        name, _, value = self.mark.partition("=")
        environment = {**pair_environment(data_dir), "GOVERNOR_PORT": "0", "WORKFLOW_PORT": "0", name: value}
        self._log = log
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                command,
                **{
                    "cwd": REPOSITORY,
                    "env": environment,
                    "stdin": subprocess.DEVNULL,
                    "stdout": subprocess.PIPE,
                    "stderr": stderr,
                    "text": True,
                    "start_new_session": True,
                    **popen,
                },
            )
        self.governor = ""
        self.workflow = ""

    def wait_until_ready(self) -> None:
        """Reads the ready line: `ready governor=HOST:PORT workflow=HOST:PORT`."""
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        line = ""

        def has_line() -> bool:
            nonlocal line
            line += self.process.stdout.readline() if self.process.stdout else ""
            return line.endswith("\n") or self.process.poll() is not None

        eventually(has_line, READY_SECONDS)
        assert line.startswith("ready governor="), f"{line!r}; its log ends with {self.log()[-2000:]}"
        governor, workflow = line.split()[1:]
        self.governor = governor.removeprefix("governor=")
        self.workflow = workflow.removeprefix("workflow=")

    def log(self) -> str:
        return self._log.read_text()

    def processes(self) -> dict[int, str]:
        """Command lines of all live processes of the pair, PostgreSQL's included, by pid."""
        return {
            pid: command
            for pid, command, environment in _all_processes()
            if self.mark in environment or str(self.data_dir / "postgres") in command
        }

    def pid_of(self, words: str) -> int:
        (pid,) = [pid for pid, command in self.processes().items() if words in command]
        return pid

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait_until_gone(self) -> int:
        """Returns the exit status after the last process has ended."""
        status = self.process.wait(END_SECONDS)
        eventually(lambda: not self.processes(), END_SECONDS)
        return status

    def end(self) -> None:
        """Ends every process of the pair, whatever the test has done."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def served_pair(
    data_dir: Path,
    command: Sequence[str] = (sys.executable, "-m", "pair", "serve"),
    **popen: Any,
) -> Iterator[ServedPair]:
    """A pair that is ready, on free ports; `popen` holds options for its process."""
    pair = ServedPair(command, data_dir, data_dir.with_name(f"{data_dir.name}.log"), **popen)
    try:
        pair.wait_until_ready()
        yield pair
    finally:
        pair.end()


def pair_environment(data_dir: Path) -> dict[str, str]:
    """The tests' environment, without the variables that would select another database, provider or make."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**ours, "DATA_DIR": str(data_dir)}


def eventually(holds: Callable[[], bool], seconds: float) -> None:
    """Polls until `holds` returns true; AssertionError when the time is up."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not so within {seconds:g} s"
        time.sleep(_POLL_SECONDS)


def _all_processes() -> Iterator[tuple[int, str, list[str]]]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        try:
            environment = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            environment = []
        if state != "Z":
            yield int(entry.name), command, environment
