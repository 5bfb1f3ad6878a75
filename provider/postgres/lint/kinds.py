"""Statements that the rules cover. Any other one may do anything."""

from collections.abc import Iterator

from postgast import AstNode
from postgast import nodes as ast
from postgast import pg_query_pb2 as enums

from provider.postgres.lint import LintFinding
from provider.postgres.lint.reach import SUPERUSER
from provider.postgres.syntax_tree import nodes, of_kind

_COVERED: tuple[type[AstNode], ...] = (
    ast.AlterDefaultPrivilegesStmt, ast.AlterDomainStmt, ast.AlterEnumStmt, ast.AlterFunctionStmt,
    ast.AlterObjectSchemaStmt, ast.AlterOwnerStmt, ast.AlterPolicyStmt, ast.AlterSeqStmt, ast.AlterStatsStmt,
    ast.AlterTableStmt, ast.CallStmt, ast.ClosePortalStmt, ast.ClusterStmt, ast.CommentStmt, ast.CompositeTypeStmt,
    ast.ConstraintsSetStmt, ast.CopyStmt, ast.CreateDomainStmt, ast.CreateEnumStmt, ast.CreateFunctionStmt,
    ast.CreatePolicyStmt, ast.CreateRangeStmt, ast.CreateSeqStmt, ast.CreateStatsStmt, ast.CreateStmt,
    ast.CreateTableAsStmt, ast.CreateTrigStmt, ast.DeallocateStmt, ast.DeleteStmt, ast.DoStmt, ast.DropOwnedStmt, ast.DropStmt,
    ast.ExecuteStmt, ast.ExplainStmt, ast.GrantRoleStmt, ast.GrantStmt, ast.IndexStmt, ast.InsertStmt, ast.LockStmt,
    ast.MergeStmt, ast.NotifyStmt, ast.PrepareStmt, ast.ReassignOwnedStmt, ast.RefreshMatViewStmt, ast.ReindexStmt,
    ast.RenameStmt, ast.ReturnStmt, ast.RuleStmt, ast.SelectStmt, ast.TruncateStmt, ast.UpdateStmt, ast.VacuumStmt,
    ast.VariableSetStmt, ast.VariableShowStmt, ast.ViewStmt,
)  # fmt: skip
# Changes of a table that lose nothing and open nothing, besides those that another rule covers.
_COVERED_CHANGES = {
    enums.AT_AddColumn, enums.AT_AddColumnToView, enums.AT_AddConstraint, enums.AT_AddIdentity, enums.AT_AddIndex,
    enums.AT_AddIndexConstraint, enums.AT_AddInherit, enums.AT_AlterColumnType, enums.AT_AlterConstraint,
    enums.AT_AttachPartition, enums.AT_ChangeOwner, enums.AT_ClusterOn, enums.AT_ColumnDefault, enums.AT_DetachPartition,
    enums.AT_DetachPartitionFinalize, enums.AT_DisableRowSecurity, enums.AT_DisableRule, enums.AT_DisableTrig,
    enums.AT_DisableTrigAll, enums.AT_DisableTrigUser, enums.AT_DropCluster, enums.AT_DropColumn, enums.AT_DropConstraint,
    enums.AT_DropExpression, enums.AT_DropIdentity, enums.AT_DropInherit, enums.AT_DropNotNull, enums.AT_EnableAlwaysTrig,
    enums.AT_EnableReplicaTrig, enums.AT_EnableRowSecurity, enums.AT_EnableTrig, enums.AT_ForceRowSecurity,
    enums.AT_NoForceRowSecurity, enums.AT_ReplaceRelOptions, enums.AT_ResetOptions, enums.AT_ResetRelOptions,
    enums.AT_SetAccessMethod, enums.AT_SetCompression, enums.AT_SetExpression, enums.AT_SetIdentity, enums.AT_SetLogged,
    enums.AT_SetNotNull, enums.AT_SetOptions, enums.AT_SetRelOptions, enums.AT_SetStatistics, enums.AT_SetStorage,
    enums.AT_SetTableSpace, enums.AT_SetUnLogged, enums.AT_ValidateConstraint,
}  # fmt: skip
_REMEDY = "name in a waiver what it does"


def uncovered(statement: AstNode, line: int) -> Iterator[LintFinding]:
    """A finding if no rule covers the kind of statement, or a change of a table."""
    if not isinstance(statement, _COVERED) and type(statement) not in SUPERUSER:
        kind = type(statement).__name__.removesuffix("Stmt")
        yield LintFinding(line, "unknown", f"the lint has no rule for {kind}", _REMEDY)
    for node in of_kind(ast.AlterTableCmd, nodes(statement)):
        if node.subtype not in _COVERED_CHANGES:
            kind = enums.AlterTableType.Name(node.subtype).removeprefix("AT_")
            yield LintFinding(line, "unknown", f"the lint has no rule for ALTER TABLE {kind}", _REMEDY)
    if isinstance(statement, ast.DoStmt) and _language(statement) not in ("", "plpgsql"):
        yield LintFinding(line, "unknown", "a DO block in another language than plpgsql", "write it in plpgsql")


def _language(statement: ast.DoStmt) -> str:
    named = [item.arg for item in of_kind(ast.DefElem, statement.args) if item.defname == "language"]
    return named[0].sval.lower() if named and isinstance(named[0], ast.String) else ""
