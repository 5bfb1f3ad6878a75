"""What a statement does to append-only tables: their rows, their columns, and the triggers that protect them."""

from collections.abc import Collection, Iterator

from postgast import AstNode
from postgast import nodes as ast
from postgast import pg_query_pb2 as enums

from provider.postgres.append_only import FUNCTION, ROW_TRIGGER, TRUNCATE_TRIGGER
from provider.postgres.lint import Effect, LintFinding
from provider.postgres.lint.bodies import inner_statements
from provider.postgres.lint.place import Place
from provider.postgres.statements import Statement
from provider.postgres.syntax_tree import is_placeholder, nodes, of_kind, strings, table_name
from provider.postgres.target import SchemaTarget

GUARDS = {ROW_TRIGGER, TRUNCATE_TRIGGER}
_REMEDY = "evidence never changes: if this is not evidence, remove append_only from the mapping first"
# TriggerType bits of pg_trigger.h.
_ROW, _BEFORE, _INSERT = 1, 2, 4
_PROTECTION = {
    enums.AT_EnableTrig: "a trigger no longer fires always",
    enums.AT_EnableReplicaTrig: "a trigger no longer fires",
    enums.AT_AlterColumnType: "the type of a column changes",
    enums.AT_DropColumn: "a column is dropped",
    enums.AT_SetExpression: "the values of a column are computed again",
    enums.AT_DropExpression: "a generated column becomes an ordinary one",
    enums.AT_SetUnLogged: "a crash would empty the table",
    enums.AT_DropInherit: "rows leave the table",
    enums.AT_DetachPartition: "rows leave the table",
    enums.AT_DetachPartitionFinalize: "rows leave the table",
    enums.AT_EnableRule: "a rule replaces what others write",
    enums.AT_EnableAlwaysRule: "a rule replaces what others write",
    enums.AT_EnableReplicaRule: "a rule replaces what others write",
}


def evidence(statement: AstNode, line: int, created: set[str], place: Place) -> Iterator[LintFinding]:
    """Findings on one statement. ``created`` are the tables that the same run created before it."""
    for node in nodes(statement):
        for relation, message, effect in _changes(node, place):
            if relation is None or not _is_new(relation, created, place):
                name = table_name(relation) if relation is not None else f"{place.target.schema}.{FUNCTION}()"
                yield LintFinding(line, "evidence", f"{name}: {message}", _REMEDY, effect)


def row_changes(statement: Statement, target: SchemaTarget, tables: Collection[str]) -> list[str]:
    """Describe which rows of ``tables`` a statement would change as it runs, whether or not there are any rows.

    Leaves out tables whose name is composed at run time; if they have rows, their triggers refuse the change.
    """
    place = Place(target, append_only=frozenset(tables))
    trees = [statement.tree]
    if isinstance(statement.tree, ast.CreateFunctionStmt):
        return []
    if isinstance(statement.tree, ast.DoStmt):
        inner = inner_statements(statement.tree, statement.text, statement.line)
        trees = [found.tree for found in inner if not isinstance(found, LintFinding)]
    return [
        f"{table_name(relation)}: {message}"
        for tree in trees
        for node in nodes(tree)
        for relation, message, _ in _row_changes(node, place)
        if relation is not None and not is_placeholder(relation.relname)
    ]


def _is_new(relation: ast.RangeVar, created: set[str], place: Place) -> bool:
    return table_name(relation) in created or f"{place.target.schema}.{relation.relname}" in created


def _changes(node: AstNode, place: Place) -> Iterator[tuple[ast.RangeVar | None, str, Effect | None]]:
    """(append-only table, or None for the guard function; what happens to it; the effect if it is not the rule's)."""
    yield from _row_changes(node, place)
    yield from _attached(node, place)
    if _changes_guard_function(node):
        yield None, "the function that protects evidence belongs to the runner", None
    match node:
        case ast.RuleStmt() if place.is_evidence(node.relation):
            yield node.relation, f"rule {node.rulename} replaces what others write", None
        case ast.CreateTrigStmt() if place.is_evidence(node.relation):
            if node.trigname in GUARDS:
                yield node.relation, f"trigger {node.trigname} protects it and belongs to the runner", None
            elif node.timing & _BEFORE and node.row and node.events & _INSERT:
                yield node.relation, f"trigger {node.trigname} can change or discard new evidence", None
        case ast.AlterTableStmt() if place.is_evidence(node.relation):
            for command in of_kind(ast.AlterTableCmd, node.cmds):
                if (message := _PROTECTION.get(command.subtype)) is not None:
                    yield node.relation, message, None
        case ast.CreateStmt(partbound=None):
            for parent in of_kind(ast.RangeVar, node.inh_relations):
                if place.is_evidence(parent):
                    yield parent, f"rows of {table_name(node.relation)} become evidence", Effect.WIDENS_ACCESS


def _row_changes(node: AstNode, place: Place) -> Iterator[tuple[ast.RangeVar | None, str, None]]:
    match node:
        case ast.DeleteStmt() if place.is_evidence(node.relation):
            yield node.relation, "rows of evidence are deleted", None
        case ast.UpdateStmt() if place.is_evidence(node.relation):
            yield node.relation, "rows of evidence are changed", None
        case ast.MergeStmt() if place.is_evidence(node.relation):
            yield node.relation, "rows of evidence are merged", None
        case ast.InsertStmt() if place.is_evidence(node.relation) and _updates_on_conflict(node):
            yield node.relation, "rows of evidence are changed ON CONFLICT", None


def _attached(node: AstNode, place: Place) -> Iterator[tuple[ast.RangeVar, str, Effect]]:
    """Evidence that gets the rows of another table."""
    if not isinstance(node, ast.AlterTableStmt) or node.relation is None:
        return
    for command in of_kind(ast.AlterTableCmd, node.cmds):
        match command.subtype, command.def_:
            case enums.AT_AddInherit, ast.RangeVar() as parent if place.is_evidence(parent):
                yield parent, f"rows of {table_name(node.relation)} become evidence", Effect.WIDENS_ACCESS
            case enums.AT_AttachPartition, ast.PartitionCmd() as attached if place.is_evidence(node.relation):
                message = f"rows of {table_name(attached.name)} become evidence"
                yield node.relation, message, Effect.WIDENS_ACCESS


def _updates_on_conflict(node: ast.InsertStmt) -> bool:
    return node.on_conflict_clause is not None and node.on_conflict_clause.action == enums.ONCONFLICT_UPDATE


def _changes_guard_function(node: AstNode) -> bool:
    match node:
        case ast.CreateFunctionStmt():
            return (strings(node.funcname) or [""])[-1] == FUNCTION
        case ast.AlterFunctionStmt(func=ast.ObjectWithArgs() as function):
            return (strings(function.objname) or [""])[-1] == FUNCTION
        case ast.RenameStmt(object=ast.ObjectWithArgs() as function):
            return (strings(function.objname) or [""])[-1] == FUNCTION
    return False
