"""The account that PostgreSQL runs as, since it refuses to run as root, and what that account can reach."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The server must not inherit our locale, our time zone, or variables such as PGDATA.
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True)
class Account:
    """The account that the server's processes run as."""

    uid: int
    gid: int

    @property
    def is_own(self) -> bool:
        return self.uid == os.geteuid()

    def subprocess_arguments(self) -> dict[str, Any]:
        """Arguments for `subprocess`: this account, the working directory `/`, and a fixed environment."""
        arguments: dict[str, Any] = {"cwd": "/", "env": _ENVIRONMENT, "stdin": subprocess.DEVNULL}
        if not self.is_own:
            arguments |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return arguments

    def can_run(self, command: Sequence[str | Path]) -> bool:
        """Whether the command starts and succeeds as this account."""
        try:
            # The commands are our own: binaries of the wheel, and test(1).
            done = subprocess.run(command, check=False, capture_output=True, **self.subprocess_arguments())  # noqa: S603
        except PermissionError:
            return False
        return done.returncode == 0

    def can_enter(self, directory: Path) -> bool:
        return self.can_run(["test", "-x", directory])

    def own(self, path: Path) -> None:
        if not self.is_own:
            os.chown(path, self.uid, self.gid)


def account_for(directory: Path) -> Account:
    """Our own account, unless we are root. Then the owner of `directory` if it exists and is not root's, else
    `postgres`, else `nobody`.

    RuntimeError if root finds no other account.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if directory.exists() and (owner := directory.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise RuntimeError("PostgreSQL does not run as root, and there is neither an account postgres nor nobody")
