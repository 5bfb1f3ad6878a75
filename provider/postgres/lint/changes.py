"""What a statement does to rows and to other sessions while it runs: losses, rewrites and locks."""

from collections.abc import Iterator

from postgast import AstNode
from postgast import nodes as ast
from postgast import pg_query_pb2 as enums

from provider.postgres.lint import LintFinding
from provider.postgres.lint.filters import names_rows
from provider.postgres.syntax_tree import nodes, of_kind, strings, table_name

# The same for all rows, so PostgreSQL stores it once instead of writing every row.
_STABLE_DEFAULTS = {"now", "transaction_timestamp", "statement_timestamp", "current_setting"}
_SERIALS = {"serial", "serial2", "serial4", "serial8", "smallserial", "bigserial"}
_REWRITES = {
    enums.AT_SetLogged: "SET LOGGED",
    enums.AT_SetUnLogged: "SET UNLOGGED",
    enums.AT_SetExpression: "SET EXPRESSION",
    enums.AT_SetTableSpace: "SET TABLESPACE",
    enums.AT_SetAccessMethod: "SET ACCESS METHOD",
}
_SWITCHED_OFF = {
    enums.AT_DisableTrig,
    enums.AT_DisableTrigAll,
    enums.AT_DisableTrigUser,
    enums.AT_DisableRule,
    enums.AT_EnableReplicaTrig,
}
_LOSSES = {
    enums.AT_DropColumn: "DROP of column {}",
    enums.AT_DetachPartition: "DETACH of a partition",
    enums.AT_DetachPartitionFinalize: "DETACH of a partition",
    enums.AT_DropInherit: "the rows of a child leave their parent",
    enums.AT_AlterColumnType: "the values of column {} are converted to another type",
    enums.AT_SetUnLogged: "a crash would empty the table",
}
# Renaming these breaks nothing that names them in SQL.
_FREELY_RENAMED = {enums.OBJECT_INDEX, enums.OBJECT_TABCONSTRAINT, enums.OBJECT_DOMCONSTRAINT, enums.OBJECT_POLICY}
_CONSTRAINTS = {
    enums.CONSTR_CHECK: "CHECK",
    enums.CONSTR_FOREIGN: "FOREIGN KEY",
    enums.CONSTR_NOTNULL: "NOT NULL",
}
_INDEXES = {
    enums.CONSTR_PRIMARY: "PRIMARY KEY",
    enums.CONSTR_UNIQUE: "UNIQUE",
    enums.CONSTR_EXCLUSION: "EXCLUDE",
}


def created_by(statement: AstNode) -> set[str]:
    """The tables that a statement creates: nobody else can see them before the file ends."""
    if isinstance(statement, ast.CreateStmt):
        return {table_name(statement.relation)}
    if isinstance(statement, ast.CreateTableAsStmt) and statement.into is not None:
        return {table_name(statement.into.rel)}
    return set()


def changes(statement: AstNode, line: int, fresh: set[str], *, transactional: bool) -> Iterator[LintFinding]:
    """Findings on one statement. ``fresh`` are the tables that the file itself created before it."""
    yield from _losses(statement, line, fresh)
    match statement:
        case ast.IndexStmt():
            yield from _index(statement, line, fresh, transactional=transactional)
        case ast.AlterTableStmt() if table_name(statement.relation) not in fresh:
            for command in of_kind(ast.AlterTableCmd, statement.cmds):
                yield from _alter(command, line, table_name(statement.relation))
        case ast.DropStmt() if statement.remove_type == enums.OBJECT_INDEX:
            yield from _drop_index(statement, line, transactional=transactional)
        case ast.ReindexStmt():
            yield from _reindex(statement, line, transactional=transactional)
        case ast.VacuumStmt() if statement.is_vacuumcmd:
            yield from _vacuum(statement, line, transactional=transactional)
        case ast.RefreshMatViewStmt() if not statement.concurrent:
            yield LintFinding(line, "lock", "REFRESH blocks readers until it ends", "REFRESH ... CONCURRENTLY")
        case ast.LockStmt():
            yield LintFinding(line, "lock", "LOCK TABLE holds until the file's end", "remove it")
        case ast.ClusterStmt():
            yield LintFinding(line, "rewrite", "CLUSTER rewrites the table", "remove it")


def _refuses(line: int, message: str) -> LintFinding:
    remedy = "begin the file with `-- transactional: false`"
    return LintFinding(line, "transaction", f"{message} cannot run in a transaction", remedy)


def _losses(statement: AstNode, line: int, fresh: set[str]) -> Iterator[LintFinding]:
    if isinstance(statement, ast.CreateFunctionStmt):
        return  # what a function does later is not lost now
    remedy = "migrations only go forward; if the loss is intended, give the reason in a waiver"
    for node in nodes(statement):
        message = _loss(node, fresh)
        if message is not None:
            yield LintFinding(line, "destructive", message, remedy)


def _loss(node: AstNode, fresh: set[str]) -> str | None:
    """What is lost, or None. Tables in ``fresh`` have nothing to lose."""
    match node:
        case ast.DropStmt() if node.remove_type != enums.OBJECT_INDEX:
            kind = enums.ObjectType.Name(node.remove_type).removeprefix("OBJECT_").lower()
            return f"DROP of {kind} {', '.join(_dropped(item) for item in node.objects)}"
        case ast.TruncateStmt():
            tables = ", ".join(table_name(relation) for relation in of_kind(ast.RangeVar, node.relations))
            return f"TRUNCATE of {tables}"
        case ast.DeleteStmt() if table_name(node.relation) not in fresh:
            return f"rows of {table_name(node.relation)} are deleted"
        case ast.UpdateStmt() if table_name(node.relation) not in fresh and not names_rows(node.where_clause):
            return f"every row of {table_name(node.relation)} may be changed"
        case ast.MergeStmt() if table_name(node.relation) not in fresh and _merges_changes(node):
            return f"rows of {table_name(node.relation)} are changed or deleted"
        case ast.RenameStmt() if node.rename_type not in _FREELY_RENAMED:
            return f"{node.subname or table_name(node.relation) or 'an object'} is renamed to {node.newname}"
        case ast.AlterEnumStmt() if node.old_val:
            return f"value {node.old_val} is renamed to {node.new_val} in all rows"
        case ast.AlterObjectSchemaStmt():
            return f"an object moves to schema {node.newschema}"
        case ast.RuleStmt():
            return f"rule {node.rulename} replaces what others write or read"
        case ast.AlterTableStmt() if table_name(node.relation) not in fresh:
            return _alter_loss(node)
    return None


def _alter_loss(node: ast.AlterTableStmt) -> str | None:
    for command in of_kind(ast.AlterTableCmd, node.cmds):
        if command.subtype in _LOSSES:
            return _LOSSES[command.subtype].format(f"{table_name(node.relation)}.{command.name}")
        if command.subtype in _SWITCHED_OFF:
            return f"protection {command.name or ''} is switched off".replace("  ", " ")
    return None


def _merges_changes(node: ast.MergeStmt) -> bool:
    changes_rows = {enums.CMD_UPDATE, enums.CMD_DELETE}
    return any(clause.command_type in changes_rows for clause in of_kind(ast.MergeWhenClause, node.merge_when_clauses))


def _dropped(item: AstNode) -> str:
    return ".".join(strings(item) or (strings(item.objname) if isinstance(item, ast.ObjectWithArgs) else None) or ["?"])


def _index(statement: ast.IndexStmt, line: int, fresh: set[str], *, transactional: bool) -> Iterator[LintFinding]:
    table = table_name(statement.relation)
    if statement.concurrent and transactional:
        yield _refuses(line, "CREATE INDEX CONCURRENTLY")
    elif not statement.concurrent and table not in fresh:
        remedy = "CREATE INDEX CONCURRENTLY IF NOT EXISTS, in a file that begins with `-- transactional: false`"
        yield LintFinding(line, "index-blocks", f"writers of {table} wait until the index is created", remedy)


def _reindex(statement: ast.ReindexStmt, line: int, *, transactional: bool) -> Iterator[LintFinding]:
    if not any(item.defname == "concurrently" for item in of_kind(ast.DefElem, statement.params)):
        yield LintFinding(line, "index-blocks", "REINDEX blocks writers", "REINDEX ... CONCURRENTLY")
    elif transactional:
        yield _refuses(line, "REINDEX CONCURRENTLY")


def _drop_index(statement: ast.DropStmt, line: int, *, transactional: bool) -> Iterator[LintFinding]:
    if not statement.concurrent:
        remedy = "DROP INDEX CONCURRENTLY IF EXISTS, in a file that begins with `-- transactional: false`"
        yield LintFinding(line, "index-blocks", "DROP INDEX blocks all sessions that use its table", remedy)
    elif transactional:
        yield _refuses(line, "DROP INDEX CONCURRENTLY")


def _vacuum(statement: ast.VacuumStmt, line: int, *, transactional: bool) -> Iterator[LintFinding]:
    if any(item.defname == "full" for item in of_kind(ast.DefElem, statement.options)):
        yield LintFinding(line, "rewrite", "VACUUM FULL rewrites the table", "leave it to autovacuum")
    if transactional:
        yield _refuses(line, "VACUUM")


def _alter(command: ast.AlterTableCmd, line: int, table: str) -> Iterator[LintFinding]:
    match command.subtype:
        case enums.AT_AddColumn if isinstance(command.def_, ast.ColumnDef):
            yield from _new_column(command.def_, line, table)
        case enums.AT_SetNotNull:
            remedy = "add CHECK (... IS NOT NULL) NOT VALID, VALIDATE it in the next file, then SET NOT NULL is quick"
            yield LintFinding(
                line, "not-null", f"SET NOT NULL reads all of {table} while all other sessions wait", remedy
            )
        case enums.AT_AlterColumnType:
            remedy = "add a new column, fill it in batches, and switch"
            yield LintFinding(line, "rewrite", f"a new type of {table}.{command.name} may rewrite every row", remedy)
        case enums.AT_AddConstraint if isinstance(command.def_, ast.Constraint):
            yield from _constraint(command.def_, line, table)
        case subtype if subtype in _REWRITES:
            yield LintFinding(line, "rewrite", f"{_REWRITES[subtype]} rewrites {table}", "remove it")


def _constraint(constraint: ast.Constraint, line: int, table: str) -> Iterator[LintFinding]:
    kind = constraint.contype
    if kind in _CONSTRAINTS and not constraint.skip_validation:
        remedy = "add it NOT VALID, and VALIDATE CONSTRAINT in a file of its own"
        yield LintFinding(
            line, "constraint-scan", f"{_CONSTRAINTS[kind]} reads all of {table} while writers wait", remedy
        )
    elif kind in _INDEXES and not constraint.indexname:
        remedy = "create the index CONCURRENTLY in a file before this one, then ADD CONSTRAINT ... USING INDEX"
        yield LintFinding(
            line, "index-blocks", f"{_INDEXES[kind]} creates an index on {table} while all other sessions wait", remedy
        )


def _new_column(column: ast.ColumnDef, line: int, table: str) -> Iterator[LintFinding]:
    constraints = {item.contype: item for item in of_kind(ast.Constraint, column.constraints)}
    default = constraints.get(enums.CONSTR_DEFAULT)
    if enums.CONSTR_NOTNULL in constraints and default is None:
        remedy = "give it a DEFAULT, or add it without NOT NULL"
        yield LintFinding(line, "not-null", f"{table}.{column.colname} is NOT NULL and has no DEFAULT", remedy)
    if _varies(column, constraints, default):
        remedy = "add it without, set the default in a later statement, and fill old rows in batches"
        yield LintFinding(line, "rewrite", f"the values of {table}.{column.colname} are written into every row", remedy)
    for constraint in constraints.values():
        # Old rows have NULL or the default in the new column, and are read nevertheless.
        if constraint.contype != enums.CONSTR_NOTNULL:
            yield from _constraint(constraint, line, table)


def _varies(column: ast.ColumnDef, constraints: dict[int, ast.Constraint], default: ast.Constraint | None) -> bool:
    """Whether each row gets its own value."""
    names = strings(column.type_name.names if column.type_name else None) or [""]
    if names[-1] in _SERIALS or {enums.CONSTR_IDENTITY, enums.CONSTR_GENERATED} & set(constraints):
        return True
    calls = [strings(node.funcname) or ["?"] for node in of_kind(ast.FuncCall, nodes(default))]
    return any(name[-1] not in _STABLE_DEFAULTS for name in calls)
