"""Privileges on the tables and columns of a schema: read them from the catalog, compare them with the mapping, reconcile.

Revoking a privilege on a table also revokes it on the columns, so surplus privileges are revoked before missing ones
are granted, in one transaction.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from psycopg import sql

from provider.postgres.append_only import is_pattern, matches
from provider.postgres.problems import MigrationError, MigrationProblem
from provider.postgres.session import Connection
from provider.postgres.target import SchemaTarget

# Role -> table, or pattern of run-time tables -> privileges like "SELECT" and "UPDATE (state, updated_at)".
TableAccess = Mapping[str, Mapping[str, Sequence[str]]]
_PRIVILEGE = re.compile(r"(?P<privilege>[A-Z]+)(?: \((?P<columns>[^()]+)\))?")


@dataclass(frozen=True, order=True)
class TablePrivilege:
    """One privilege of one role on a table or, with ``column``, on a column. ``role`` may be "PUBLIC"."""

    role: str
    table: str
    column: str
    privilege: str
    grantable: bool = False

    def __str__(self) -> str:
        column = f" ({self.column})" if self.column else ""
        option = " WITH GRANT OPTION" if self.grantable else ""
        return f"{self.privilege}{column} on {self.table} for {self.role}{option}"


def current_privileges(connection: Connection, target: SchemaTarget) -> set[TablePrivilege]:
    """Read the privileges of all roles but the owner. Tables of other owners are left out: only they can revoke there."""
    rows = connection.execute(
        """SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee) END,
             c.relname, a.attname, a.privilege_type, a.is_grantable
           FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, LATERAL (
             SELECT '' AS attname, x.* FROM pg_catalog.aclexplode(c.relacl) x UNION ALL
             SELECT t.attname, x.* FROM pg_catalog.pg_attribute t, pg_catalog.aclexplode(t.attacl) x
             WHERE t.attrelid = c.oid AND NOT t.attisdropped) a
           WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'f') AND a.grantee <> c.relowner
             AND pg_catalog.pg_get_userbyid(c.relowner) = %s""",
        (target.schema, target.owner),
    )
    return {TablePrivilege(str(row[0]), str(row[1]), str(row[2]), str(row[3]), bool(row[4])) for row in rows}


def expected_privileges(connection: Connection, target: SchemaTarget, access: TableAccess) -> set[TablePrivilege]:
    """Return what ``access`` grants on the existing tables. On a table that it does not list, only the owner has any."""
    rows = connection.execute(
        """SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'f')""",
        (target.schema,),
    ).fetchall()
    existing = [str(name) for (name,) in rows]
    entries = {entry for tables in access.values() for entry in tables}
    entry_of = {table: table if table in entries else _best_pattern(entries, table) for table in existing}
    return {
        TablePrivilege(role, table, column, privilege)
        for role, tables in access.items()
        for table in existing
        for privilege, columns in map(_parse, tables.get(entry_of[table] or "", ()))
        for column in columns
    }


def _best_pattern(entries: Iterable[str], table: str) -> str | None:
    """Return the longest matching pattern: a history table also matches the shorter pattern of the current table."""
    return max((entry for entry in entries if is_pattern(entry) and matches(entry, table)), key=len, default=None)


def _parse(text: str) -> tuple[str, list[str]]:
    match = _PRIVILEGE.fullmatch(text)
    if match is None:
        raise MigrationError(
            MigrationProblem(text, None, "this is not a privilege", "write it like SELECT or UPDATE (state, note)")
        )
    return match["privilege"], match["columns"].split(", ") if match["columns"] else [""]


def differences(connection: Connection, target: SchemaTarget, access: TableAccess) -> list[str]:
    """Return a sentence for each surplus privilege, then one for each missing privilege, both sorted."""
    current, expected = current_privileges(connection, target), expected_privileges(connection, target, access)
    surplus = [f"{item}: not in the mapping" for item in sorted(current - expected)]
    # A privilege WITH GRANT OPTION is surplus, but the privilege itself is not missing.
    without_option = {replace(item, grantable=False) for item in current}
    return surplus + [f"{item}: missing" for item in sorted(expected - without_option)]


def reconcile(connection: Connection, target: SchemaTarget, access: TableAccess) -> list[str]:
    """Revoke surplus privileges and grant missing ones; return a sentence for each change.

    Call it in a transaction as the owner. It locks only tables that differ. Raises ``MigrationError`` if a difference
    remains.
    """
    expected = expected_privileges(connection, target, access)
    changes = []
    # CASCADE also revokes what the role granted to others.
    for privilege in sorted(item for item in current_privileges(connection, target) if item.grantable):
        _run(connection, target, "REVOKE GRANT OPTION FOR {} ON {} FROM {} CASCADE", [privilege])
        changes.append(f"{privilege}: revoked the grant option")
    surplus = current_privileges(connection, target) - expected
    for privileges in _by_statement(surplus):
        _run(connection, target, "REVOKE {} ON {} FROM {}", privileges)
    missing = expected - current_privileges(connection, target)
    for privileges in _by_statement(missing):
        _run(connection, target, "GRANT {} ON {} TO {}", privileges)
    remaining = differences(connection, target, access)
    if remaining:
        remedy = "grant or revoke that as the owner of the table, then run up again"
        raise MigrationError(*(MigrationProblem(target.schema, None, sentence, remedy) for sentence in remaining))
    changes += [f"revoked {privilege}" for privilege in sorted(surplus)]
    return changes + [f"granted {privilege}" for privilege in sorted(missing - surplus)]


def _by_statement(privileges: Iterable[TablePrivilege]) -> list[list[TablePrivilege]]:
    """Group privileges that one statement can change: those of one role on one table. Whole tables come first."""
    groups: dict[tuple[bool, str, str], list[TablePrivilege]] = defaultdict(list)
    for privilege in sorted(privileges):
        groups[bool(privilege.column), privilege.table, privilege.role].append(privilege)
    return [groups[key] for key in sorted(groups)]


def _run(connection: Connection, target: SchemaTarget, statement: str, privileges: list[TablePrivilege]) -> None:
    columns: dict[str, list[sql.Composable]] = defaultdict(list)
    for item in privileges:
        columns[item.privilege] += [sql.Identifier(item.column)] if item.column else []
    clauses = [
        sql.SQL("{} ({})").format(sql.SQL(privilege), sql.SQL(", ").join(names)) if names else sql.SQL(privilege)
        for privilege, names in columns.items()
    ]
    role = sql.SQL("PUBLIC") if privileges[0].role == "PUBLIC" else sql.Identifier(privileges[0].role)
    table = sql.Identifier(target.schema, privileges[0].table)
    connection.execute(sql.SQL(statement).format(sql.SQL(", ").join(clauses), table, role))


def to_table_access(privileges: Iterable[TablePrivilege]) -> dict[str, dict[str, list[str]]]:
    """Convert privileges to ``TableAccess``."""
    columns: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for item in sorted(privileges):
        columns[item.role, item.table, item.privilege] += [item.column] if item.column else []
    access: dict[str, dict[str, list[str]]] = {}
    for (role, table, privilege), names in columns.items():
        text = f"{privilege} ({', '.join(names)})" if names else privilege
        access.setdefault(role, {}).setdefault(table, []).append(text)
    return access
