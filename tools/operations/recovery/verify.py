"""Compare a restored database with its backup's manifest and with the mapping."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from components.config.namespace import NAMESPACE
from components.mapping import Mapping
from pods.backup_agent import facts
from pods.backup_agent.repository import StoredBackup
from provider.errors import ProviderError
from provider.postgres import append_only
from provider.postgres.problems import MigrationError
from provider.postgres.server import PostgresServer
from tools.operations.drift_postgres.check import check as drift_postgres
from tools.operations.recovery.context import SCRIPTS, RecoveryContext

SHOWN = 3


@dataclass(frozen=True)
class Check:
    """The result of a comparison: its subject and the differences. No difference is success."""

    subject: str
    differences: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The check in one line, as printed."""
        if not self.differences:
            return f"ok      {self.subject}"
        more = f" and {len(self.differences) - SHOWN} more" if len(self.differences) > SHOWN else ""
        return f"differs {self.subject}: {'; '.join(self.differences[:SHOWN])}{more}"


@dataclass(frozen=True)
class BackupFacts:
    """The output of ``facts.sql``: table -> (rows, checksum), lines of the catalog, schema -> version."""

    tables: dict[str, tuple[int, str]]
    catalog: frozenset[str]
    versions: dict[str, int]


def read_facts(context: RecoveryContext, server: PostgresServer) -> BackupFacts:
    """Read the facts of a database. Raises ``ProviderError``."""
    with context.scratch() as work:
        command = [context.programs.find("psql"), "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"]
        command += [f"--set=scripts={SCRIPTS}", f"--file={SCRIPTS / 'base.sql'}"]
        context.run(f"reading {server.database}", command, context.environment(server, WORK=str(work)))
        about = facts.read(work)
        return BackupFacts(tables_of(about), frozenset(facts.catalog(work)), about["schemas"])


def tables_of(manifest: dict[str, Any]) -> dict[str, tuple[int, str]]:
    return {item["table"]: (int(item["rows"]), str(item["checksum"])) for item in manifest["tables"]}


def against_backup(
    context: RecoveryContext, server: PostgresServer, backup: StoredBackup, directory: Path
) -> list[Check]:
    """Compare a restored dump with its backup, which must be equal. ``directory`` contains the backup's files."""
    found, wanted = read_facts(context, server), tables_of(backup.manifest)
    rows = sum(count for count, _ in wanted.values())
    return [
        Check(f"{len(wanted)} tables, {rows} rows", _counts(wanted, found.tables)),
        Check("checksum of every table", _checksums(wanted, found.tables)),
        *catalog_checks(frozenset(facts.catalog(directory)), found.catalog, roles_of(context)),
        _triggers(context, server),
    ]


def after_recovery(
    context: RecoveryContext, server: PostgresServer, backup: StoredBackup, directory: Path
) -> list[Check]:
    """Compare a server that recovered from a base backup: append-only tables have not lost rows, and the catalog is equal.

    If migrations ran since the base backup, compare the catalog with the mapping instead.
    """
    found, before = read_facts(context, server), tables_of(backup.manifest)
    lasting = {f"{schema}.{table}" for schema, table in append_only_tables(context.stack.mapping)}
    shrunk = tuple(
        f"{table} has {found.tables.get(table, (0, ''))[0]} rows, {rows} at the base backup"
        for table, (rows, _) in before.items()
        if table in lasting and found.tables.get(table, (0, ""))[0] < rows
    )
    checks = [
        Check(f"{len(found.tables)} tables, {sum(rows for rows, _ in found.tables.values())} rows"),
        Check("append-only tables lost no row since the base backup", shrunk),
    ]
    if found.versions == backup.manifest["schemas"]:
        checks += catalog_checks(frozenset(facts.catalog(directory)), found.catalog, roles_of(context))
    else:
        # Migrations changed the catalog, so compare it with the mapping.
        checks.append(Check("roles, grants, owners and columns against the mapping", _drift(context, server)))
    return [*checks, _triggers(context, server)]


def append_only_tables(mapping: Mapping) -> list[tuple[str, str]]:
    return [(schema, table) for schema, access in mapping.access.schemas.items() for table in access.append_only]


def roles_of(context: RecoveryContext) -> frozenset[str]:
    """Return the stack's roles: a shared server also has roles that do not belong to the backup."""
    return context.stack.mapping.access.roles(context.stack.postgres.database).names


def catalog_checks(wanted: frozenset[str], found: frozenset[str], roles: frozenset[str]) -> list[Check]:
    """Compare catalogs: one check for roles and memberships, one for grants, one for everything else."""
    result = []
    for subject, kinds in (
        ("roles and memberships", ("role", "member")),
        ("grants and default privileges", ("grant",)),
    ):
        result.append(Check(subject, _lines(_of(wanted, kinds, roles), _of(found, kinds, roles))))
    others = [
        frozenset(line for line in lines if line.split(" ", 1)[0] not in ("role", "member", "grant"))
        for lines in (wanted, found)
    ]
    result.append(Check("owners, columns, constraints, indexes, functions and triggers", _lines(*others)))
    return result


def _of(lines: frozenset[str], kinds: tuple[str, ...], roles: frozenset[str]) -> frozenset[str]:
    chosen = {line for line in lines if line.split(" ", 1)[0] in kinds}
    if "grant" in kinds:
        return frozenset(chosen)
    return frozenset(line for line in chosen if line.split(" ")[1] in roles)


def _lines(wanted: frozenset[str], found: frozenset[str]) -> tuple[str, ...]:
    return (
        *(f"missing: {line}" for line in sorted(wanted - found)),
        *(f"not in the backup: {line}" for line in sorted(found - wanted)),
    )


def _counts(wanted: dict[str, tuple[int, str]], found: dict[str, tuple[int, str]]) -> tuple[str, ...]:
    gone = [f"{table} is missing" for table in sorted(wanted.keys() - found.keys())]
    more = [f"{table} is not in the backup" for table in sorted(found.keys() - wanted.keys())]
    both = sorted(wanted.keys() & found.keys())
    counts = [f"{table} has {found[table][0]} rows, {wanted[table][0]} in the backup" for table in both]
    return (
        *gone,
        *more,
        *(text for table, text in zip(both, counts, strict=True) if wanted[table][0] != found[table][0]),
    )


def _checksums(wanted: dict[str, tuple[int, str]], found: dict[str, tuple[int, str]]) -> tuple[str, ...]:
    return tuple(table for table in sorted(wanted.keys() & found.keys()) if wanted[table][1] != found[table][1])


def _triggers(context: RecoveryContext, server: PostgresServer) -> Check:
    """Check that the restored database has the append-only triggers of the mapping."""
    import psycopg

    sentences: list[str] = []
    mapping = context.stack.mapping
    try:
        with server.open(server.database) as session:
            for schema, access in mapping.access.schemas.items():
                sentences += append_only.drift(session, schema, access.append_only)
    except (psycopg.Error, MigrationError) as error:
        raise ProviderError(f"the restored database can't be read: {' '.join(str(error).split())}") from None
    return Check(f"append-only triggers of {len(append_only_tables(mapping))} tables", tuple(sentences))


def _drift(context: RecoveryContext, server: PostgresServer) -> tuple[str, ...]:
    """Run ``drift`` on the restored server and return its sentences."""
    place = {"postgresHost": server.host, "postgresPort": str(server.port), "postgresSslMode": server.ssl_mode}
    config = {**context.stack.config, **{f"{NAMESPACE}:{key}": value for key, value in place.items()}}
    return tuple(item.sentence for item in drift_postgres(replace(context.stack, config=config), state=None))


def of_database(server: PostgresServer, database: str) -> PostgresServer:
    return replace(server, database=database)
