"""The real grpcurl: the one on PATH, otherwise one that Go builds once into .tools/."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from tests.docs.markdown import REPOSITORY

VERSION = "v1.9.3"
_TOOLS = REPOSITORY / ".tools" / f"grpcurl-{VERSION}"
_PACKAGE = f"github.com/fullstorydev/grpcurl/cmd/grpcurl@{VERSION}"
_BUILD_SECONDS = 600


class NoGrpcurlError(Exception):
    """The text says why grpcurl is missing."""


def directory_of_grpcurl() -> Path:
    """The directory that contains grpcurl; NoGrpcurlError if there is none and none can be built."""
    if on_path := shutil.which("grpcurl"):
        return Path(on_path).parent
    if shutil.which("go") is None:
        raise NoGrpcurlError("neither grpcurl nor go is on PATH")
    _TOOLS.mkdir(parents=True, exist_ok=True)
    with (_TOOLS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (_TOOLS / "grpcurl").exists():
            built = subprocess.run(
                ["go", "install", _PACKAGE],
                env={**os.environ, "GOBIN": str(_TOOLS)},
                capture_output=True,
                text=True,
                timeout=_BUILD_SECONDS,
                check=False,
            )
            if built.returncode != 0:
                raise NoGrpcurlError(f"go install {_PACKAGE}: {built.stderr.strip()[-500:]}")
    return _TOOLS
