"""Whether the WHERE of an UPDATE leaves rows alone."""

from collections.abc import Iterator

from postgast import AstNode
from postgast import nodes as ast
from postgast import pg_query_pb2 as enums

from provider.postgres.syntax_tree import nodes, of_kind, strings


def names_rows(condition: AstNode | None) -> bool:
    """Whether a part of the condition, joined by AND, compares a column with constants: ``=``, ``IN``, ``IS NULL``.

    Any other condition may be true for all rows, like ``true``, ``id = id`` or ``id > 0 OR ...``.
    """
    return any(_names_rows(part) for part in _conjuncts(condition))


def _conjuncts(condition: AstNode | None) -> Iterator[AstNode]:
    if isinstance(condition, ast.BoolExpr) and condition.boolop == enums.AND_EXPR:
        for part in condition.args:
            yield from _conjuncts(part)
    elif condition is not None:
        yield condition


def _names_rows(part: AstNode) -> bool:
    match part:
        case ast.NullTest():
            return part.nulltesttype == enums.IS_NULL and isinstance(part.arg, ast.ColumnRef)
        case ast.A_Expr(kind=enums.AEXPR_OP | enums.AEXPR_IN) if strings(part.name) == ["="]:
            left, right = part.lexpr, part.rexpr
            if isinstance(right, ast.ColumnRef) and not isinstance(left, ast.ColumnRef):
                left, right = right, left
            return isinstance(left, ast.ColumnRef) and _is_constant(right)
    return False


def _is_constant(value: AstNode | None) -> bool:
    found = list(nodes(value))
    return (
        bool(found)
        and not any(isinstance(node, ast.ColumnRef | ast.SubLink | ast.FuncCall) for node in found)
        and any(True for _ in of_kind(ast.A_Const, found))
    )
