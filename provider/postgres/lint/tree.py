"""Parse SQL with PostgreSQL's own parser and walk its trees.

Node classes and their fields are PostgreSQL's (``parsenodes.h``); an unset text is ``""`` and an unset node ``None``.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import postgast
from postgast import AstNode
from postgast import nodes as ast
from postgast import pg_query_pb2 as pb

PLACEHOLDER = "\N{MATHEMATICAL LEFT ANGLE BRACKET}"  # begins a name that is put together at run time

AnyNode = TypeVar("AnyNode", bound=AstNode)
Options = ast.CreateFunctionStmt | ast.DoStmt

# The field of the parser's generic node that holds a node of each kind.
_FIELDS = {field.message_type.name: field.name for field in pb.Node.DESCRIPTOR.oneofs_by_name["node"].fields}


def parse(text: str) -> list[AstNode]:
    """The statements of ``text``. Raises ``SyntaxError`` with the message and, as ``offset``, the character from 0."""
    try:
        parsed = postgast.wrap(postgast.parse(text))
    except postgast.PgQueryError as error:
        raise SyntaxError(error.message, (None, None, max(error.cursorpos - 1, 0), None)) from None
    assert isinstance(parsed, ast.ParseResult)
    return [raw.stmt for raw in parsed.stmts if raw.stmt is not None]


def nodes(tree: AstNode | None) -> Iterator[AstNode]:
    """Every node below ``tree``, itself first."""
    if tree is not None:
        for _, node in postgast.walk_typed(tree):
            yield node


def of_kind(kind: type[AnyNode], items: Iterable[AstNode]) -> Iterator[AnyNode]:
    """The ``items`` of one kind. Most lists of the parser hold one kind, but are not typed so."""
    return (item for item in items if isinstance(item, kind))


def strings(parts: AstNode | Sequence[AstNode] | None) -> list[str] | None:
    """The words of a dotted name; None when ``parts`` is not one."""
    items = parts.items if isinstance(parts, ast.List) else parts
    if not items or isinstance(items, AstNode):
        return None
    words = [part.sval for part in of_kind(ast.String, items)]
    return words if len(words) == len(items) else None


def option(statement: Options, name: str) -> AstNode | None:
    """The value of a clause of CREATE FUNCTION or DO; None where it is not given."""
    clauses = statement.options if isinstance(statement, ast.CreateFunctionStmt) else statement.args
    return next((item.arg for item in of_kind(ast.DefElem, clauses) if item.defname == name), None)


def table_name(relation: ast.RangeVar | None) -> str:
    """``schema.table``, or the table alone where no schema is given."""
    if relation is None:
        return ""
    return f"{relation.schemaname}.{relation.relname}" if relation.schemaname else relation.relname


def expression_sql(expression: AstNode) -> str:
    """The SQL text of an expression, as PostgreSQL's deparser writes it."""
    parsed = postgast.parse("SELECT NULL")
    value = parsed.stmts[0].stmt.select_stmt.target_list[0].res_target.val
    message = expression._pb  # noqa: SLF001 - the library deparses whole statements only
    getattr(value, _FIELDS[type(message).DESCRIPTOR.name]).CopyFrom(message)
    return postgast.deparse(parsed).removeprefix("SELECT ")


def statement_sql(statement: AstNode) -> str:
    """The SQL text of a statement, as PostgreSQL's deparser writes it."""
    parsed = pb.ParseResult()
    message = statement._pb  # noqa: SLF001 - the library deparses whole scripts only
    getattr(parsed.stmts.add().stmt, _FIELDS[type(message).DESCRIPTOR.name]).CopyFrom(message)
    return postgast.deparse(parsed)


def is_placeholder(name: str | None) -> bool:
    return name is not None and PLACEHOLDER in name
