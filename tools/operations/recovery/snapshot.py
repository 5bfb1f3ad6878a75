"""Restore a snapshot of Valkey to a new server beside the running one."""

import hashlib
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import valkey as client_library

from pods.backup_agent import jobs, repository
from pods.backup_agent.kinds import RDB
from pods.backup_agent.repository import StoredBackup
from provider.errors import ProviderError
from provider.valkey.server import ValkeyServer
from tools.operations.recovery import servers
from tools.operations.recovery.context import RecoveryContext, Say, as_provider_errors
from tools.operations.recovery.servers import HOST, Running, ServerEndedError
from tools.operations.recovery.verify import Check


def restore(
    context: RecoveryContext, backup: StoredBackup, say: Say, *, even_expired: bool = False
) -> tuple[Running, ValkeyServer, list[Check]]:
    """Restore and return the new server, its address with the admin login, and its checks. Raises ``ProviderError``.

    After an error nothing is left.
    """
    program = context.programs.valkey_server()
    directory = context.restored / f"valkey-{backup.name}"
    if directory.exists():
        raise ProviderError(
            f"{directory} exists already; to restore again, discard it first: python3 -m tools restore"
            f" --stack {context.stack.name} --discard {directory.name}"
        )
    directory.mkdir(mode=0o700)
    try:
        with as_provider_errors():
            now = datetime.now(UTC)
            repository.check(context.bucket, backup, context.retention(RDB), now, even_expired=even_expired)
            say(f"{RDB}: downloading {backup.name}, {jobs.megabytes(backup.size)}")
            repository.download(context.bucket, backup, directory)
        running = _start(context, directory, program)
        server = replace(context.stack.valkey, host=HOST, port=running.port, tls=False)
        say(f"{RDB}: comparing the restored server with the backup and the mapping")
        checks = _verify(context, server, backup)
    except BaseException:
        servers.stop(directory)
        shutil.rmtree(directory, ignore_errors=True)
        raise
    return running, server, checks


def _start(context: RecoveryContext, directory: Path, program: str) -> Running:
    """Start Valkey with the admin as its only user, and without AOF: with AOF it would ignore the snapshot and start empty."""
    admin, port = context.stack.valkey, servers.free_port()
    sha256 = hashlib.sha256(admin.password.encode()).hexdigest()
    (directory / "users.acl").write_text(
        f"user default off\nuser {admin.user} on #{sha256} ~* &* +@all\n", encoding="utf-8"
    )
    lines = (
        f'bind {HOST}\nport {port}\ndir "{directory}"\ndbfilename dump.rdb\nappendonly no\nsave ""\n'
        f'aclfile "{directory}/users.acl"\nset-proc-title no\n'
    )
    (directory / "valkey.conf").write_text(lines, encoding="utf-8")
    servers.change_owner(directory, context.programs)
    pid = servers.spawn(directory, [program, str(directory / "valkey.conf")], context.programs)

    def is_ready() -> bool:
        try:
            with client_library.Valkey(
                host=HOST, port=port, username=admin.user, password=admin.password, socket_timeout=5
            ) as client:
                return bool(client.ping())
        except client_library.ValkeyError:
            return False

    try:
        servers.wait_for(directory, pid, is_ready, lambda: None)
    except ServerEndedError as error:
        raise ProviderError(f"the restored Valkey exited: {error}") from None
    return Running(directory, port)


def _verify(context: RecoveryContext, server: ValkeyServer, backup: StoredBackup) -> list[Check]:
    keys, expiring = int(backup.manifest["keys"]), int(backup.manifest["expiring"])
    with server.connection() as client:
        size = client.dbsize()
        # Keys that expired since the snapshot are not loaded.
        wrong = (
            () if keys - expiring <= size <= keys else (f"{size} keys, {keys} in the snapshot, {expiring} with a TTL",)
        )
        missing = []
        for name, stream in context.stack.mapping.valkey.streams.items():
            if client.type(name) == "stream":
                groups = {group["name"] for group in client.xinfo_groups(name)}
                missing += [
                    f"{name} has no group {group}"
                    for group in (*stream.consumers, *stream.groups)
                    if group not in groups
                ]
            else:
                missing.append(f"stream {name} is missing")
    return [Check(f"{size} keys", wrong), Check("streams and consumer groups of the mapping", tuple(missing))]
