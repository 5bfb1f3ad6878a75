"""Append-only tables: triggers that refuse UPDATE, DELETE and TRUNCATE for everyone, owner and superuser included.

The mapping lists the tables; ``reconcile`` creates and drops the triggers. Both triggers are ENABLE ALWAYS because
``session_replication_role = replica`` would bypass them otherwise.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from psycopg import sql

from provider.postgres.problems import MigrationError, MigrationProblem
from provider.postgres.run_time_tables import is_pattern, matches
from provider.postgres.session import Connection
from provider.postgres.target import SchemaTarget

FUNCTION = "refuse_change"
ROW_TRIGGER = "append_only_row"
TRUNCATE_TRIGGER = "append_only_truncate"

_BODY = """
BEGIN
  RAISE EXCEPTION 'append-only: % on %.% is refused (schema-mapping.yaml marks it append_only)',
    TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = '55000';
END
"""
# pg_trigger.tgtype: row 1, before 2, delete 8, update 16, truncate 32.
_TYPES = {ROW_TRIGGER: 1 | 2 | 8 | 16, TRUNCATE_TRIGGER: 2 | 32}
_EVENTS = {
    ROW_TRIGGER: sql.SQL("BEFORE UPDATE OR DELETE ON {} FOR EACH ROW"),
    TRUNCATE_TRIGGER: sql.SQL("BEFORE TRUNCATE ON {} FOR EACH STATEMENT"),
}


@dataclass(frozen=True)
class _Trigger:
    table: str
    name: str
    unchanged: bool
    enabled: bool
    cloned: bool


def resolve_entries(connection: Connection, schema: str, entries: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the existing tables that ``entries`` name or match, parents before children, and the missing tables.

    The tables include partitions and other children in the schema: a parent's TRUNCATE trigger does not fire for a
    TRUNCATE of its partition. A pattern that matches no table is not missing: its tables are created at run time.
    """
    rows = connection.execute(
        """SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relnamespace =
             (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = %s) AND c.relkind IN ('r', 'p')""",
        (schema,),
    ).fetchall()
    existing = {str(row[0]) for row in rows}
    matching = {table for table in existing for entry in entries if is_pattern(entry) and matches(entry, table)}
    named = {entry for entry in entries if not is_pattern(entry)}
    roots = sorted(matching | (named & existing))
    family = connection.execute(
        """WITH RECURSIVE family AS (
             SELECT c.oid, 0 AS depth FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = %s AND c.relname = ANY (%s)
             UNION SELECT i.inhrelid, f.depth + 1 FROM pg_catalog.pg_inherits i JOIN family f ON f.oid = i.inhparent)
           SELECT c.relname FROM family JOIN pg_catalog.pg_class c USING (oid)
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = %s AND c.relkind IN ('r', 'p')
           GROUP BY c.relname ORDER BY max(family.depth), c.relname""",
        (schema, roots, schema),
    ).fetchall()
    return [str(row[0]) for row in family], sorted(named - existing)


def drift(connection: Connection, schema: str, entries: Collection[str], *, complete: bool = True) -> list[str]:
    """Return a sentence for each difference from the mapping, sorted. Reads only the catalog.

    A named table that does not exist is a difference if ``complete``.
    """
    tables, missing = resolve_entries(connection, schema, entries)
    triggers = _triggers(connection, schema)
    sentences = [f"append-only table {schema}.{table} does not exist" for table in missing if complete]
    if tables and not _function_is_unchanged(connection, schema):
        sentences.append(f"function {schema}.{FUNCTION}() is missing, changed or open to PUBLIC")
    for table in tables:
        for name in _TYPES:
            trigger = next((item for item in triggers if item.table == table and item.name == name), None)
            if trigger is None:
                sentences.append(f"trigger {name} on {schema}.{table} is missing")
            elif not trigger.unchanged:
                sentences.append(f"trigger {name} on {schema}.{table} was changed")
            elif not trigger.enabled:
                sentences.append(f"trigger {name} on {schema}.{table} is not enabled always")
    for trigger in triggers:
        if trigger.table not in tables and not trigger.cloned:
            sentences.append(f"trigger {trigger.name} on {schema}.{trigger.table}: the table is not append-only")
    return sorted(sentences)


def reconcile(
    connection: Connection, target: SchemaTarget, entries: Collection[str], *, complete: bool = True
) -> list[str]:
    """Create the function and the triggers, drop surplus triggers; return a sentence for each change.

    Call it in a transaction as the owner. It locks only tables whose triggers differ. The function that creates a
    run-time table also creates its triggers; here they are only corrected. A named table that does not exist raises
    ``MigrationError`` if ``complete``, and is skipped otherwise.
    """
    schema = target.schema
    tables, missing = resolve_entries(connection, schema, entries)
    if missing and complete:
        message = "schema-mapping.yaml marks it append_only, but no migration creates it"
        remedy = "add a migration that creates it, or correct the mapping"
        raise MigrationError(*(MigrationProblem(f"{schema}.{table}", None, message, remedy) for table in missing))
    changes = _create_function(connection, target) if tables else []
    correct = _correct_triggers(connection, schema)
    for table in tables:
        for name in _TYPES:
            if (table, name) not in correct:
                _create_trigger(connection, schema, table, name)
                # A parent's row trigger is cloned to its partitions.
                correct = _correct_triggers(connection, schema)
                changes.append(f"created trigger {name} on {schema}.{table}")
    for trigger in _triggers(connection, schema):
        if trigger.table not in tables and not trigger.cloned:
            relation = sql.Identifier(schema, trigger.table)
            connection.execute(sql.SQL("DROP TRIGGER {} ON {}").format(sql.Identifier(trigger.name), relation))
            changes.append(f"dropped trigger {trigger.name} on {schema}.{trigger.table}: it is no longer append-only")
    return changes


def guarded_tables(connection: Connection, schema: str) -> list[str]:
    """Return the tables that have both triggers, sorted."""
    correct = _correct_triggers(connection, schema)
    return sorted({table for table, _ in correct if {(table, ROW_TRIGGER), (table, TRUNCATE_TRIGGER)} <= correct})


def _correct_triggers(connection: Connection, schema: str) -> set[tuple[str, str]]:
    """Return (table, trigger name) of each trigger that is unchanged and enabled."""
    return {(item.table, item.name) for item in _triggers(connection, schema) if item.unchanged and item.enabled}


def _triggers(connection: Connection, schema: str) -> Sequence[_Trigger]:
    """Return triggers with our names on tables of the schema. A ``cloned`` one belongs to a parent's trigger."""
    rows = connection.execute(
        """SELECT c.relname, t.tgname, t.tgtype, t.tgenabled = 'A', t.tgparentid <> 0,
                  t.tgqual IS NULL AND t.tgattr::text = '' AND t.tgnargs = 0 AND p.proname = %s
                    AND p.pronamespace = c.relnamespace
           FROM pg_catalog.pg_trigger t
           JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
           WHERE n.nspname = %s AND t.tgname = ANY (%s)
           ORDER BY c.relname, t.tgname""",
        (FUNCTION, schema, list(_TYPES)),
    ).fetchall()
    return [
        _Trigger(table, name, bool(ours) and kind == _TYPES[name], enabled, cloned)
        for table, name, kind, enabled, cloned, ours in rows
    ]


def _create_trigger(connection: Connection, schema: str, table: str, name: str) -> None:
    relation, trigger = sql.Identifier(schema, table), sql.Identifier(name)
    connection.execute(
        sql.SQL("CREATE OR REPLACE TRIGGER {} {} EXECUTE FUNCTION {}()").format(
            trigger, _EVENTS[name].format(relation), sql.Identifier(schema, FUNCTION)
        )
    )
    connection.execute(sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(relation, trigger))


def _function_is_unchanged(connection: Connection, schema: str) -> bool:
    row = connection.execute(
        """SELECT p.prosrc = %s AND NOT p.prosecdef AND l.lanname = 'plpgsql'
                  AND p.proconfig = '{"search_path=pg_catalog, pg_temp"}'
                  AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(
                    coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a WHERE a.grantee = 0)
           FROM pg_catalog.pg_proc p
           JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
           JOIN pg_catalog.pg_language l ON l.oid = p.prolang
           WHERE n.nspname = %s AND p.proname = %s AND p.pronargs = 0""",
        (_BODY, schema, FUNCTION),
    ).fetchone()
    return bool(row and row[0])


def _create_function(connection: Connection, target: SchemaTarget) -> list[str]:
    if _function_is_unchanged(connection, target.schema):
        return []
    function = sql.Identifier(target.schema, FUNCTION)
    connection.execute(
        sql.SQL(
            "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER"
            " SET search_path = pg_catalog, pg_temp AS {}"
        ).format(function, sql.Literal(_BODY))
    )
    connection.execute(sql.SQL("REVOKE ALL ON FUNCTION {}() FROM PUBLIC").format(function))
    comment = sql.Literal("Refuses every change of rows that are evidence; the triggers of append-only tables call it.")
    connection.execute(sql.SQL("COMMENT ON FUNCTION {}() IS {}").format(function, comment))
    return [f"created function {target.schema}.{FUNCTION}()"]
