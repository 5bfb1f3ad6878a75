"""Split an SQL file into its statements with PostgreSQL's own parser, so that an error can name statement and line.

Output of ``pg_dump`` and psql's commands are refused with a remedy: neither is SQL.
"""

import re
from dataclasses import dataclass, field

import postgast
from postgast import AstNode
from postgast import nodes as ast
from postgast import pg_query_pb2 as enums

from provider.postgres.syntax_tree import parse_script

_COPY = re.compile(r"^[ \t]*COPY\b[^;]*;", re.IGNORECASE | re.MULTILINE)
_COMMENTS = {"SQL_COMMENT", "C_COMMENT"}
COPY_REMEDY = "write its rows as INSERT statements (pg_dump --inserts does)"


# Settings that the runner sets, or that change how the server reads the file's text.
_FIXED_SETTINGS = {
    "backslash_quote",
    "client_encoding",
    "names",
    "role",
    "search_path",
    "session_authorization",
    "standard_conforming_strings",
}


class ScriptError(Exception):
    """Text that is not a script of SQL statements. ``line`` counts from 1; ``remedy`` is the remedy."""

    def __init__(self, line: int, message: str, remedy: str) -> None:
        super().__init__(f"line {line}: {message}; {remedy}")
        self.line = line
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True)
class Statement:
    """``text`` starts at its first word, without the final semicolon; ``line`` is that word's line, from 1.

    ``tree`` is PostgreSQL's parse tree.
    """

    text: str
    line: int
    tree: AstNode = field(compare=False, repr=False)

    @property
    def first_line(self) -> str:
        return self.text.splitlines()[0].strip()

    @property
    def concurrent_index(self) -> str | None:
        """The index that a ``CREATE INDEX CONCURRENTLY`` creates; None for any other statement, or without a name."""
        if isinstance(self.tree, ast.IndexStmt) and self.tree.concurrent:
            return self.tree.idxname or None
        return None

    @property
    def one_line(self) -> str:
        """The text without comments and line breaks."""
        data = self.text.encode()
        parts = []
        position = 0
        for token in postgast.scan(self.text).tokens:
            if enums.Token.Name(token.token) in _COMMENTS:
                parts.append(data[position : token.start])
                position = token.end
        return " ".join(b" ".join([*parts, data[position:]]).decode().split())

    @property
    def is_forbidden(self) -> bool:
        """Whether it would leave the transaction or the owner role, or change how names and text are read."""
        match self.tree:
            case ast.TransactionStmt() | ast.DiscardStmt() | ast.DeclareCursorStmt():
                return True
            case ast.VariableSetStmt(kind=kind, name=name):
                return kind == enums.VAR_RESET_ALL or name.lower() in _FIXED_SETTINGS
        return False

    @property
    def is_repeatable(self) -> bool:
        """Whether it can run again after an interruption, in a file without a transaction.

        A repeated CREATE INDEX would create an unnamed index twice, and without IF NOT EXISTS it would fail.
        """
        match self.tree:
            case ast.IndexStmt() as index:
                return index.concurrent and index.if_not_exists and self.concurrent_index is not None
            case ast.DropStmt(remove_type=enums.OBJECT_INDEX) as drop:
                return drop.concurrent and drop.missing_ok
            case ast.ReindexStmt() | ast.VacuumStmt() | ast.CommentStmt():
                return True
        return False

    def line_at(self, position: int) -> int:
        """The line, in the whole file, of a 1-based character position in this statement, as PostgreSQL reports it."""
        return self.line + self.text.count("\n", 0, max(position - 1, 0))


def split(sql: str) -> list[Statement]:
    """Split ``sql`` into its statements, in order. Comments between statements belong to none.

    Raises ``ScriptError`` for text that PostgreSQL's parser refuses, and for COPY with rows in the file.
    """
    try:
        parsed = parse_script(sql)
    except SyntaxError as error:
        raise _refusal(sql, error) from None
    data = sql.encode()
    statements = []
    for item in parsed:
        text = _without_trailing_comments(data[item.start : item.end])
        statements.append(Statement(text, data.count(b"\n", 0, item.start) + 1, item.tree))
    for statement in statements:
        if _reads_rows_from_the_file(statement.tree):
            raise _copy_error(statement.line)
    return statements


def _without_trailing_comments(data: bytes) -> str:
    """The statement's text up to its last token; the last statement of a file may lack a semicolon."""
    text = data.decode()
    if "--" not in text and "/*" not in text:
        return text.rstrip()
    ends = [token.end for token in postgast.scan(text).tokens if enums.Token.Name(token.token) not in _COMMENTS]
    return data[: max(ends, default=0)].decode()


def _reads_rows_from_the_file(tree: AstNode) -> bool:
    return isinstance(tree, ast.CopyStmt) and tree.is_from and not tree.filename and not tree.is_program


def _copy_error(line: int) -> ScriptError:
    return ScriptError(line, "COPY ... FROM stdin reads rows that are not SQL", COPY_REMEDY)


def _refusal(sql: str, error: SyntaxError) -> ScriptError:
    """The reason why the parser refuses ``sql``, with a remedy for what ``pg_dump`` and psql write."""
    position = error.offset or 0
    number = sql.count("\n", 0, position) + 1
    for match in _COPY.finditer(sql, 0, position):
        line = sql.count("\n", 0, match.end() - len(match.group().lstrip())) + 1
        if _is_copy_from_the_file(match.group()):
            return _copy_error(line)
    content = sql.split("\n")[number - 1].strip()
    if content.startswith("\\"):
        message = f"`{content.split()[0]}` is a command of psql, not SQL"
        return ScriptError(
            number, message, "remove the lines that start with a backslash, as pg_dump and psql write them"
        )
    return ScriptError(number, f"PostgreSQL's parser refuses it: {' '.join(error.msg.split())}", "correct it")


def _is_copy_from_the_file(text: str) -> bool:
    try:
        parsed = parse_script(text)
    except SyntaxError:
        return False
    return any(_reads_rows_from_the_file(item.tree) for item in parsed)
