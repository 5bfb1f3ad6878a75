"""Taking backups from here, by the same scripts and the same agent as in the pods."""

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

STARTS_SECONDS = 15  # for a receiver to hold the slot


def dump(context: RecoveryContext, say: Say) -> StoredBackup:
    """Each schema by pg_dump, all of one snapshot."""
    return _by_script(context, DUMP, "dump.sh", "pg_dump", say)


def base(context: RecoveryContext, say: Say) -> StoredBackup:
    """The whole server by pg_basebackup."""
    return _by_script(context, BASE, "base.sh", "pg_basebackup", say)


def _by_script(context: RecoveryContext, kind: str, script: str, program: str, say: Say) -> StoredBackup:
    reader = context.reader
    with context.scratch() as work:
        with connected(context.reader) as session:
            context.programs.need(program, str(session.info.server_version // 10_000))
        say(f"{kind}: {program} of {reader.database} at {reader.host}:{reader.port}")
        context.run(kind, ["sh", str(SCRIPTS / script)], context.environment(reader, WORK=str(work)))
        with as_provider_errors():
            return jobs.publish(context.bucket, kind, work, context.stack.name, context.retention(kind), say)


def need_continuous(context: RecoveryContext) -> None:
    """Raises ``ProviderError`` on a stack without WAL."""
    if not context.continuous:
        raise ProviderError(
            "this stack keeps no base backups and no WAL; set stellaops-storage:backups to continuous and run pulumi up"
            " (a managed PostgreSQL restores to a point in time by its own means)"
        )


def slot_is_held(context: RecoveryContext) -> bool:
    """Whether somebody receives WAL already, like the Deployment on Kubernetes. Raises ``ProviderError`` when the
    server gave up on the slot."""
    query = "SELECT active, wal_status FROM pg_catalog.pg_replication_slots WHERE slot_name = %s"
    with connected(context.reader) as session:
        row = session.execute(query, (context.slot,)).fetchone()
    if row and row[1] == "lost":
        raise ProviderError(
            f"slot {context.slot} is lost: more WAL came than max_slot_wal_keep_size holds; run backup --drop-slot, then"
            " take a new base backup"
        )
    return bool(row and row[0])


def drop_slot(context: RecoveryContext) -> bool:
    """Let the server forget what it keeps for us; whether there was such a slot."""
    query = """SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots
               WHERE slot_name = %s"""
    with connected(context.reader) as session:
        return session.execute(query, (context.slot,)).fetchone() is not None


def wal_so_far(context: RecoveryContext, say: Say) -> list[str]:
    """Receive and ship all WAL up to now; names of what was shipped. Somebody who holds the slot does it anyway."""
    if slot_is_held(context):
        say(f"{WAL}: slot {context.slot} is held by another receiver, which ships by itself")
        return []
    with connected(context.reader) as session:
        # A commit, so that recovery to a moment before now finds an end to stop at.
        session.execute("SELECT pg_catalog.pg_current_xact_id()")
        row = session.execute("SELECT pg_catalog.pg_current_wal_flush_lsn()").fetchone()
    context.programs.find("pg_receivewal")
    environment = context.environment(context.reader, SPOOL=str(context.spool), END_LSN=str(row and row[0]))
    context.run(WAL, ["sh", str(SCRIPTS / "wal.sh")], environment)
    with as_provider_errors():
        done = wal.Shipper(context.bucket, context.spool).ship()
    say(f"{WAL}: {len(done)} files shipped, up to {row and row[0]}")
    return done


class Follower:
    """A receiver with its shipper beside it, like the Deployment on Kubernetes; ``with`` ends both."""

    def __init__(self, context: RecoveryContext, every: float, say: Say) -> None:
        self._context = context
        self._every = every
        self._say = say
        self._over = Event()
        self._thread = Thread(target=self._ship, daemon=True)
        self._last_words = ""

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
        deadline = time.monotonic() + STARTS_SECONDS
        while not slot_is_held(context):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ProviderError(f"pg_receivewal does not run: {self._words()}")
            time.sleep(0.1)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End both at once, without a last upload: as if this machine were lost."""
        import contextlib
        import os
        import signal

        self._over.set()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout and not self._process.stdout.closed:
            self._last_words = self._process.stdout.read()
            self._process.stdout.close()
        if self._thread.is_alive():
            self._thread.join()

    def wait(self) -> None:
        """Until it ends by itself. Raises ``ProviderError`` with what it said."""
        self._process.wait()
        self.stop()
        raise ProviderError(f"pg_receivewal ended: {self._words()}")

    def _words(self) -> str:
        lines = self._last_words.splitlines()
        return "; ".join(line.strip() for line in lines[-2:]) or "it said nothing"

    def _ship(self) -> None:
        shipper = wal.Shipper(self._context.bucket, self._context.spool)
        while not self._over.wait(self._every):
            try:
                for name in shipper.ship():
                    if not name.endswith(wal.PARTIAL):
                        self._say(f"{WAL}: shipped {name}")
            except BackupError as error:
                self._say(f"{WAL}: {error}; trying again")
