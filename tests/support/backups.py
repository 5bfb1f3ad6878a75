"""Backups of the live stack, for tests that restore, damage and list them."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.support.stack import LocalStack
from tools.cli.main import dispatch
from tools.local import commands
from tools.local.paths import State
from tools.local.servers import restored
from tools.local.servers.postgres import LocalPostgres
from tools.operations.recovery.context import RecoveryContext
from tools.operations.stack import Stack

TENANT = uuid.UUID(int=7)


def context_of(live: LocalStack) -> RecoveryContext:
    """Return the context that `make backup` uses, in this process."""
    config = {f"stellaops-storage:{key}": value for key, value in live.config.items()}
    stack = Stack("local", config)
    stack.__dict__["outputs"] = live.outputs
    with patch.dict(os.environ, variables(live)):
        return RecoveryContext.of(stack)


def variables(live: LocalStack) -> dict[str, str]:
    return restored.environment(LocalPostgres(State(live.state).servers / LocalPostgres.name))


def run(live: LocalStack, *arguments: str) -> int:
    """Run `make COMMAND` in this process and return its exit code."""
    stack = context_of(live).stack
    with (
        patch.dict(os.environ, variables(live)),
        patch.object(commands, "use_environment_of", lambda _name: None),
        patch.object(Stack, "load", lambda _name: stack),
    ):
        return dispatch(arguments)


def files(context: RecoveryContext, prefix: str) -> dict[str, bytes]:
    """Return key -> content of every object with a prefix."""
    return {item.key: context.bucket.read(item.key) for item in context.bucket.objects(prefix)}


@contextmanager
def spoiled(context: RecoveryContext, prefix: str) -> Iterator[dict[str, bytes]]:
    """Yield the objects with ``prefix``, and restore them after the test."""
    before = files(context, prefix)
    metadata = {key: context.bucket.metadata(key) for key in before}
    try:
        yield dict(before)
    finally:
        for key in files(context, prefix).keys() - before.keys():
            context.bucket.delete(key)
        for key, content in before.items():
            context.bucket.put(key, [content], metadata[key])


def add_scan(live: LocalStack, state: str) -> uuid.UUID:
    """Insert a row into Scanner's schema, as Scanner."""
    scan = uuid.uuid4()
    with live.login("scanner") as scanner:
        scanner.execute(
            "INSERT INTO scanner.scans (scan_id, tenant_id, image_digest, state, created_at)"
            " VALUES (%s, %s, 'sha256:' || repeat('a', 64), %s, now())",
            (scan, TENANT, state),
        )
    return scan


def scans(connection: Any) -> set[uuid.UUID]:
    return {row[0] for row in connection.execute("SELECT scan_id FROM scanner.scans WHERE tenant_id = %s", (TENANT,))}


def clear(live: LocalStack, context: RecoveryContext) -> None:
    """Reset stack, bucket and slot."""
    with live.admin() as admin:
        admin.execute("DELETE FROM scanner.scans WHERE tenant_id = %s", (TENANT,))
        admin.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s AND NOT active",
            (context.slot,),
        )
    for item in context.bucket.objects(""):
        context.bucket.delete(item.key)
    for path in Path(context.spool).iterdir():
        path.unlink()
