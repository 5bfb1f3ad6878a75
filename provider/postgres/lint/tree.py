"""Walking the parser's trees."""

from collections.abc import Iterator
from typing import Any

import pglast
from pglast import ast

PLACEHOLDER = "\N{MATHEMATICAL LEFT ANGLE BRACKET}"  # begins a name that is put together at run time


def parse(text: str) -> list[Any]:
    """The statements of ``text``. Raises ``SyntaxError`` with the message and, as ``offset``, the character from 0."""
    try:
        return [raw.stmt for raw in pglast.parse_sql(text)]
    except pglast.parser.ParseError as error:
        message, offset = [*error.args, 0][:2]
        raise SyntaxError(message, (None, None, offset, None)) from None


def nodes(tree: Any) -> Iterator[Any]:
    """Every node below ``tree``, itself first."""
    if isinstance(tree, tuple | list):
        for item in tree:
            yield from nodes(item)
    elif isinstance(tree, ast.Node):
        yield tree
        for attribute in tree:
            yield from nodes(getattr(tree, attribute))


def strings(parts: Any) -> list[str] | None:
    """The words of a dotted name; None when ``parts`` is not one."""
    if isinstance(parts, tuple) and parts and all(isinstance(part, ast.String) for part in parts):
        return [str(part.sval) for part in parts]
    return None


def option(statement: Any, name: str) -> Any:
    """The value of a ``WITH`` option or a function's clause; None where it is not given."""
    for item in statement.options or ():
        if item.defname == name:
            return item.arg
    return None


def table_name(relation: Any) -> str:
    """``schema.table`` of a RangeVar."""
    return f"{relation.schemaname}.{relation.relname}" if relation.schemaname else str(relation.relname)


def is_placeholder(name: str | None) -> bool:
    return name is not None and PLACEHOLDER in name
