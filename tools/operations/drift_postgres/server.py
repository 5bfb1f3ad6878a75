"""Compare the database itself, settings of the database and the server, and what leads in or out: extensions, event
triggers, publications, subscriptions, foreign servers, replication slots, other logins."""

import re

from components.mapping.access import EXTENSIONS_SCHEMA
from components.mapping.backup_names import slot
from provider.difference import Difference
from tools.operations.drift_postgres.catalog import EXTRA, OBJECT_MISSING, Catalog, Differences, own
from tools.operations.drift_postgres.roles import connections

# Settings of the database that change only how fast something is or what is logged.
_TUNING = re.compile(
    r"enable_.*|jit.*|geqo.*|.*_cost|.*cost_limit|.*cost_delay|.*work_mem|.*_buffers|effective_.*|.*parallel.*|log_.*|track_.*"
    r"|.*vacuum.*|plan_cache_mode|default_statistics_target|.*_collapse_limit|cursor_tuple_fraction|constraint_exclusion"
    r"|hash_mem_multiplier|tcp_.*|auto_explain\..*|pg_stat_statements\..*|application_name|.*io_.*|.*prefetch.*"
)
# Settings that keep an admin from correcting them in a session that has them -> what makes the session able to.
_UNHINDERED = {
    "default_transaction_read_only": "SET default_transaction_read_only = off; ",
    "role": "SET ROLE NONE; ",
    "statement_timeout": "SET statement_timeout = 0; ",
    "transaction_timeout": "SET transaction_timeout = 0; ",
}
# Settings of the whole server on which the guarantees of the mapping depend -> the value that they need.
_GUARANTEES = {
    "session_replication_role": ("origin", "triggers of evidence and foreign keys do not run otherwise"),
    "row_security": ("on", "queries on tables with tenant isolation fail otherwise"),
    "default_transaction_read_only": ("off", "nothing can be written otherwise"),
    "lo_compat_privileges": ("off", "every login may use every large object otherwise"),
    "allow_system_table_mods": ("off", "system tables can be changed otherwise"),
    "fsync": ("on", "a crash damages the data otherwise"),
    "full_page_writes": ("on", "a crash damages the data otherwise"),
    "zero_damaged_pages": ("off", "damaged rows disappear otherwise"),
    "ignore_checksum_failure": ("off", "damaged rows are returned otherwise"),
}


def differences(catalog: Catalog) -> Differences:
    """Yield every difference."""
    yield from _database(catalog)
    yield from _database_settings(catalog)
    yield from _server_settings(catalog)
    yield from _extensions(catalog)
    yield from _event_triggers(catalog)
    yield from _replication(catalog)
    yield from _foreign_servers(catalog)


def _database(catalog: Catalog) -> Differences:
    rows = catalog.rows(
        """SELECT d.datconnlimit, d.datistemplate, r.rolname, r.rolsuper
           FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid = d.datdba
           WHERE d.datname = pg_catalog.current_database()"""
    )
    name = catalog.database
    for limit, is_template, owner, is_superuser in rows:
        if limit != -1:
            yield Difference(
                f"database {name} accepts {connections(limit)} (CONNECTION LIMIT): the stack sets no limit"
            )
        if is_template:
            yield Difference(
                f"database {name} is a template (IS_TEMPLATE): roles with CREATEDB may copy it",
                f"ALTER DATABASE {catalog.quote(name)} IS_TEMPLATE false",
            )
        # ``roles`` compares what the stack's own roles own.
        accepted = is_superuser or catalog.stack.settings.postgres.adopt_database
        if owner not in {catalog.admin, *catalog.roles} and not accepted:
            yield Difference(
                f"role {owner} owns database {name}: {EXTRA}",
                f"ALTER DATABASE {catalog.quote(name)} OWNER TO {catalog.quote(catalog.admin)}",
            )


def _database_settings(catalog: Catalog) -> Differences:
    """Compare settings of all sessions of the database, and of all sessions of the server, made with ALTER."""
    rows = catalog.rows(
        """SELECT coalesce(d.datname, ''), pg_catalog.unnest(s.setconfig)
           FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
           WHERE s.setrole = 0 AND (d.datname = pg_catalog.current_database() OR s.setdatabase = 0)"""
    )
    for database, setting in rows:
        name = setting.partition("=")[0]
        if _TUNING.fullmatch(name):
            continue
        subject = f"database {database} has" if database else "every role has"
        place = f"DATABASE {catalog.quote(database)}" if database else "ROLE ALL"
        statement = f"ALTER {place} RESET {catalog.quote(*name.split('.'))}"
        yield Difference(f"{subject} {setting}: {EXTRA}", _UNHINDERED.get(name, "") + statement)


def _server_settings(catalog: Catalog) -> Differences:
    """Compare settings in the server's files and on its command line."""
    rows = catalog.rows(
        """SELECT name, setting FROM pg_catalog.pg_settings
           WHERE name = ANY (%(names)s) AND source IN ('configuration file', 'command line', 'environment variable')""",
        names=list(_GUARANTEES),
    )
    for name, value in rows:
        wanted, reason = _GUARANTEES[name]
        if value != wanted:
            yield Difference(
                f"the server has {name}={value}: the stack needs {wanted}, because {reason}{catalog.by_superuser}",
                f"{_UNHINDERED.get(name, '')}ALTER SYSTEM SET {name} = {wanted}; SELECT pg_reload_conf()",
            )


def _extensions(catalog: Catalog) -> Differences:
    rows = catalog.rows(
        """SELECT e.extname, n.nspname FROM pg_catalog.pg_extension e
           JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql'"""
    )
    installed = {str(name): str(schema) for name, schema in rows}
    wanted = catalog.mapping.postgres.extensions
    for name in wanted:
        if name not in installed:
            yield Difference(f"extension {name} is not installed: {OBJECT_MISSING}")
    for name, schema in installed.items():
        if name not in wanted:
            servers = "".join(f"{_drop_server(catalog, server)}; " for server in _servers_of(catalog, name))
            yield Difference(f"extension {name}: {EXTRA}", f"{servers}DROP EXTENSION {catalog.quote(name)}")
        elif schema not in (EXTENSIONS_SCHEMA, "pg_catalog"):
            yield Difference(
                f"extension {name} is in schema {schema}: the mapping has it in schema {EXTENSIONS_SCHEMA}",
                f"ALTER EXTENSION {catalog.quote(name)} SET SCHEMA {EXTENSIONS_SCHEMA}",
            )


def _servers_of(catalog: Catalog, extension: str) -> list[str]:
    """Return the foreign servers that need the extension."""
    rows = catalog.rows(
        """SELECT s.srvname::text FROM pg_catalog.pg_foreign_server s
           JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass
             AND d.objid = s.srvfdw AND d.deptype = 'e'
           JOIN pg_catalog.pg_extension e ON d.refobjid = e.oid WHERE e.extname = %(extension)s ORDER BY 1""",
        extension=extension,
    )
    return [row[0] for row in rows]


def _drop_server(catalog: Catalog, server: str) -> str:
    return f"DROP SERVER IF EXISTS {catalog.quote(server)} CASCADE"


def _event_triggers(catalog: Catalog) -> Differences:
    query = f"SELECT evtname FROM pg_catalog.pg_event_trigger v WHERE {own('pg_event_trigger', 'v')}"
    for (name,) in catalog.rows(query):
        yield Difference(
            f"event trigger {name}: {EXTRA}{catalog.by_superuser}", f"DROP EVENT TRIGGER {catalog.quote(name)}"
        )


def _replication(catalog: Catalog) -> Differences:
    for name, all_tables in catalog.rows("SELECT pubname, puballtables FROM pg_catalog.pg_publication"):
        what = "every table" if all_tables else "tables"
        yield Difference(
            f"publication {name} publishes {what} of database {catalog.database}: {EXTRA}",
            f"DROP PUBLICATION {catalog.quote(name)}",
        )
    query = """SELECT s.subname, s.subslotname IS NOT NULL FROM pg_catalog.pg_subscription s
        JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = pg_catalog.current_database()"""
    for name, has_slot in catalog.rows(query):
        quoted = catalog.quote(name)
        # The publisher may be gone; its slot would otherwise prevent the DROP.
        detach = f"ALTER SUBSCRIPTION {quoted} DISABLE; ALTER SUBSCRIPTION {quoted} SET (slot_name = NONE); "
        yield Difference(
            f"subscription {name} writes into tables of database {catalog.database}: {EXTRA}",
            f"{detach if has_slot else ''}DROP SUBSCRIPTION {quoted}",
        )
    # Standbys use physical slots; those in use are the server's own matter.
    rows = catalog.rows(
        """SELECT slot_name, slot_type, active_pid FROM pg_catalog.pg_replication_slots
           WHERE NOT temporary AND slot_name <> %(ours)s
             AND (slot_type = 'logical' AND database = pg_catalog.current_database()
               OR slot_type = 'physical' AND NOT active)""",
        ours=slot(catalog.database),
    )
    for name, kind, pid in rows:
        effect = "reads the changes of every table" if kind == "logical" else "is not in use"
        end = f"SELECT pg_terminate_backend({pid}, 10000); " if pid else ""
        yield Difference(
            f"replication slot {name} ({kind}) {effect}, and the server keeps its WAL: {EXTRA}",
            f"{end}SELECT pg_drop_replication_slot({catalog.literal(name)})",
        )


def _foreign_servers(catalog: Catalog) -> Differences:
    query = f"SELECT srvname FROM pg_catalog.pg_foreign_server v WHERE {own('pg_foreign_server', 'v')}"
    for (name,) in catalog.rows(query):
        yield Difference(f"foreign server {name}: {EXTRA}", _drop_server(catalog, name))
    query = f"SELECT fdwname FROM pg_catalog.pg_foreign_data_wrapper v WHERE {own('pg_foreign_data_wrapper', 'v')}"
    for (name,) in catalog.rows(query):
        statement = f"DROP FOREIGN DATA WRAPPER {catalog.quote(name)}"
        yield Difference(f"foreign-data wrapper {name}: {EXTRA}{catalog.by_superuser}", statement)
