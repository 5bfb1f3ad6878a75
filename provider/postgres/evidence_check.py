"""Compare append-only tables before and after a migration: it must not touch their columns, types or protection.

A trigger that is dropped and created again is another trigger (its ``oid`` and ``xmin`` differ), so rows cannot have
been changed in between. ``schema_migrations`` is compared too, since the runner writes to it.
"""

from collections.abc import Collection
from dataclasses import dataclass

from components.mapping.access import VERSION_TABLE
from provider.postgres.append_only import FUNCTION, resolve_entries
from provider.postgres.confinement import ForbiddenChangeError
from provider.postgres.lint.evidence import row_changes
from provider.postgres.session import Connection
from provider.postgres.statements import Statement
from provider.postgres.target import SchemaTarget

_REMEDY = (
    "a migration must not change evidence, what protects it, or schema_migrations: remove that; "
    "if the table is not evidence, first remove append_only from the mapping"
)
# Parts that a migration may add.
_VALUES_PART = "values of column "
_ADDABLE = ("column ", "value ", "generated column ", _VALUES_PART)

# (what, identity) of each protected part: columns by definition, triggers by their row's version.
_COLUMNS = """
    SELECT 'column ' || a.attname AS part,
           pg_catalog.concat_ws(' ', a.attnum, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attcollation,
                                a.attgenerated, a.attidentity, a.attisdropped) AS version
    FROM pg_catalog.pg_attribute a WHERE a.attrelid = %(table)s AND a.attnum > 0 AND NOT a.attisdropped"""
# A column whose type is set again, with USING, has new values: its row here and the table's file are both new.
_COLUMN_VALUES = """
    SELECT 'values of column ' || a.attname, pg_catalog.concat_ws(' ', a.xmin, c.relfilenode)
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    WHERE a.attrelid = %(table)s AND a.attnum > 0 AND NOT a.attisdropped"""
_TABLE = """
    SELECT 'table', pg_catalog.concat_ws(' ', c.relname, c.relnamespace, c.relkind, c.relpersistence, c.relowner)
    FROM pg_catalog.pg_class c WHERE c.oid = %(table)s"""
_RULES = """
    SELECT 'rule ' || r.rulename, pg_catalog.concat_ws(' ', r.oid, r.xmin)
    FROM pg_catalog.pg_rewrite r WHERE r.ev_class = %(table)s"""
# Triggers that PostgreSQL creates for foreign keys are left out, and so are AFTER triggers with another name.
_TRIGGERS = """
    SELECT 'trigger ' || t.tgname, pg_catalog.concat_ws(' ', t.oid, t.xmin, t.tgenabled)
    FROM pg_catalog.pg_trigger t
    WHERE t.tgrelid = %(table)s AND NOT t.tgisinternal AND (%(strict)s OR t.tgtype & 2 <> 0)"""
_PARENTS = """
    SELECT 'parent ' || i.inhparent::pg_catalog.regclass, '' FROM pg_catalog.pg_inherits i WHERE i.inhrelid = %(table)s"""
_CHILDREN = """
    SELECT 'child ' || i.inhrelid::pg_catalog.regclass, '' FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = %(table)s AND NOT c.relispartition"""
# Labels of enumerated types in the table, by their number.
_VALUES = """
    SELECT 'value ' || e.oid::pg_catalog.text || ' of a type', e.enumlabel FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_enum e ON e.enumtypid = a.atttypid WHERE a.attrelid = %(table)s AND a.attnum > 0"""
_GENERATED = """
    SELECT 'generated column ' || a.attname, pg_catalog.concat_ws(' ', d.oid, d.xmin) FROM pg_catalog.pg_attrdef d
    JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    WHERE d.adrelid = %(table)s AND a.attgenerated <> ''"""
_ROW_SECURITY = """
    SELECT 'row-level security', pg_catalog.concat_ws(' ', c.relrowsecurity, c.relforcerowsecurity)
    FROM pg_catalog.pg_class c WHERE c.oid = %(table)s"""
# What an INSERT of the runner would evaluate.
_EVALUATED = """
    SELECT 'default ' || d.adnum, pg_catalog.concat_ws(' ', d.oid, d.xmin) FROM pg_catalog.pg_attrdef d
    WHERE d.adrelid = %(table)s
    UNION ALL SELECT 'constraint ' || c.conname, c.oid::pg_catalog.text FROM pg_catalog.pg_constraint c
    WHERE c.conrelid = %(table)s
    UNION ALL SELECT 'index ' || i.indexrelid::pg_catalog.regclass, i.indexrelid::pg_catalog.text FROM pg_catalog.pg_index i
    WHERE i.indrelid = %(table)s
    UNION ALL SELECT 'policy ' || p.polname, p.oid::pg_catalog.text FROM pg_catalog.pg_policy p WHERE p.polrelid = %(table)s"""
_QUERIES = [
    _COLUMNS,
    _COLUMN_VALUES,
    _TABLE,
    _RULES,
    _TRIGGERS,
    _PARENTS,
    _CHILDREN,
    _ROW_SECURITY,
    _VALUES,
    _GENERATED,
]
_EVIDENCE = " UNION ALL ".join(_QUERIES)
_VERSIONS = f"{_EVIDENCE} UNION ALL {_EVALUATED}"


@dataclass(frozen=True)
class Snapshot:
    """Parts by table: ``{"vuln.advisory_raw": {"trigger append_only_row": "..."}}``; the guard function among them."""

    parts: dict[str, dict[str, str]]
    oids: dict[str, int]

    target: SchemaTarget

    def require_no_row_changes(self, statement: Statement) -> None:
        """Raise ``ForbiddenChangeError`` if the statement changes rows of evidence; an empty table's triggers do not fire."""
        guard, versions = _guard(self.target), f"{self.target.schema}.{VERSION_TABLE}"
        tables = [table.partition(".")[2] for table in self.oids if table not in (guard, versions)]
        if sentences := row_changes(statement, self.target, tables):
            raise ForbiddenChangeError("; ".join(sentences), _REMEDY)

    def require_unchanged(self, connection: Connection) -> None:
        """Raise ``ForbiddenChangeError`` with what differs now. New columns and new tables are no difference."""
        changes = self._changes(connection)
        if changes:
            raise ForbiddenChangeError("; ".join(changes), _REMEDY)

    def _changes(self, connection: Connection) -> list[str]:
        versions = f"{self.target.schema}.{VERSION_TABLE}"
        # A migration cannot define a table or type of its own in place of the catalog's.
        connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        result = []
        for table, before in self.parts.items():
            oid = self.oids[table]
            is_function = table == _guard(self.target)
            now = _function(connection, oid) if is_function else _parts(connection, oid, strict=table == versions)
            if not now:
                result.append(f"{table} was dropped or recreated")
                continue
            for part in sorted(before.keys() | now.keys()):
                if part not in now:
                    if not part.startswith(_VALUES_PART):  # its column is reported
                        result.append(f"{part} of {table} was dropped or recreated")
                elif part not in before:
                    if table == versions or not part.startswith(_ADDABLE):
                        result.append(f"{part} of {table} was added")
                elif _differs(part, before[part], now[part]):
                    verb = "may have changed" if part.startswith(_VALUES_PART) else "was changed"
                    result.append(f"{part} of {table} {verb}")
        connection.execute("SET LOCAL search_path = ''")
        return result


def _differs(part: str, before: str, now: str) -> bool:
    if part.startswith(_VALUES_PART):
        return all(old != new for old, new in zip(before.split(), now.split(), strict=True))
    return before != now


def snapshot(connection: Connection, target: SchemaTarget, append_only: Collection[str]) -> Snapshot:
    """Read the append-only tables, their guard function and ``schema_migrations``; call it before the file runs."""
    tables, _ = resolve_entries(connection, target.schema, append_only)
    rows = connection.execute(
        """SELECT c.relname, c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = %s AND c.relname = ANY (%s) AND c.relkind IN ('r', 'p')""",
        (target.schema, [*tables, VERSION_TABLE]),
    ).fetchall()
    connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
    parts, oids = {}, {}
    for name, oid in rows:
        table = f"{target.schema}.{name}"
        oids[table] = oid
        parts[table] = _parts(connection, oid, strict=name == VERSION_TABLE)
    function = connection.execute(
        """SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
           WHERE n.nspname = %s AND p.proname = %s AND p.pronargs = 0""",
        (target.schema, FUNCTION),
    ).fetchone()
    if function is not None:
        oids[_guard(target)] = function[0]
        parts[_guard(target)] = _function(connection, function[0])
    connection.execute("SET LOCAL search_path = ''")
    return Snapshot(parts, oids, target)


def _guard(target: SchemaTarget) -> str:
    return f"{target.schema}.{FUNCTION}()"


def _parts(connection: Connection, table: int, *, strict: bool) -> dict[str, str]:
    query = _VERSIONS if strict else _EVIDENCE
    rows = connection.execute(query.encode(), {"table": table, "strict": strict}).fetchall()
    return {str(part): str(version) for part, version in rows}


def _function(connection: Connection, oid: int) -> dict[str, str]:
    row = connection.execute(
        "SELECT pg_catalog.concat_ws(' ', p.xmin, p.proname, p.pronamespace) FROM pg_catalog.pg_proc p WHERE p.oid = %s",
        (oid,),
    ).fetchone()
    return {} if row is None else {"definition": str(row[0])}
