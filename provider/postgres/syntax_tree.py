"""Parse SQL with PostgreSQL's own parser (postgast: libpg_query of PostgreSQL 18) and walk its trees.

Node classes and their fields are PostgreSQL's (``parsenodes.h``); an unset text is ``""`` and an unset node ``None``.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import postgast
from postgast import AstNode
from postgast import nodes as ast
from postgast import pg_query_pb2 as pb

PLACEHOLDER = "\N{MATHEMATICAL LEFT ANGLE BRACKET}"  # begins a name that is composed at run time

AnyNode = TypeVar("AnyNode", bound=AstNode)
Options = ast.CreateFunctionStmt | ast.DoStmt

# The field of the parser's generic node that holds a node of each kind.
_FIELDS = {field.message_type.name: field.name for field in pb.Node.DESCRIPTOR.oneofs_by_name["node"].fields}


@dataclass(frozen=True)
class Parsed:
    """A statement's tree with the place of its text in the script: bytes ``start`` to ``end``."""

    tree: AstNode
    start: int
    end: int


def parse_script(text: str) -> list[Parsed]:
    """Parse the statements of ``text`` with their places.

    Raises ``SyntaxError`` with the message and, as ``offset``, the character from 0.
    """
    try:
        parsed = postgast.wrap(postgast.parse(text))
    except postgast.PgQueryError as error:
        before = text.encode()[: max(error.cursorpos - 1, 0)].decode(errors="ignore")
        raise SyntaxError(error.message, (None, None, len(before), None)) from None
    assert isinstance(parsed, ast.ParseResult)
    length = len(text.encode())
    return [
        Parsed(raw.stmt, raw.stmt_location, raw.stmt_location + raw.stmt_len if raw.stmt_len else length)
        for raw in parsed.stmts
        if raw.stmt is not None
    ]


def parse(text: str) -> list[AstNode]:
    """Parse the statements of ``text``. Raises ``SyntaxError`` as ``parse_script`` does."""
    return [item.tree for item in parse_script(text)]


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


def constant_text(value: AstNode | None) -> str | None:
    """The text of a string constant, also of one with a cast; None for any other expression."""
    if isinstance(value, ast.TypeCast):
        return constant_text(value.arg)
    if isinstance(value, ast.A_Const) and isinstance(value.val, ast.String):
        return value.val.sval
    return None


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
    """Whether a name contains a part that is composed at run time."""
    return name is not None and PLACEHOLDER in name
