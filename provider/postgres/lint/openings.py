"""What a statement opens: functions and views with their owner's privileges, policies, row-level security."""

from collections.abc import Iterator, Sequence

from postgast import AstNode
from postgast import nodes as ast
from postgast import pg_query_pb2 as enums

from provider.postgres.lint import LintFinding
from provider.postgres.syntax_tree import constant_text, nodes, of_kind, table_name

_SAFE_SCHEMAS = {"", "pg_catalog", "pg_temp"}
_TRUE = {"true", "on", "1", "yes"}
_ROW_SECURITY = {enums.AT_DisableRowSecurity, enums.AT_NoForceRowSecurity}


def openings(statement: AstNode, line: int, schema: str) -> Iterator[LintFinding]:
    """Findings on one statement of a file of ``schema``."""
    for node in nodes(statement):
        for message, remedy in _openings(node, schema):
            yield LintFinding(line, "opening", message, remedy)


def _openings(node: AstNode, schema: str) -> Iterator[tuple[str, str]]:
    invoker = "add WITH (security_invoker = true)"
    match node:
        case ast.CreateFunctionStmt() if _is_definer(node.options) and not _has_search_path(node.options, schema):
            remedy = "add SET search_path = pg_catalog, pg_temp"
            yield "a SECURITY DEFINER function resolves names in its caller's search_path", remedy
        case ast.AlterFunctionStmt() if _is_definer(node.actions) or _sets(node.actions):
            yield "the privileges or settings of a function change", "CREATE OR REPLACE it with all its clauses"
        case ast.ViewStmt() if not _is_invoker(node.options):
            yield f"view {table_name(node.view)} reads tables with its owner's privileges", invoker
        case ast.CreateTableAsStmt(objtype=enums.OBJECT_MATVIEW):
            name = table_name(node.into.rel) if node.into is not None else ""
            message = f"materialized view {name} copies rows, and row-level security does not apply to it"
            yield message, "use a view with security_invoker"
        case ast.CreatePolicyStmt() | ast.AlterPolicyStmt():
            yield f"policy {node.policy_name} decides who sees rows", "mark tenants in the mapping instead"
        case ast.AlterTableStmt():
            for command in of_kind(ast.AlterTableCmd, node.cmds):
                if command.subtype in _ROW_SECURITY:
                    yield f"row-level security of {table_name(node.relation)} is weakened", "the mapping decides that"
                elif _ends_invoker(command):
                    yield f"{table_name(node.relation)} reads tables with its owner's privileges", invoker


def _is_definer(options: Sequence[AstNode]) -> bool:
    return any(
        item.defname == "security" and isinstance(item.arg, ast.Boolean) and item.arg.boolval
        for item in of_kind(ast.DefElem, options)
    )


def _settings(options: Sequence[AstNode]) -> list[ast.VariableSetStmt]:
    return [
        item.arg
        for item in of_kind(ast.DefElem, options)
        if item.defname == "set" and isinstance(item.arg, ast.VariableSetStmt)
    ]


def _sets(options: Sequence[AstNode]) -> bool:
    return bool(_settings(options))


def _has_search_path(options: Sequence[AstNode], schema: str) -> bool:
    """Whether the function's search_path has only schemas in which nobody but the owner and PostgreSQL has objects."""
    return any(
        setting.name == "search_path"
        and setting.kind == enums.VAR_SET_VALUE
        and all((constant_text(value) or "") in {*_SAFE_SCHEMAS, schema} for value in setting.args)
        for setting in _settings(options)
    )


def _is_invoker(options: Sequence[AstNode]) -> bool:
    return any(item.defname == "security_invoker" and _is_true(item.arg) for item in of_kind(ast.DefElem, options))


def _is_true(value: AstNode | None) -> bool:
    match value:
        case None:
            return True
        case ast.Boolean():
            return value.boolval
        case ast.Integer():
            return value.ival == 1
        case ast.String():
            return value.sval.lower() in _TRUE
        case ast.TypeName():
            return (value.names[-1].sval if isinstance(value.names[-1], ast.String) else "").lower() in _TRUE
    return False


def _ends_invoker(command: ast.AlterTableCmd) -> bool:
    options = command.def_.items if isinstance(command.def_, ast.List) else []
    named = [item for item in of_kind(ast.DefElem, options) if item.defname == "security_invoker"]
    if command.subtype == enums.AT_ResetRelOptions:
        return bool(named)
    return command.subtype == enums.AT_SetRelOptions and any(not _is_true(item.arg) for item in named)
