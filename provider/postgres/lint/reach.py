"""What a statement reaches for: other schemas, powers that the owner lacks, privileges that the mapping gives."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pglast import ast, enums

from components.mapping.access import CHANGE, READ
from provider.postgres.lint import Finding
from provider.postgres.lint.tree import is_placeholder, nodes, option, strings
from provider.postgres.target import Target

OBJECT = enums.ObjectType

_OPEN_SCHEMAS = {"pg_catalog", "information_schema"}
# Comments, drops and the like name these as schema, table, thing.
_PARTS_OF_TABLES = {
    OBJECT.OBJECT_COLUMN,
    OBJECT.OBJECT_TRIGGER,
    OBJECT.OBJECT_RULE,
    OBJECT.OBJECT_POLICY,
    OBJECT.OBJECT_TABCONSTRAINT,
}
_NAMES = {
    "CreateFunctionStmt": "funcname",
    "CreateTrigStmt": "funcname",
    "ObjectWithArgs": "objname",
    "CreateEnumStmt": "typeName",
    "AlterEnumStmt": "typeName",
    "CreateRangeStmt": "typeName",
    "CreateDomainStmt": "domainname",
    "AlterDomainStmt": "typeName",
    "CreateStatsStmt": "defnames",
    "DefineStmt": "defnames",
    "CreateOpClassStmt": "opclassname",
}
_SUPERUSER = {
    "AlterDatabaseSetStmt": "ALTER DATABASE",
    "AlterEventTrigStmt": "ALTER EVENT TRIGGER",
    "AlterExtensionStmt": "ALTER EXTENSION",
    "AlterRoleSetStmt": "ALTER ROLE",
    "AlterRoleStmt": "ALTER ROLE",
    "AlterSystemStmt": "ALTER SYSTEM",
    "CheckPointStmt": "CHECKPOINT",
    "CreateAmStmt": "CREATE ACCESS METHOD",
    "CreateCastStmt": "CREATE CAST",
    "CreateConversionStmt": "CREATE CONVERSION",
    "CreateEventTrigStmt": "CREATE EVENT TRIGGER",
    "CreateExtensionStmt": "CREATE EXTENSION",
    "CreateFdwStmt": "CREATE FOREIGN DATA WRAPPER",
    "CreateForeignServerStmt": "CREATE SERVER",
    "CreatePLangStmt": "CREATE LANGUAGE",
    "CreatePublicationStmt": "CREATE PUBLICATION",
    "CreateRoleStmt": "CREATE ROLE",
    "CreateSchemaStmt": "CREATE SCHEMA",
    "CreateSubscriptionStmt": "CREATE SUBSCRIPTION",
    "CreateTableSpaceStmt": "CREATE TABLESPACE",
    "CreateTransformStmt": "CREATE TRANSFORM",
    "CreatedbStmt": "CREATE DATABASE",
    "DropRoleStmt": "DROP ROLE",
    "DropTableSpaceStmt": "DROP TABLESPACE",
    "DropdbStmt": "DROP DATABASE",
    "LoadStmt": "LOAD",
}
_TRUSTED = {"sql", "plpgsql"}
# Settings that only a superuser may change.
_SETTINGS = {"session_replication_role", "log_statement", "log_min_messages", "row_security", "allow_system_table_mods"}


@dataclass(frozen=True)
class Place:
    """Where a statement stands. ``runtime_tables``: the schema has tables that its functions make at run time;
    ``dynamic``: the statement is put together by a function."""

    target: Target
    runtime_tables: bool
    dynamic: bool = False


def reach(statement: Any, line: int, place: Place) -> Iterator[Finding]:
    """Findings on one statement, each once."""
    found = [*_outside(statement, line, place), *_powers(statement, line), *_grants(statement, line, place)]
    yield from dict.fromkeys(found)


def _outside(statement: Any, line: int, place: Place) -> Iterator[Finding]:
    schema = place.target.schema
    known = {node.ctename for node in nodes(statement) if isinstance(node, ast.CommonTableExpr)}
    for node in nodes(statement):
        match node:
            case ast.RangeVar():
                # With an empty search path the server's own catalog is still found.
                if node.schemaname is None and (node.relname in known or node.relname.startswith("pg_")):
                    continue
                yield from _judge(line, [node.schemaname, node.relname], schema)
            case ast.TypeName() | ast.FuncCall():
                names = strings(node.names if isinstance(node, ast.TypeName) else node.funcname) or []
                # One word is found in pg_catalog, or nowhere: the search path is empty.
                if len(names) > 1:
                    yield from _judge(line, names, schema)
            case ast.DropStmt() | ast.CommentStmt() | ast.AlterOwnerStmt() | ast.AlterObjectSchemaStmt():
                yield from _named(node, line, schema)
            case _ if attribute := _NAMES.get(type(node).__name__):
                names = strings(getattr(node, attribute)) or []
                yield from _judge(line, names if len(names) > 1 else [None, *names], schema)


def _named(node: Any, line: int, schema: str) -> Iterator[Finding]:
    kind = getattr(node, "removeType", None) or getattr(node, "objtype", None) or getattr(node, "objectType", None)
    length = 3 if kind in _PARTS_OF_TABLES else 2
    items = node.objects if isinstance(node, ast.DropStmt) else (node.object,)
    for item in items:
        if (names := strings(item)) is not None:
            yield from _judge(line, names if len(names) >= length else [None, *names], schema)
        elif isinstance(item, ast.String):
            yield from _judge(line, [item.sval, ""], schema)


def _judge(line: int, names: list[Any], schema: str) -> Iterator[Finding]:
    first, rest = names[0], ".".join(str(name) for name in names[1:])
    if first == schema or first in _OPEN_SCHEMAS or is_placeholder(first) or (first is None and is_placeholder(rest)):
        return
    if first is None:
        what, todo = f"{rest} has no schema, and the search path is empty", f"write {{{{ schema }}}}.{rest}"
    else:
        what, todo = f"{first}.{rest} is outside of schema {schema}", "a module's migrations stay in its own schema"
    yield Finding(line, "outside-schema", what.rstrip("."), todo)


def _powers(statement: Any, line: int) -> Iterator[Finding]:
    todo = "migrations run as the schema's owner, which is no superuser: leave it to whoever runs the database"
    for node in nodes(statement):
        name = type(node).__name__
        if name in _SUPERUSER:
            yield Finding(line, "superuser", f"the owner may not {_SUPERUSER[name]}", todo)
        elif isinstance(node, ast.VariableSetStmt) and node.name in _SETTINGS:
            yield Finding(line, "superuser", f"the owner may not SET {node.name}", todo)
        elif isinstance(node, ast.CopyStmt) and (node.filename or node.is_program):
            yield Finding(line, "superuser", "COPY with a file or a program of the server", todo)
        elif isinstance(node, ast.CreateFunctionStmt):
            language = getattr(option(node, "language"), "sval", "sql")
            if str(language).lower() not in _TRUSTED:
                yield Finding(line, "superuser", f"a function in language {language}", "write it in sql or plpgsql")
            if option(node, "leakproof") is not None and option(node, "leakproof").boolval:
                yield Finding(line, "superuser", "only a superuser may call a function LEAKPROOF", "take it out")
        elif isinstance(node, ast.AlterTableCmd) and node.subtype == enums.AlterTableType.AT_DisableTrigAll:
            yield Finding(line, "superuser", "DISABLE TRIGGER ALL includes foreign keys", todo)


def _grants(statement: Any, line: int, place: Place) -> Iterator[Finding]:
    todo = "privileges and owners follow from schema-mapping.yaml: put it there"
    for node in nodes(statement):
        match node:
            case ast.AlterDefaultPrivilegesStmt():
                yield Finding(line, "grant", "ALTER DEFAULT PRIVILEGES", todo)
                return
            case ast.GrantStmt() if not _in_the_model(node, place):
                roles = ", ".join(_role(grantee) for grantee in node.grantees)
                verb = "GRANT to" if node.is_grant else "REVOKE from"
                yield Finding(line, "grant", f"{verb} {roles}", todo)
            case ast.GrantRoleStmt():
                yield Finding(line, "grant", "a role's members are changed", todo)
            case ast.AlterOwnerStmt() | ast.ReassignOwnedStmt() | ast.DropOwnedStmt():
                yield Finding(line, "grant", "an owner is changed", todo)
            case ast.AlterTableCmd() if node.subtype == enums.AlterTableType.AT_ChangeOwner:
                yield Finding(line, "grant", "an owner is changed", todo)


def _role(grantee: Any) -> str:
    return str(grantee.rolename) if grantee.rolename else "PUBLIC"


def _in_the_model(node: Any, place: Place) -> bool:
    """What the mapping cannot say in another place: nothing for PUBLIC, and tables that a function makes.

    Which of the run-time tables a function means is not to be seen here, so the widest of them sets the bound; the
    access tests try the narrow ones.
    """
    roles = {_role(grantee) for grantee in node.grantees}
    if not node.is_grant:
        return roles == {"PUBLIC"}
    runtime = place.dynamic and place.runtime_tables and node.objtype == OBJECT.OBJECT_TABLE
    if not runtime or not all(is_placeholder(item.relname) for item in node.objects) or node.grant_option:
        return False
    # ALL PRIVILEGES has no list.
    asked = {str(item.priv_name).upper() for item in node.privileges or ()}
    variables = place.target.variables
    allowed = {variables["reader"]: READ, variables["writer"]: CHANGE}
    return bool(asked) and all(asked <= allowed.get(role, frozenset()) for role in roles)
