"""Take backups from this machine, with the scripts and the agent of the pods."""

import subprocess
import time
from threading import Event, Thread
from typing import Self

from pods.backup_agent import jobs, wal
from pods.backup_agent.errors import BackupError
from pods.backup_agent.kinds import BASE, DUMP, WAL
from pods.backup_agent.repository import StoredBackup
from provider.errors import ProviderError
from tools.operations.recovery.context import SCRIPTS, RecoveryContext, Say, as_provider_errors, connected

START_TIMEOUT_SECONDS = 15  # until a receiver holds the slot


def dump(context: RecoveryContext, say: Say) -> StoredBackup:
    """Dump each schema with pg_dump, all from one snapshot."""
    return _run_script(context, DUMP, "dump.sh", "pg_dump", say)


def base(context: RecoveryContext, say: Say) -> StoredBackup:
    """Back up the whole server with pg_basebackup."""
    return _run_script(context, BASE, "base.sh", "pg_basebackup", say)


def _run_script(context: RecoveryContext, kind: str, script: str, program: str, say: Say) -> StoredBackup:
    reader = context.reader
    with context.scratch() as work:
        with connected(context.reader) as session:
            context.programs.require(program, str(session.info.server_version // 10_000))
        say(f"{kind}: {program} of {reader.database} at {reader.host}:{reader.port}")
        context.run(kind, ["sh", str(SCRIPTS / script)], context.environment(reader, WORK=str(work)))
        with as_provider_errors():
            return jobs.publish(context.bucket, kind, work, context.stack.name, context.retention(kind), say)


def require_continuous(context: RecoveryContext) -> None:
    """Check that the stack has WAL backups. Raises ``ProviderError``."""
    if not context.continuous:
        raise ProviderError(
            "this stack keeps no base backups and no WAL; set stellaops-storage:backups to continuous and run pulumi up"
            " (for a managed PostgreSQL, use the service's own point-in-time recovery)"
        )


def slot_is_held(context: RecoveryContext) -> bool:
    """Return whether another process receives WAL, such as the Deployment on Kubernetes.

    Raises ``ProviderError`` if the server has invalidated the slot.
    """
    query = "SELECT active, wal_status FROM pg_catalog.pg_replication_slots WHERE slot_name = %s"
    with connected(context.reader) as session:
        row = session.execute(query, (context.slot,)).fetchone()
    if row and row[1] == "lost":
        raise ProviderError(
            f"slot {context.slot} is lost: the server wrote more WAL than max_slot_wal_keep_size allows;"
            f" run python3 -m tools backup --drop-slot --stack {context.stack.name}, then the same without --drop-slot"
        )
    return bool(row and row[0])


def drop_slot(context: RecoveryContext) -> bool:
    """Drop the replication slot. Return whether it existed."""
    query = """SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots
               WHERE slot_name = %s"""
    with connected(context.reader) as session:
        return session.execute(query, (context.slot,)).fetchone() is not None


def wal_so_far(context: RecoveryContext, say: Say) -> list[str]:
    """Receive and upload all WAL up to now and return the file names; none if another receiver holds the slot."""
    if slot_is_held(context):
        say(f"{WAL}: slot {context.slot} is held by another receiver, which uploads it")
        return []
    with connected(context.reader) as session:
        # Point-in-time recovery stops at a commit after its target, so write one.
        session.execute("SELECT pg_catalog.pg_current_xact_id()")
        row = session.execute("SELECT pg_catalog.pg_current_wal_flush_lsn()").fetchone()
    context.programs.find("pg_receivewal")
    environment = context.environment(context.reader, SPOOL=str(context.spool), END_LSN=str(row and row[0]))
    context.run(WAL, ["sh", str(SCRIPTS / "wal.sh")], environment)
    with as_provider_errors():
        done = wal.Shipper(context.bucket, context.spool).ship()
    say(f"{WAL}: {len(done)} files uploaded, up to {row and row[0]}")
    return done


class Follower:
    """A WAL receiver and an uploader, like the Deployment on Kubernetes; leaving ``with`` stops both."""

    def __init__(self, context: RecoveryContext, every: float, say: Say) -> None:
        self._context = context
        self._every = every
        self._say = say
        self._stopped = Event()
        self._thread = Thread(target=self._ship, daemon=True)
        self._output = ""

    def __enter__(self) -> Self:
        context = self._context
        if slot_is_held(context):
            raise ProviderError(f"slot {context.slot} is held by another receiver; stop that one first")
        environment = context.environment(context.reader, SPOOL=str(context.spool), HEARTBEAT_SECONDS="1")
        self._process = subprocess.Popen(
            ["sh", str(SCRIPTS / "wal.sh")],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not slot_is_held(context):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ProviderError(f"pg_receivewal did not start: {self._output_end()}")
            time.sleep(0.1)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Kill both without a last upload, as if this machine were lost."""
        import contextlib
        import os
        import signal

        self._stopped.set()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout and not self._process.stdout.closed:
            self._output = self._process.stdout.read()
            self._process.stdout.close()
        if self._thread.is_alive():
            self._thread.join()

    def wait(self) -> None:
        """Wait until the receiver exits. Raises ``ProviderError`` with the end of its output."""
        self._process.wait()
        self.stop()
        raise ProviderError(f"pg_receivewal exited: {self._output_end()}")

    def _output_end(self) -> str:
        lines = self._output.splitlines()
        return "; ".join(line.strip() for line in lines[-2:]) or "no output"

    def _ship(self) -> None:
        shipper = wal.Shipper(self._context.bucket, self._context.spool)
        while not self._stopped.wait(self._every):
            try:
                for name in shipper.ship():
                    if not name.endswith(wal.PARTIAL):
                        self._say(f"{WAL}: uploaded {name}")
            except BackupError as error:
                self._say(f"{WAL}: {error}; trying again")
