"""PostgreSQL refuses to run as root: which account it runs as instead, and where that account can get to."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The locale and the time zone of whoever starts the server must not reach it; PGDATA and its kind even less.
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
        """For `subprocess`: as this account, from `/`, with an environment of its own."""
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
    """Our own account; as root the owner of `directory`, if it is there, else `postgres`, else `nobody`.

    RuntimeError where root finds no other account.
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
