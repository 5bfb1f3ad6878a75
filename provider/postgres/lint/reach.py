"""Objects outside the schema, privileges that the owner lacks, and privileges that the mapping decides."""

from collections.abc import Iterable, Iterator, Sequence

from postgast import AstNode
from postgast import nodes as ast
from postgast import pg_query_pb2 as enums

from components.mapping.access import CHANGE, EXTENSIONS_SCHEMA, READ
from provider.postgres.lint import Effect, LintFinding
from provider.postgres.lint.bodies import language_of
from provider.postgres.lint.place import Place
from provider.postgres.syntax_tree import is_placeholder, nodes, of_kind, option, strings

_OPEN_SCHEMAS = {"pg_catalog", "information_schema", EXTENSIONS_SCHEMA}
# Comments, drops and the like name these as schema, table, thing.
_PARTS_OF_TABLES = {
    enums.OBJECT_COLUMN,
    enums.OBJECT_TRIGGER,
    enums.OBJECT_RULE,
    enums.OBJECT_POLICY,
    enums.OBJECT_TABCONSTRAINT,
}
SUPERUSER: dict[type[AstNode], str] = {
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
# What these do, if the owner may do it after all.
_EFFECTS: dict[type[AstNode], Effect] = {
    ast.AlterRoleSetStmt: Effect.WIDENS_ACCESS,
    ast.AlterRoleStmt: Effect.WIDENS_ACCESS,
    ast.CreateRoleStmt: Effect.WIDENS_ACCESS,
    ast.DropRoleStmt: Effect.REVOKES,
    ast.DropTableSpaceStmt: Effect.DESTROYS_DATA,
    ast.DropdbStmt: Effect.DESTROYS_DATA,
}


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
                yield from _in_schema(line, [node.schemaname or None, node.relname], schema)
            case ast.TypeName() | ast.FuncCall():
                names = strings(node.names if isinstance(node, ast.TypeName) else node.funcname) or []
                # One word is found in pg_catalog, or nowhere: the search path is empty.
                if len(names) > 1:
                    yield from _in_schema(line, names, schema)
            case ast.DropStmt():
                yield from _named(node.objects, node.remove_type, line, schema)
            case ast.CommentStmt():
                yield from _named([node.object], node.objtype, line, schema)
            case ast.AlterOwnerStmt() | ast.AlterObjectSchemaStmt():
                yield from _named([node.object], node.object_type, line, schema)
            case _ if own := _own_name(node):
                names = strings(own) or []
                yield from _in_schema(line, names if len(names) > 1 else [None, *names], schema)


def _own_name(node: AstNode) -> list[AstNode]:
    """The name of what a statement creates or changes, for the kinds that name it in words; else nothing."""
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
            yield from _in_schema(line, names if len(names) >= length else [None, *names], schema)
        elif isinstance(item, ast.String):
            yield from _in_schema(line, [item.sval, ""], schema)


def _in_schema(line: int, names: Sequence[str | None], schema: str) -> Iterator[LintFinding]:
    first, rest = names[0], ".".join(str(name) for name in names[1:])
    if first == schema or first in _OPEN_SCHEMAS or is_placeholder(first) or (first is None and is_placeholder(rest)):
        return
    if first is None:
        message, remedy = f"{rest} has no schema, and the search path is empty", f"write {{{{ schema }}}}.{rest}"
        # The server finds nothing by that name, so the file fails.
        yield LintFinding(line, "outside-schema", message.rstrip("."), remedy, Effect.ADDITIVE)
        return
    message, remedy = f"{first}.{rest} is outside of schema {schema}", "a module's migrations stay in its own schema"
    yield LintFinding(line, "outside-schema", message.rstrip("."), remedy)


def _powers(statement: AstNode, line: int) -> Iterator[LintFinding]:
    remedy = (
        "migrations run as the schema's owner, which is not a superuser: an administrator of the database must do it"
    )
    for node in nodes(statement):
        if command := SUPERUSER.get(type(node)):
            yield LintFinding(line, "superuser", f"the owner may not {command}", remedy, _EFFECTS.get(type(node)))
        elif isinstance(node, ast.CopyStmt) and (node.filename or node.is_program):
            yield LintFinding(line, "superuser", "COPY with a file or a program of the server", remedy)
        elif isinstance(node, ast.CreateFunctionStmt):
            if (language := language_of(node)) not in _TRUSTED:
                yield LintFinding(line, "superuser", f"a function in language {language}", "write it in sql or plpgsql")
            leakproof = option(node, "leakproof")
            if isinstance(leakproof, ast.Boolean) and leakproof.boolval:
                yield LintFinding(line, "superuser", "only a superuser may declare a function LEAKPROOF", "remove it")
        elif isinstance(node, ast.AlterTableCmd) and node.subtype == enums.AT_DisableTrigAll:
            message = "DISABLE TRIGGER ALL includes foreign keys"
            yield LintFinding(line, "superuser", message, remedy, Effect.DESTROYS_DATA)


def _grants(statement: AstNode, line: int, place: Place) -> Iterator[LintFinding]:
    remedy = "privileges and owners follow from schema-mapping.yaml: declare it there"
    for node in nodes(statement):
        match node:
            case ast.AlterDefaultPrivilegesStmt():
                yield LintFinding(line, "grant", "ALTER DEFAULT PRIVILEGES", remedy)
                return
            case ast.GrantStmt() if not _in_the_model(node, place):
                roles = ", ".join(_role(grantee) for grantee in of_kind(ast.RoleSpec, node.grantees))
                verb = "GRANT to" if node.is_grant else "REVOKE from"
                yield LintFinding(line, "grant", f"{verb} {roles}", remedy, None if node.is_grant else Effect.REVOKES)
            case ast.GrantRoleStmt():
                yield LintFinding(line, "grant", "the members of a role change", remedy)
            case ast.AlterOwnerStmt() | ast.ReassignOwnedStmt() | ast.DropOwnedStmt():
                yield LintFinding(line, "grant", "an owner changes", remedy)
            case ast.AlterTableCmd() if node.subtype == enums.AT_ChangeOwner:
                yield LintFinding(line, "grant", "an owner changes", remedy)


def _role(grantee: ast.RoleSpec) -> str:
    return grantee.rolename or "PUBLIC"


def _in_the_model(node: ast.GrantStmt, place: Place) -> bool:
    """Whether a migration may give it: REVOKE from PUBLIC, and grants on tables that a function creates.

    The statement does not show which of the run-time tables it means, so the widest grant of any of them is the limit.
    """
    roles = {_role(grantee) for grantee in of_kind(ast.RoleSpec, node.grantees)}
    if not node.is_grant:
        return roles == {"PUBLIC"}
    runtime = place.dynamic and place.runtime_tables and node.objtype == enums.OBJECT_TABLE
    created_at_run_time = all(isinstance(item, ast.RangeVar) and is_placeholder(item.relname) for item in node.objects)
    if not runtime or not created_at_run_time or node.grant_option:
        return False
    # ALL PRIVILEGES has no list.
    privileges = {item.priv_name.upper() for item in of_kind(ast.AccessPriv, node.privileges)}
    variables = place.target.variables
    allowed = {variables["reader"]: READ, variables["writer"]: CHANGE}
    return bool(privileges) and all(privileges <= allowed.get(role, frozenset()) for role in roles)
