"""What was restored against what the backup says of itself, and against the mapping."""

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
from provider.postgres.server import Server
from tools.operations.drift_postgres.check import check as drift_postgres
from tools.operations.recovery.context import SCRIPTS, RecoveryContext

SHOWN = 3


@dataclass(frozen=True)
class Check:
    """One comparison: what was compared, and how it differs; no difference is success."""

    what: str
    differences: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """For the user."""
        if not self.differences:
            return f"ok      {self.what}"
        more = f" and {len(self.differences) - SHOWN} more" if len(self.differences) > SHOWN else ""
        return f"differs {self.what}: {'; '.join(self.differences[:SHOWN])}{more}"


@dataclass(frozen=True)
class Facts:
    """A database as ``facts.sql`` sees it: (rows, checksum) by table, and the catalog's lines."""

    tables: dict[str, tuple[int, str]]
    catalog: frozenset[str]
    versions: dict[str, int]


def look(context: RecoveryContext, server: Server) -> Facts:
    """The facts of a database, now. Raises ``ProviderError``."""
    with context.scratch() as work:
        command = [context.programs.find("psql"), "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"]
        command += [f"--set=scripts={SCRIPTS}", f"--file={SCRIPTS / 'base.sql'}"]
        context.run(f"reading {server.database}", command, context.environment(server, WORK=str(work)))
        about = facts.read(work)
        return Facts(tables_of(about), frozenset(facts.catalog(work)), about["schemas"])


def tables_of(manifest: dict[str, Any]) -> dict[str, tuple[int, str]]:
    return {item["table"]: (int(item["rows"]), str(item["checksum"])) for item in manifest["tables"]}


def exactly(context: RecoveryContext, server: Server, backup: StoredBackup, directory: Path) -> list[Check]:
    """A restored dump: everything is as the backup says. ``directory`` holds its files."""
    found, wanted = look(context, server), tables_of(backup.manifest)
    rows = sum(count for count, _ in wanted.values())
    return [
        Check(f"{len(wanted)} tables, {rows} rows", _counts(wanted, found.tables)),
        Check("checksum of every table", _checksums(wanted, found.tables)),
        *catalog_checks(frozenset(facts.catalog(directory)), found.catalog, roles_of(context)),
        _triggers(context, server),
    ]


def since(context: RecoveryContext, server: Server, backup: StoredBackup, directory: Path) -> list[Check]:
    """A server that went on from a base backup: what can only grow did not shrink, and all else is as it was, unless
    migrations ran in between."""
    found, before = look(context, server), tables_of(backup.manifest)
    lasting = {f"{schema}.{table}" for schema, table in append_only_everywhere(context.stack.mapping)}
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
        # The catalog changed on purpose; the mapping says what it should be now.
        checks.append(Check("roles, grants, owners and columns against the mapping", _drift(context, server)))
    return [*checks, _triggers(context, server)]


def append_only_everywhere(mapping: Mapping) -> list[tuple[str, str]]:
    return [(schema, table) for schema, access in mapping.access.schemas.items() for table in access.append_only]


def roles_of(context: RecoveryContext) -> frozenset[str]:
    """The stack's own: a shared server has others, which are none of a backup's business."""
    return context.stack.mapping.access.roles(context.stack.postgres.database).names


def catalog_checks(wanted: frozenset[str], found: frozenset[str], roles: frozenset[str]) -> list[Check]:
    """One check for roles with their memberships, one for grants, one for all else in the catalog."""
    result = []
    for what, kinds in (("roles and memberships", ("role", "member")), ("grants and default privileges", ("grant",))):
        result.append(Check(what, _lines(_of(wanted, kinds, roles), _of(found, kinds, roles))))
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


def _triggers(context: RecoveryContext, server: Server) -> Check:
    """Against the mapping: evidence cannot be changed in the restored database either."""
    import psycopg

    sentences: list[str] = []
    mapping = context.stack.mapping
    try:
        with server.open(server.database) as session:
            for schema, access in mapping.access.schemas.items():
                sentences += append_only.drift(session, schema, access.append_only)
    except (psycopg.Error, MigrationError) as error:
        raise ProviderError(f"the restored database can't be read: {' '.join(str(error).split())}") from None
    return Check(f"append-only triggers of {len(append_only_everywhere(mapping))} tables", tuple(sentences))


def _drift(context: RecoveryContext, server: Server) -> tuple[str, ...]:
    """What ``drift`` says of the restored server."""
    place = {"postgresHost": server.host, "postgresPort": str(server.port), "postgresSslMode": server.ssl_mode}
    config = {**context.stack.config, **{f"{NAMESPACE}:{key}": value for key, value in place.items()}}
    return tuple(item.sentence for item in drift_postgres(replace(context.stack, config=config)))


def of_database(server: Server, database: str) -> Server:
    return replace(server, database=database)
