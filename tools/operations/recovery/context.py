"""What the backup and restore commands share: bucket, retention, logins, directories, and programs of this machine."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import psycopg

from components.mapping import backup_names as names
from pods.backup_agent.errors import BackupError
from pods.backup_agent.rdb import SnapshotSource
from pods.backup_agent.s3 import BucketClient
from provider.errors import ProviderError
from provider.postgres.server import PostgresServer
from provider.postgres.session import Connection
from tools import locks
from tools.operations.stack import Stack

SCRIPTS = Path(__file__).parents[3] / "pods" / "scripts" / "backups"
Say = Callable[[str], None]
KEPT_LINES = 50  # of a program's output
PROGRESS_SECONDS = 5.0


def say(text: str) -> None:
    print(text, flush=True)


def allow_traversal(directory: Path) -> None:
    """Let other users traverse ``directory``, whatever the umask: PostgreSQL's user needs the restored server below it."""
    directory.chmod(0o711)


@contextmanager
def as_provider_errors() -> Iterator[None]:
    """Convert the backup agent's errors to ``ProviderError``."""
    try:
        yield
    except BackupError as error:
        raise ProviderError(str(error)) from None


@contextmanager
def connected(server: PostgresServer, database: str = "") -> Iterator[Connection]:
    """Open a session in ``database``, by default the server's. Raises ``ProviderError``."""
    try:
        with server.open(database or server.database) as session:
            yield session
    except psycopg.Error as error:
        message = " ".join(str(error).split())
        raise ProviderError(f"PostgreSQL at {server.host}:{server.port}, as {server.user}: {message}") from None


@dataclass(frozen=True)
class Programs:
    """Paths of PostgreSQL's and Valkey's programs. ``account``: the user that runs restored servers if we are root."""

    postgres: str
    valkey: str
    account: str

    @staticmethod
    def of_environment() -> "Programs":
        """Read ``STELLAOPS_POSTGRES_BIN`` (default: the PATH), ``STELLAOPS_VALKEY_SERVER`` and ``STELLAOPS_POSTGRES_ACCOUNT``."""
        return Programs(
            os.environ.get("STELLAOPS_POSTGRES_BIN", ""),
            os.environ.get("STELLAOPS_VALKEY_SERVER") or "valkey-server",
            os.environ.get("STELLAOPS_POSTGRES_ACCOUNT") or "postgres",
        )

    def find(self, name: str) -> str:
        """Return the path of one of PostgreSQL's programs. Raises ``ProviderError``."""
        found = shutil.which(name, path=self.postgres or None)
        if found is None:
            where = self.postgres or "the PATH"
            raise ProviderError(
                f"{name} is not in {where}; install PostgreSQL's programs of the server's version, or set"
                " STELLAOPS_POSTGRES_BIN to their directory"
            )
        return found

    def major(self, name: str) -> int:
        """Return the major version of a program. Raises ``ProviderError``."""
        shown = subprocess.run([self.find(name), "--version"], capture_output=True, text=True, check=False).stdout
        match = re.search(r"(\d+)(\.\d+|devel|beta|rc)", shown)
        if match is None:
            raise ProviderError(f"{name} --version prints no version: {shown.strip()!r}")
        return int(match[1])

    def require(self, name: str, server: str, *, exactly: bool = False) -> None:
        """Check that a program supports a server of version ``server``. Raises ``ProviderError``."""
        has, wants = self.major(name), int(server.partition(".")[0])
        if has < wants or (exactly and has != wants):
            word = "exactly" if exactly else "at least"
            raise ProviderError(
                f"{self.find(name)} is version {has}, but {word} {wants} is needed; install it, or set"
                " STELLAOPS_POSTGRES_BIN to its directory"
            )

    def valkey_server(self) -> str:
        """Return the path of ``valkey-server``. Raises ``ProviderError``."""
        found = shutil.which(self.valkey)
        if found is None:
            raise ProviderError(f"{self.valkey} is not on the PATH; install Valkey, or set STELLAOPS_VALKEY_SERVER")
        return found


@dataclass(frozen=True)
class RecoveryContext:
    """Access to the backups and restored servers of a stack. Every member raises ``ProviderError``."""

    stack: Stack
    programs: Programs
    directory: Path

    @staticmethod
    def of(stack: Stack) -> "RecoveryContext":
        """Create the context, with ``STELLAOPS_RECOVERY_DIRECTORY``, by default below the user's state directory."""
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        chosen = os.environ.get("STELLAOPS_RECOVERY_DIRECTORY")
        directory = Path(chosen) if chosen else base / "stellaops-storage" / "recovery" / stack.name
        try:
            directory.mkdir(parents=True, exist_ok=True)
            allow_traversal(directory)
        except OSError as error:
            raise ProviderError(
                f"{directory} can't be created: {error.strerror}; set STELLAOPS_RECOVERY_DIRECTORY to a directory that you can write to"
            ) from None
        return RecoveryContext(stack, Programs.of_environment(), directory)

    @cached_property
    def outputs(self) -> dict[str, str]:
        found: dict[str, str] | None = self.stack.outputs.get("backups")
        if not found:
            raise ProviderError(
                f"stack {self.stack.name} has no backups; set stellaops-storage:backups to logical or continuous and run"
                " pulumi up"
            )
        return found

    @property
    def continuous(self) -> bool:
        return self.outputs["mode"] == "continuous"

    @cached_property
    def bucket(self) -> BucketClient:
        store = self.stack.object_store
        return BucketClient(
            store.endpoint,
            store.region,
            self.outputs["object_store_access_key"],
            self.outputs["object_store_secret_key"],
            self.outputs["bucket"],
            self.outputs.get("encryption", ""),
            os.environ.get("AWS_CA_BUNDLE", ""),
        )

    def retention(self, kind: str) -> timedelta:
        backups = self.stack.mapping.backups
        return timedelta(days=(backups.valkey if kind.startswith("valkey") else backups.postgres).retention.days)

    @property
    def reader(self) -> PostgresServer:
        """PostgreSQL, with the backup login, which can read every table."""
        return replace(
            self.stack.postgres, user=self.outputs["postgres_user"], password=self.outputs["postgres_password"]
        )

    @property
    def valkey(self) -> SnapshotSource:
        server = self.stack.valkey
        return SnapshotSource(
            server.host, server.port, self.outputs["valkey_user"], self.outputs["valkey_password"], server.tls,
            os.environ.get("AWS_CA_BUNDLE", ""),
        )  # fmt: skip

    @property
    def slot(self) -> str:
        return names.slot(self.stack.postgres.database)

    @property
    def spool(self) -> Path:
        """The directory of WAL that is not uploaded yet; it persists between runs."""
        return self._private("wal")

    @property
    def restored(self) -> Path:
        """The directory of restored servers, with a subdirectory for each."""
        path = self.directory / "restored"
        path.mkdir(exist_ok=True)
        allow_traversal(path)
        return path

    def _private(self, name: str) -> Path:
        path = self.directory / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Create a private directory, and delete it afterwards."""
        path = Path(tempfile.mkdtemp(prefix="work-", dir=self.directory))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Lock the stack's backups: one run at a time on this machine. Raises ``ProviderError`` if another holds the lock."""
        try:
            with locks.lock(self.directory / "lock"):
                yield
        except locks.Busy as busy:
            raise ProviderError(
                f"another backup of this stack runs on this machine (pid {busy.pid}); wait until it ends"
            ) from None

    def environment(self, server: PostgresServer, **more: str) -> dict[str, str]:
        """Return the environment of a script. It contains the password, which other users could read on a command line."""
        path = os.pathsep.join(part for part in (self.programs.postgres, os.environ.get("PATH", os.defpath)) if part)
        kept = {key: os.environ[key] for key in ("HOME", "PGSSLROOTCERT", "LANG") if key in os.environ}
        return {
            **kept,
            "PATH": path,
            "PGHOST": server.host,
            "PGPORT": str(server.port),
            "PGUSER": server.user,
            "PGPASSWORD": server.password,
            "PGDATABASE": server.database,
            "PGSSLMODE": server.ssl_mode,
            "PGAPPNAME": "stellaops-storage backup",
            "SCRIPTS": str(SCRIPTS),
            "SCHEMAS": " ".join(self.stack.mapping.postgres.schemas),
            "SLOT": self.slot,
            **more,
        }

    def run(self, step: str, command: list[str], environment: dict[str, str]) -> None:
        """Run a program and print progress if it takes long. Raises ``ProviderError`` with the end of its output.

        ``step`` names the step in messages.
        """
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", start_new_session=True,
        ) as process:  # fmt: skip
            since, reported, lines = time.monotonic(), 0.0, deque[str](maxlen=KEPT_LINES)
            try:
                for line in process.stdout or ():
                    lines.append(line.strip())
                    if time.monotonic() - since > reported + PROGRESS_SECONDS:
                        reported = time.monotonic() - since
                        say(f"{step}: {line.strip()}, {reported:.0f} s")
                code = process.wait()
            except BaseException:
                # Also on Ctrl-C: otherwise the script's child processes would continue.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                raise
        if code:
            errors = [line for line in lines if "error:" in line.lower()] or list(lines)[-1:]
            raise ProviderError(f"{step} failed: {'; '.join(errors[:3]) or f'exit code {code}'}")
