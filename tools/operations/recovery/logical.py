"""Restore a dump to a new database beside the running one, on the same server."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from components.mapping import roles
from pods.backup_agent import jobs, repository
from pods.backup_agent.kinds import DUMP
from pods.backup_agent.repository import StoredBackup
from provider.errors import ProviderError
from provider.postgres.server import PostgresServer
from provider.postgres.session import Connection
from tools.operations.recovery import verify
from tools.operations.recovery.context import RecoveryContext, Say, as_provider_errors, connected
from tools.operations.recovery.verify import Check

_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}
NAME_BYTES = 63


def restore(
    context: RecoveryContext, backup: StoredBackup, say: Say, *, even_expired: bool = False
) -> tuple[str, list[Check]]:
    """Restore ``backup`` and return the new database's name and its checks. Raises ``ProviderError``.

    After an error there is no new database.
    """
    admin = context.stack.postgres
    database = f"{admin.database}_restored_{backup.name.lower()}"
    if len(database) > NAME_BYTES:
        raise ProviderError(f"{database} is longer than PostgreSQL's {NAME_BYTES} bytes; shorten postgresDatabase")
    with context.scratch() as work:
        with as_provider_errors():
            now = datetime.now(UTC)
            repository.check(context.bucket, backup, context.retention(DUMP), now, even_expired=even_expired)
            say(f"{DUMP}: downloading {backup.name}, {jobs.megabytes(backup.size)}")
            repository.download(context.bucket, backup, work)
        context.programs.require("pg_restore", backup.manifest["server"])
        with connected(admin, admin.maintenance_database) as session:
            _create(session, database, backup.manifest["locale"])
            try:
                _fill(context, backup, work, verify.of_database(admin, database), say)
                say(f"{DUMP}: comparing {database} with the backup")
                checks = verify.against_backup(context, verify.of_database(context.reader, database), backup, work)
            except BaseException:
                with contextlib.suppress(psycopg.Error):
                    drop(session, database)
                raise
    return database, checks


def _fill(context: RecoveryContext, backup: StoredBackup, work: Path, server: PostgresServer, say: Say) -> None:
    environment = context.environment(server)
    program = context.programs.find("pg_restore")
    prefix = context.stack.settings.postgres.role_prefix
    owners = [sql.Identifier(roles.owner(schema, prefix)) for schema in backup.manifest["schemas"]]
    names = sql.Identifier(server.database), sql.SQL(", ").join(owners)
    # An admin that is not a superuser can only transfer a schema to a role with CREATE on the database.
    with server.open(server.database) as session:
        session.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(*names))
    extensions = work / "extensions.sql"
    if extensions.exists():  # backups of older releases have none
        _run_file(context, "restoring extensions", extensions, server)
    # Restore a section of all schemas before the next: foreign keys and triggers may refer to another schema.
    for section in ("pre-data", "data", "post-data"):
        say(f"{DUMP}: restoring {section} of {len(backup.manifest['schemas'])} schemas")
        for schema in backup.manifest["schemas"]:
            context.run(
                f"restoring {schema}",
                [program, "--no-password", "--exit-on-error", f"--section={section}", f"--dbname={server.database}",
                 str(work / f"{schema}.dump")],
                environment,
            )  # fmt: skip
    _run_file(context, "restoring privileges of the database", work / "database.sql", server)
    with server.open(server.database) as session:
        session.execute(sql.SQL("REVOKE CREATE ON DATABASE {} FROM {}").format(*names))


def _run_file(context: RecoveryContext, what: str, file: Path, server: PostgresServer) -> None:
    command = [context.programs.find("psql"), "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"]
    command += [f"--set=database={server.database}", f"--file={file}"]
    context.run(what, command, context.environment(server))


def _create(session: Connection, database: str, locale: dict[str, Any]) -> None:
    parts = [sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {}").format(
        sql.Identifier(database), sql.Literal(locale["encoding"])
    )]  # fmt: skip
    provider = _PROVIDERS.get(locale["provider"], "libc")
    parts.append(sql.SQL("LOCALE_PROVIDER {}").format(sql.SQL(provider)))
    parts.append(sql.SQL("LC_COLLATE {}").format(sql.Literal(locale["collate"])))
    parts.append(sql.SQL("LC_CTYPE {}").format(sql.Literal(locale["ctype"])))
    if locale.get("locale") and provider != "libc":
        word = "ICU_LOCALE" if provider == "icu" else "BUILTIN_LOCALE"
        parts.append(sql.SQL("{} {}").format(sql.SQL(word), sql.Literal(locale["locale"])))
    try:
        session.execute(sql.SQL(" ").join(parts))
    except psycopg.errors.DuplicateDatabase:
        raise ProviderError(
            f'database {database} exists already; to restore again, drop it first: DROP DATABASE "{database}"'
        ) from None


def drop(session: Connection, database: str) -> None:
    session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


def discard(context: RecoveryContext, database: str) -> None:
    """Drop a restored database. Raises ``ProviderError``."""
    admin = context.stack.postgres
    with connected(admin, admin.maintenance_database) as session:
        drop(session, database)
