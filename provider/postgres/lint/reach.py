"""What a statement reaches for: other schemas, powers that the owner lacks, privileges that the mapping gives."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from postgast import AstNode
from postgast import nodes as ast
from postgast import pg_query_pb2 as enums

from components.mapping.access import CHANGE, READ
from provider.postgres.lint import LintFinding
from provider.postgres.lint.bodies import language_of
from provider.postgres.syntax_tree import is_placeholder, nodes, of_kind, option, strings
from provider.postgres.target import SchemaTarget

_OPEN_SCHEMAS = {"pg_catalog", "information_schema"}
# Comments, drops and the like name these as schema, table, thing.
_PARTS_OF_TABLES = {
    enums.OBJECT_COLUMN,
    enums.OBJECT_TRIGGER,
    enums.OBJECT_RULE,
    enums.OBJECT_POLICY,
    enums.OBJECT_TABCONSTRAINT,
}
_SUPERUSER: dict[type[AstNode], str] = {
    ast.AlterDatabaseSetStmt: "ALTER DATABASE",
    ast.AlterEventTrigStmt: "ALTER EVENT TRIGGER",
    ast.AlterExtensionStmt: "ALTER EXTENSION",
    ast.AlterRoleSetStmt: "ALTER ROLE",
    ast.AlterRoleStmt: "ALTER ROLE",
    ast.AlterSystemStmt: "ALTER SYSTEM",
    ast.CheckPointStmt: "CHECKPOINT",
    ast.CreateAmStmt: "CREATE ACCESS METHOD",
    ast.CreateCastStmt: "CREATE CAST",
    ast.CreateConversionStmt: "CREATE CONVERSION",
    ast.CreateEventTrigStmt: "CREATE EVENT TRIGGER",
    ast.CreateExtensionStmt: "CREATE EXTENSION",
    ast.CreateFdwStmt: "CREATE FOREIGN DATA WRAPPER",
    ast.CreateForeignServerStmt: "CREATE SERVER",
    ast.CreatePLangStmt: "CREATE LANGUAGE",
    ast.CreatePublicationStmt: "CREATE PUBLICATION",
    ast.CreateRoleStmt: "CREATE ROLE",
    ast.CreateSchemaStmt: "CREATE SCHEMA",
    ast.CreateSubscriptionStmt: "CREATE SUBSCRIPTION",
    ast.CreateTableSpaceStmt: "CREATE TABLESPACE",
    ast.CreateTransformStmt: "CREATE TRANSFORM",
    ast.CreatedbStmt: "CREATE DATABASE",
    ast.DropRoleStmt: "DROP ROLE",
    ast.DropTableSpaceStmt: "DROP TABLESPACE",
    ast.DropdbStmt: "DROP DATABASE",
    ast.LoadStmt: "LOAD",
}
_TRUSTED = {"sql", "plpgsql"}
# Settings that only a superuser may change.
_SETTINGS = {"session_replication_role", "log_statement", "log_min_messages", "row_security", "allow_system_table_mods"}


@dataclass(frozen=True)
class Place:
    """Where a statement stands. ``runtime_tables``: the schema has tables that its functions make at run time;
    ``dynamic``: the statement is put together by a function."""

    target: SchemaTarget
    runtime_tables: bool
    dynamic: bool = False


def reach(statement: AstNode, line: int, place: Place) -> Iterator[LintFinding]:
    """Findings on one statement, each once."""
    found = [*_outside(statement, line, place), *_powers(statement, line), *_grants(statement, line, place)]
    yield from dict.fromkeys(found)


def _outside(statement: AstNode, line: int, place: Place) -> Iterator[LintFinding]:
    schema = place.target.schema
    known = {node.ctename for node in of_kind(ast.CommonTableExpr, nodes(statement))}
    for node in nodes(statement):
        match node:
            case ast.RangeVar():
                # With an empty search path the server's own catalog is still found.
                if not node.schemaname and (node.relname in known or node.relname.startswith("pg_")):
                    continue
                yield from _judge(line, [node.schemaname or None, node.relname], schema)
            case ast.TypeName() | ast.FuncCall():
                names = strings(node.names if isinstance(node, ast.TypeName) else node.funcname) or []
                # One word is found in pg_catalog, or nowhere: the search path is empty.
                if len(names) > 1:
                    yield from _judge(line, names, schema)
            case ast.DropStmt():
                yield from _named(node.objects, node.remove_type, line, schema)
            case ast.CommentStmt():
                yield from _named([node.object], node.objtype, line, schema)
            case ast.AlterOwnerStmt() | ast.AlterObjectSchemaStmt():
                yield from _named([node.object], node.object_type, line, schema)
            case _ if own := _own_name(node):
                names = strings(own) or []
                yield from _judge(line, names if len(names) > 1 else [None, *names], schema)


def _own_name(node: AstNode) -> list[AstNode]:
    """The name of what a statement makes or changes, for the kinds that name it in words; else nothing."""
    match node:
        case ast.CreateFunctionStmt() | ast.CreateTrigStmt():
            return node.funcname
        case ast.ObjectWithArgs():
            return node.objname
        case ast.CreateEnumStmt() | ast.AlterEnumStmt() | ast.CreateRangeStmt() | ast.AlterDomainStmt():
            return node.type_name
        case ast.CreateDomainStmt():
            return node.domainname
        case ast.CreateStatsStmt() | ast.DefineStmt():
            return node.defnames
        case ast.CreateOpClassStmt():
            return node.opclassname
        case _:
            return []


def _named(items: Iterable[AstNode | None], kind: int, line: int, schema: str) -> Iterator[LintFinding]:
    length = 3 if kind in _PARTS_OF_TABLES else 2
    for item in items:
        if (names := strings(item)) is not None:
            yield from _judge(line, names if len(names) >= length else [None, *names], schema)
        elif isinstance(item, ast.String):
            yield from _judge(line, [item.sval, ""], schema)


def _judge(line: int, names: Sequence[str | None], schema: str) -> Iterator[LintFinding]:
    first, rest = names[0], ".".join(str(name) for name in names[1:])
    if first == schema or first in _OPEN_SCHEMAS or is_placeholder(first) or (first is None and is_placeholder(rest)):
        return
    if first is None:
        what, todo = f"{rest} has no schema, and the search path is empty", f"write {{{{ schema }}}}.{rest}"
    else:
        what, todo = f"{first}.{rest} is outside of schema {schema}", "a module's migrations stay in its own schema"
    yield LintFinding(line, "outside-schema", what.rstrip("."), todo)


def _powers(statement: AstNode, line: int) -> Iterator[LintFinding]:
    todo = "migrations run as the schema's owner, which is no superuser: leave it to whoever runs the database"
    for node in nodes(statement):
        if command := _SUPERUSER.get(type(node)):
            yield LintFinding(line, "superuser", f"the owner may not {command}", todo)
        elif isinstance(node, ast.VariableSetStmt) and node.name in _SETTINGS:
            yield LintFinding(line, "superuser", f"the owner may not SET {node.name}", todo)
        elif isinstance(node, ast.CopyStmt) and (node.filename or node.is_program):
            yield LintFinding(line, "superuser", "COPY with a file or a program of the server", todo)
        elif isinstance(node, ast.CreateFunctionStmt):
            if (language := language_of(node)) not in _TRUSTED:
                yield LintFinding(line, "superuser", f"a function in language {language}", "write it in sql or plpgsql")
            leakproof = option(node, "leakproof")
            if isinstance(leakproof, ast.Boolean) and leakproof.boolval:
                yield LintFinding(line, "superuser", "only a superuser may call a function LEAKPROOF", "take it out")
        elif isinstance(node, ast.AlterTableCmd) and node.subtype == enums.AT_DisableTrigAll:
            yield LintFinding(line, "superuser", "DISABLE TRIGGER ALL includes foreign keys", todo)


def _grants(statement: AstNode, line: int, place: Place) -> Iterator[LintFinding]:
    todo = "privileges and owners follow from schema-mapping.yaml: put it there"
    for node in nodes(statement):
        match node:
            case ast.AlterDefaultPrivilegesStmt():
                yield LintFinding(line, "grant", "ALTER DEFAULT PRIVILEGES", todo)
                return
            case ast.GrantStmt() if not _in_the_model(node, place):
                roles = ", ".join(_role(grantee) for grantee in of_kind(ast.RoleSpec, node.grantees))
                verb = "GRANT to" if node.is_grant else "REVOKE from"
                yield LintFinding(line, "grant", f"{verb} {roles}", todo)
            case ast.GrantRoleStmt():
                yield LintFinding(line, "grant", "a role's members are changed", todo)
            case ast.AlterOwnerStmt() | ast.ReassignOwnedStmt() | ast.DropOwnedStmt():
                yield LintFinding(line, "grant", "an owner is changed", todo)
            case ast.AlterTableCmd() if node.subtype == enums.AT_ChangeOwner:
                yield LintFinding(line, "grant", "an owner is changed", todo)


def _role(grantee: ast.RoleSpec) -> str:
    return grantee.rolename or "PUBLIC"


def _in_the_model(node: ast.GrantStmt, place: Place) -> bool:
    """What the mapping cannot say in another place: nothing for PUBLIC, and tables that a function makes.

    Which of the run-time tables a function means is not to be seen here, so the widest of them sets the bound; the
    access tests try the narrow ones.
    """
    roles = {_role(grantee) for grantee in of_kind(ast.RoleSpec, node.grantees)}
    if not node.is_grant:
        return roles == {"PUBLIC"}
    runtime = place.dynamic and place.runtime_tables and node.objtype == enums.OBJECT_TABLE
    made_at_run_time = all(isinstance(item, ast.RangeVar) and is_placeholder(item.relname) for item in node.objects)
    if not runtime or not made_at_run_time or node.grant_option:
        return False
    # ALL PRIVILEGES has no list.
    asked = {item.priv_name.upper() for item in of_kind(ast.AccessPriv, node.privileges)}
    variables = place.target.variables
    allowed = {variables["reader"]: READ, variables["writer"]: CHANGE}
    return bool(asked) and all(asked <= allowed.get(role, frozenset()) for role in roles)
