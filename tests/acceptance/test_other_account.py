"""The pair runs as an ordinary user. Only needed where the tests run as root."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infin8.workflow.v1 import workflow_pb2
from tests.acceptance.clients import client_of
from tests.acceptance.served_pair import REPOSITORY, served_pair


@pytest.mark.skipif(os.geteuid() != 0, reason="these tests run as an ordinary user already")
def test_an_ordinary_user_serves(scratch_dir: Path) -> None:
    """The pair writes to its data directory only, and PostgreSQL runs as that user."""
    nobody = pwd.getpwnam("nobody")
    account: dict[str, Any] = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
    try:
        subprocess.run([sys.executable, "-c", "import pair"], cwd=REPOSITORY, check=True, **account)
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip("an ordinary user cannot run this Python")
    data_dir = scratch_dir / "nobody"
    data_dir.mkdir()
    os.chown(data_dir, nobody.pw_uid, nobody.pw_gid)

    with served_pair(data_dir, **account) as pair:
        assert (data_dir / "postgres").stat().st_uid == nobody.pw_uid
        client = client_of(pair)
        state = client.run(client.create()).state
        assert state == workflow_pb2.WORKFLOW_STATE_SEED_REVIEW_PENDING
        pair.signal(signal.SIGTERM)
        assert pair.wait_until_gone() == 0
