"""What roles may do on the tables of a schema and their columns: what the catalog has, what the mapping wants, and how
to get from one to the other.

PostgreSQL takes column privileges along when a privilege on the table is revoked, so everything surplus is revoked
first and what is missing then is granted, in one transaction.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from provider.postgres.append_only import matches
from provider.postgres.problems import MigrationError, MigrationProblem
from provider.postgres.session import Connection
from provider.postgres.target import SchemaTarget

# Role -> table, or pattern of run-time tables -> words like "SELECT" and "UPDATE (state, updated_at)".
TableWords = Mapping[str, Mapping[str, Sequence[str]]]
_WORD = re.compile(r"(?P<privilege>[A-Z]+)(?: \((?P<columns>[^()]+)\))?")


@dataclass(frozen=True, order=True)
class Cell:
    """One privilege of one role on a table or, with ``column``, on a column. The role of everyone is "PUBLIC"."""

    role: str
    table: str
    column: str
    privilege: str
    grantable: bool = False

    def __str__(self) -> str:
        column = f" ({self.column})" if self.column else ""
        option = " WITH GRANT OPTION" if self.grantable else ""
        return f"{self.privilege}{column} on {self.table} for {self.role}{option}"


def held(connection: Connection, target: SchemaTarget) -> set[Cell]:
    """What everybody but a table's owner has. Tables of other owners are left out: only those may revoke there."""
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
    return {Cell(str(row[0]), str(row[1]), str(row[2]), str(row[3]), bool(row[4])) for row in rows}


def wanted(connection: Connection, target: SchemaTarget, access: TableWords) -> set[Cell]:
    """What the mapping gives on the tables that there are. A table that it does not have is nobody's but the owner's."""
    rows = connection.execute(
        """SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'f')""",
        (target.schema,),
    ).fetchall()
    existing = [str(name) for (name,) in rows]
    named = {name for tables in access.values() for name in tables}
    names = {table: table if table in named else _pattern(named, table) for table in existing}
    return {
        Cell(role, table, column, privilege)
        for role, tables in access.items()
        for table in existing
        for privilege, columns in map(_parsed, tables.get(names[table] or "", ()))
        for column in columns
    }


def _pattern(names: Iterable[str], table: str) -> str | None:
    """The run-time tables' pattern that fits best: the history's name fits that of the current table as well."""
    return max((name for name in names if "{" in name and matches(name, table)), key=len, default=None)


def _parsed(word: str) -> tuple[str, list[str]]:
    match = _WORD.fullmatch(word)
    if match is None:
        raise MigrationError(
            MigrationProblem(word, None, "this is no privilege", "write it like SELECT or UPDATE (state, note)")
        )
    return match["privilege"], match["columns"].split(", ") if match["columns"] else [""]


def differences(connection: Connection, target: SchemaTarget, access: TableWords) -> list[str]:
    """A sentence for each privilege that the mapping does not give, and for each that is missing, sorted."""
    have, want = held(connection, target), wanted(connection, target, access)
    surplus = [f"{cell}: not in the mapping" for cell in sorted(have - want)]
    # With the option to pass it on it is there, and the sentence before says what is wrong with it.
    plain = {Cell(cell.role, cell.table, cell.column, cell.privilege) for cell in have}
    return surplus + [f"{cell}: missing" for cell in sorted(want - plain)]


def reconcile(connection: Connection, target: SchemaTarget, access: TableWords) -> list[str]:
    """Revoke what is surplus, grant what is missing; call it in a transaction as the owner. Returns what it did.

    Touches nothing, and so locks nothing, where all is right. Raises ``MigrationError`` when something still differs.
    """
    want = wanted(connection, target, access)
    done = []
    # With the option goes what others were given by it.
    for cell in sorted(cell for cell in held(connection, target) if cell.grantable):
        _run(connection, target, "REVOKE GRANT OPTION FOR {} ON {} FROM {} CASCADE", [cell])
        done.append(f"{cell}: may no longer be passed on")
    surplus = held(connection, target) - want
    for cells in _together(surplus):
        _run(connection, target, "REVOKE {} ON {} FROM {}", cells)
    missing = want - held(connection, target)
    for cells in _together(missing):
        _run(connection, target, "GRANT {} ON {} TO {}", cells)
    left = differences(connection, target, access)
    if left:
        todo = "grant or revoke that as the owner of the table, then run up again"
        raise MigrationError(*(MigrationProblem(target.schema, None, sentence, todo) for sentence in left))
    done += [f"revoked {cell}" for cell in sorted(surplus)]
    return done + [f"granted {cell}" for cell in sorted(missing - surplus)]


def _together(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Cells that one statement changes: of one role on one table. Whole tables first."""
    groups: dict[tuple[bool, str, str], list[Cell]] = defaultdict(list)
    for cell in sorted(cells):
        groups[bool(cell.column), cell.table, cell.role].append(cell)
    return [groups[key] for key in sorted(groups)]


def _run(connection: Connection, target: SchemaTarget, statement: str, cells: list[Cell]) -> None:
    columns: dict[str, list[sql.Composable]] = defaultdict(list)
    for cell in cells:
        columns[cell.privilege] += [sql.Identifier(cell.column)] if cell.column else []
    words = [
        sql.SQL("{} ({})").format(sql.SQL(privilege), sql.SQL(", ").join(names)) if names else sql.SQL(privilege)
        for privilege, names in columns.items()
    ]
    role = sql.SQL("PUBLIC") if cells[0].role == "PUBLIC" else sql.Identifier(cells[0].role)
    table = sql.Identifier(target.schema, cells[0].table)
    connection.execute(sql.SQL(statement).format(sql.SQL(", ").join(words), table, role))


def as_words(cells: Iterable[Cell]) -> dict[str, dict[str, list[str]]]:
    """The cells as ``TableWords``."""
    columns: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for cell in sorted(cells):
        columns[cell.role, cell.table, cell.privilege] += [cell.column] if cell.column else []
    words: dict[str, dict[str, list[str]]] = {}
    for (role, table, privilege), names in columns.items():
        word = f"{privilege} ({', '.join(names)})" if names else privilege
        words.setdefault(role, {}).setdefault(table, []).append(word)
    return words
