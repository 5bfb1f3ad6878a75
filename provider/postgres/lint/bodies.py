"""Bodies of functions and DO blocks: the statements and expressions in them, also statements composed with ``format``.

``EXECUTE format('GRANT SELECT ON %1$s TO x', name)`` is read with ``name`` in place of ``%1$s``, as a table of
that name. Any other text that is not a constant cannot be read, and is a finding.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import postgast
from postgast import AstNode
from postgast import nodes as ast

from provider.postgres.lint import LintFinding
from provider.postgres.syntax_tree import PLACEHOLDER, expression_sql, option, parse, strings

_FORMAT = re.compile(r"%(?:(?P<position>\d+)\$)?-?\d*(?P<kind>[sIL%])")
# The field of a PL/pgSQL statement whose value is executed as SQL.
_EXECUTED = {
    "PLpgSQL_stmt_dynexecute": "query",
    "PLpgSQL_stmt_dynfors": "query",
    "PLpgSQL_stmt_return_query": "dynquery",
    "PLpgSQL_stmt_open": "dynquery",
}
_EXPRESSION = 2
_ASSIGNS = re.compile(":?=")
# A string, or an empty object in a list with a closing brace too many.
_STRAY_BRACE = re.compile(r'(?P<kept>"(?:[^"\\]|\\.)*")|(?<=[,\[])\{\}\}')


@dataclass(frozen=True)
class Inner:
    """A statement inside a body, at a line of the file."""

    tree: AstNode
    line: int
    dynamic: bool


def body_of(statement: AstNode) -> str | None:
    """The text of a function's or DO block's body; None for a statement without one."""
    if not isinstance(statement, ast.CreateFunctionStmt | ast.DoStmt):
        return None
    body = option(statement, "as")
    if isinstance(body, ast.List):
        body = body.items[0]
    return body.sval if isinstance(body, ast.String) else None


def language_of(statement: ast.CreateFunctionStmt | ast.DoStmt) -> str:
    """The language of a body, in lower case: the one that it names, else PostgreSQL's default for the statement."""
    language = option(statement, "language")
    if isinstance(language, ast.String):
        return language.sval.lower()
    return "sql" if isinstance(statement, ast.CreateFunctionStmt) else "plpgsql"


def inner_statements(statement: AstNode, text: str, line: int) -> Iterator[Inner | LintFinding]:
    """What runs inside a body, expressions as ``SELECT``; ``text`` is the whole statement, which begins at ``line``."""
    if isinstance(statement, ast.CreateFunctionStmt) and statement.sql_body is not None:
        for tree in _atomic(statement.sql_body):
            yield Inner(tree, line, dynamic=False)
        return
    body = body_of(statement)
    if body is None or not isinstance(statement, ast.CreateFunctionStmt | ast.DoStmt):
        return
    # The body stands in the text as it is, unless it is quoted with '.
    begin = text.find(body)
    first = line + text.count("\n", 0, begin) if begin >= 0 else line
    language = language_of(statement)
    if language == "sql":
        yield from _read(body, first, dynamic=False)
    elif language == "plpgsql":
        yield from _plpgsql(text, first)


def _atomic(body: AstNode) -> Iterator[AstNode]:
    """The statements of an SQL-standard body: a RETURN, or the statements of BEGIN ATOMIC in a list of lists."""
    if isinstance(body, ast.List):
        for item in body.items:
            yield from _atomic(item)
    else:
        yield body


def _plpgsql(text: str, first: int) -> Iterator[Inner | LintFinding]:
    try:
        tree = _plpgsql_tree(text)
    except postgast.PgQueryError as error:
        yield LintFinding(first, "syntax", f"PL/pgSQL: {error.message}", "correct it")
        return
    for line, dynamic, query, mode in _expressions(tree, 1):
        place = first + line - 1
        if dynamic:
            yield from _execute(query, place)
        yield from _read(_as_statement(query, mode), place, dynamic=False)


def _as_statement(query: str, mode: int) -> str:
    """An expression (mode 2) or assignment (3 and above) of PL/pgSQL as a SELECT; a statement (0) as it is."""
    if mode < _EXPRESSION:
        return query
    if mode == _EXPRESSION:
        return f"SELECT {query}"
    target, value = _ASSIGNS.split(query, maxsplit=1)
    return f"SELECT {target}, {value}"


def _plpgsql_tree(text: str) -> Any:
    """The tree of a PL/pgSQL body. libpg_query 18.0 writes a closing brace too many for each TG_* variable of a trigger
    function (its issue 337); they are removed if the text is not JSON."""
    try:
        return postgast.parse_plpgsql(text)
    except json.JSONDecodeError as error:
        return json.loads(_STRAY_BRACE.sub(lambda found: found["kept"] or "{}", error.doc))


def _expressions(tree: Any, line: int, *, dynamic: bool = False) -> Iterator[tuple[int, bool, str, int]]:
    """(line, whether its value is executed as SQL, text, parse mode) of each expression and statement in the body."""
    if isinstance(tree, list):
        for item in tree:
            yield from _expressions(item, line)
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if key == "PLpgSQL_expr":
                yield line, dynamic, str(value["query"]), int(value.get("parseMode", 0))
                continue
            if isinstance(value, dict) and key.startswith("PLpgSQL_"):
                inner = int(value.get("lineno", line))
                executed = _EXECUTED.get(key)
                for name, part in value.items():
                    yield from _expressions(part, inner, dynamic=name == executed)
            else:
                yield from _expressions(value, line)


def _read(text: str, line: int, *, dynamic: bool) -> Iterator[Inner | LintFinding]:
    try:
        for tree in parse(text):
            yield Inner(tree, line, dynamic)
    except SyntaxError as error:
        yield LintFinding(line, "syntax", f"{error.msg} in `{' '.join(text.split())[:60]}`", "correct it")


def _execute(expression: str, line: int) -> Iterator[Inner | LintFinding]:
    """The statement that EXECUTE runs, if its text can be determined."""
    text = _constant(expression)
    if text is None:
        message = f"EXECUTE {' '.join(expression.split())[:60]} is composed at run time"
        remedy = "EXECUTE a constant, or format() of one; or name in a waiver what it can be"
        yield LintFinding(line, "dynamic-sql", message, remedy)
        return
    yield from _read(text, line, dynamic=True)


def _constant(expression: str) -> str | None:
    try:
        (select,) = parse(f"SELECT {expression}")
    except (SyntaxError, ValueError):
        return None
    target = select.target_list[0] if isinstance(select, ast.SelectStmt) and select.target_list else None
    value = target.val if isinstance(target, ast.ResTarget) else None
    if (text := _text(value)) is not None:
        return text
    if (
        isinstance(value, ast.FuncCall)
        and (strings(value.funcname) or [""])[-1] == "format"
        and not value.func_variadic
    ):
        template, *arguments = value.args
        text = _text(template)
        return None if text is None else _filled(text, [_shown(argument) for argument in arguments])
    return None


def _text(value: AstNode | None) -> str | None:
    if isinstance(value, ast.A_Const) and isinstance(value.val, ast.String):
        return value.val.sval
    return None


def _shown(argument: AstNode) -> str:
    return " ".join(expression_sql(argument).split()).replace('"', "")


def _filled(template: str, arguments: list[str]) -> str:
    """``template`` with a quoted name in the place of each %I and %s, and a string in that of each %L."""
    used = 0

    def fill(match: re.Match[str]) -> str:
        nonlocal used
        if match["kind"] == "%":
            return "%"
        used = int(match["position"]) if match["position"] else used + 1
        if match["kind"] == "L":
            return "''"
        shown = arguments[used - 1] if used <= len(arguments) else str(used)
        return f'"{PLACEHOLDER}{shown}"'

    return _FORMAT.sub(fill, template)
