"""Privileges of roles on the relations of a schema: what the catalog has, what the mapping wants, and how to get there.

The mapping grants privileges on tables and columns. Those on views and sequences follow from them:

- A view with ``security_invoker`` can be selected from by every role that has access to the schema: it returns only
  rows and columns that the role may read anyway. No other view, and no materialized view, is granted to anybody.
- A sequence that a table's column uses: USAGE for roles that may insert into the table, SELECT for those that may
  read it. A sequence that no column uses is for the schema's writer and reader.

A REVOKE on a table also revokes the role's privileges on its columns. ``reconcile`` therefore revokes everything
surplus first and then grants what is missing, in one transaction.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from provider.postgres.problems import MigrationError, MigrationProblem
from provider.postgres.run_time_tables import pattern_of
from provider.postgres.session import Connection
from provider.postgres.target import SchemaTarget

# Role -> table, or pattern of run-time tables -> words like "SELECT" and "UPDATE (state, updated_at)".
TableAccess = Mapping[str, Mapping[str, Sequence[str]]]
_PRIVILEGE = re.compile(r"(?P<privilege>[A-Z]+)(?: \((?P<columns>[^()]+)\))?")
PUBLIC = "PUBLIC"
_GRANTED_KINDS = ["r", "p", "f", "v", "m", "S"]


@dataclass(frozen=True, order=True)
class RelationPrivilege:
    """One privilege of one role on a relation or, with ``column``, on a column. The role of everyone is "PUBLIC"."""

    role: str
    relation: str
    column: str
    privilege: str
    grantable: bool = False

    def __str__(self) -> str:
        column = f" ({self.column})" if self.column else ""
        option = " WITH GRANT OPTION" if self.grantable else ""
        return f"{self.privilege}{column} on {self.relation} for {self.role}{option}"


@dataclass(frozen=True)
class Relations:
    """The relations of a schema. ``views``: those with ``security_invoker``; ``sequences``: each with the tables that
    have a column which uses it."""

    tables: Collection[str]
    views: Collection[str]
    sequences: Mapping[str, Collection[str]]


def current_privileges(connection: Connection, schema: str, owner: str | None = None) -> set[RelationPrivilege]:
    """Return what every role but a relation's owner has. With ``owner``: only on the relations of that role, which are
    the ones on which it can grant and revoke."""
    rows = connection.execute(
        """SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee) END,
             c.relname, a.attname, a.privilege_type, a.is_grantable
           FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, LATERAL (
             SELECT '' AS attname, x.* FROM pg_catalog.aclexplode(c.relacl) x UNION ALL
             SELECT t.attname, x.* FROM pg_catalog.pg_attribute t, pg_catalog.aclexplode(t.attacl) x
             WHERE t.attrelid = c.oid AND NOT t.attisdropped) a
           WHERE n.nspname = %s AND c.relkind = ANY (%s) AND a.grantee <> c.relowner
             AND pg_catalog.pg_get_userbyid(c.relowner) = coalesce(%s, pg_catalog.pg_get_userbyid(c.relowner))""",
        (schema, _GRANTED_KINDS, owner),
    )
    return {RelationPrivilege(str(row[0]), str(row[1]), str(row[2]), str(row[3]), bool(row[4])) for row in rows}


def expected_privileges(connection: Connection, target: SchemaTarget, access: TableAccess) -> set[RelationPrivilege]:
    """Return what the mapping grants on the relations that exist. Only the owner has access to a table that is not in
    the mapping."""
    relations = relations_of(connection, target.schema)
    named = {name for tables in access.values() for name in tables}
    names = {table: table if table in named else pattern_of(named, table) for table in relations.tables}
    privileges = {
        RelationPrivilege(role, table, column, privilege)
        for role, tables in access.items()
        for table in relations.tables
        for privilege, columns in map(_parsed, tables.get(names[table] or "", ()))
        for column in columns
    }
    return privileges.union(_on_views(relations, access), _on_sequences(relations, target, access, privileges))


def relations_of(connection: Connection, schema: str) -> Relations:
    """Read the relations of a schema from the catalog."""
    rows = connection.execute(
        """SELECT c.relname, c.relkind::text, pg_catalog.array_remove(pg_catalog.array_agg(DISTINCT t.relname::text), NULL)
           FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           LEFT JOIN (
             SELECT d.objid AS sequence, d.refobjid AS relation FROM pg_catalog.pg_depend d
             WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
               AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i')
             UNION ALL
             SELECT d.refobjid, a.adrelid FROM pg_catalog.pg_depend d
             JOIN pg_catalog.pg_attrdef a ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = a.oid
             WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
           ) u ON u.sequence = c.oid AND c.relkind = 'S'
           LEFT JOIN pg_catalog.pg_class t ON t.oid = u.relation AND t.relnamespace = c.relnamespace
           WHERE n.nspname = %s AND (c.relkind IN ('r', 'p', 'f', 'S') OR c.relkind = 'v' AND EXISTS (
             SELECT FROM pg_catalog.pg_options_to_table(c.reloptions) o
             WHERE o.option_name = 'security_invoker' AND o.option_value::boolean))
           GROUP BY c.oid, c.relname, c.relkind""",
        (schema,),
    ).fetchall()
    return Relations(
        tables=[str(name) for name, kind, _ in rows if kind not in ("v", "S")],
        views=[str(name) for name, kind, _ in rows if kind == "v"],
        sequences={str(name): list(tables) for name, kind, tables in rows if kind == "S"},
    )


def _on_views(relations: Relations, access: TableAccess) -> Iterator[RelationPrivilege]:
    for view in relations.views:
        yield from (RelationPrivilege(role, view, "", "SELECT") for role in access)


def _on_sequences(
    relations: Relations, target: SchemaTarget, access: TableAccess, on_tables: Collection[RelationPrivilege]
) -> Iterator[RelationPrivilege]:
    writer, reader = target.variables["writer"], target.variables["reader"]
    groups = {(writer, "INSERT"), (writer, "SELECT"), (reader, "SELECT")}
    follows = {"INSERT": "USAGE", "SELECT": "SELECT"}
    for sequence, tables in relations.sequences.items():
        on_its_tables = {
            (item.role, item.privilege) for item in on_tables if item.relation in tables and not item.column
        }
        for role, privilege in on_its_tables if tables else groups:
            if privilege in follows and role in access:
                yield RelationPrivilege(role, sequence, "", follows[privilege])


def _parsed(word: str) -> tuple[str, list[str]]:
    match = _PRIVILEGE.fullmatch(word)
    if match is None:
        raise MigrationError(
            MigrationProblem(word, None, "this is not a privilege", "write it like SELECT or UPDATE (state, note)")
        )
    return match["privilege"], match["columns"].split(", ") if match["columns"] else [""]


def differences(connection: Connection, target: SchemaTarget, access: TableAccess) -> list[str]:
    """Return a sentence for each privilege that the mapping does not grant, and for each missing one, sorted."""
    current = current_privileges(connection, target.schema, target.owner)
    expected = expected_privileges(connection, target, access)
    surplus = [f"{item}: not in the mapping" for item in sorted(current - expected)]
    # A privilege WITH GRANT OPTION is reported as surplus; it is not missing as well.
    plain = {RelationPrivilege(item.role, item.relation, item.column, item.privilege) for item in current}
    return surplus + [f"{item}: missing" for item in sorted(expected - plain)]


def reconcile(connection: Connection, target: SchemaTarget, access: TableAccess) -> list[str]:
    """Revoke what is surplus and grant what is missing; call it in a transaction as the owner. Return what it did.

    It takes no lock on a relation whose privileges are right. Raises ``MigrationError`` when something still differs.
    """
    expected = expected_privileges(connection, target, access)
    sequences = relations_of(connection, target.schema).sequences
    done = []

    def run(statement: str, privileges: list[RelationPrivilege]) -> None:
        kind = "SEQUENCE" if privileges[0].relation in sequences else "TABLE"
        _run(connection, target, statement, kind, privileges)

    # Revoking the option also revokes what the role granted to others with it.
    for item in sorted(item for item in current_privileges(connection, target.schema, target.owner) if item.grantable):
        run("REVOKE GRANT OPTION FOR {} ON {} {} FROM {} CASCADE", [item])
        done.append(f"revoked the grant option of {item}")
    surplus = current_privileges(connection, target.schema, target.owner) - expected
    for privileges in _grouped(surplus):
        run("REVOKE {} ON {} {} FROM {}", privileges)
    missing = expected - current_privileges(connection, target.schema, target.owner)
    for privileges in _grouped(missing):
        run("GRANT {} ON {} {} TO {}", privileges)
    left = differences(connection, target, access)
    if left:
        remedy = "grant or revoke that as the owner of the table, then run up again"
        raise MigrationError(*(MigrationProblem(target.schema, None, sentence, remedy) for sentence in left))
    done += [f"revoked {item}" for item in sorted(surplus)]
    return done + [f"granted {item}" for item in sorted(missing - surplus)]


def _grouped(privileges: Iterable[RelationPrivilege]) -> list[list[RelationPrivilege]]:
    """Group privileges that one statement changes: of one role on one relation. Whole relations come before columns."""
    groups: dict[tuple[bool, str, str], list[RelationPrivilege]] = defaultdict(list)
    for item in sorted(privileges):
        groups[bool(item.column), item.relation, item.role].append(item)
    return [groups[key] for key in sorted(groups)]


def _run(
    connection: Connection, target: SchemaTarget, statement: str, kind: str, privileges: list[RelationPrivilege]
) -> None:
    columns: dict[str, list[sql.Composable]] = defaultdict(list)
    for item in privileges:
        columns[item.privilege] += [sql.Identifier(item.column)] if item.column else []
    words = [
        sql.SQL("{} ({})").format(sql.SQL(privilege), sql.SQL(", ").join(names)) if names else sql.SQL(privilege)
        for privilege, names in columns.items()
    ]
    role = sql.SQL(PUBLIC) if privileges[0].role == PUBLIC else sql.Identifier(privileges[0].role)
    relation = sql.Identifier(target.schema, privileges[0].relation)
    connection.execute(sql.SQL(statement).format(sql.SQL(", ").join(words), sql.SQL(kind), relation, role))


def table_access(connection: Connection, target: SchemaTarget) -> dict[str, dict[str, list[str]]]:
    """Return what roles have on the tables of the schema, as ``TableAccess``."""
    tables = relations_of(connection, target.schema).tables
    columns: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for item in sorted(current_privileges(connection, target.schema, target.owner)):
        if item.relation in tables:
            columns[item.role, item.relation, item.privilege] += [item.column] if item.column else []
    words: dict[str, dict[str, list[str]]] = {}
    for (role, table, privilege), names in columns.items():
        word = f"{privilege} ({', '.join(names)})" if names else privilege
        words.setdefault(role, {}).setdefault(table, []).append(word)
    return words
