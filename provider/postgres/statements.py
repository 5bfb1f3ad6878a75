"""Split an SQL file into statements, so that an error can name the statement and its line.

Follows psql's scanner: quotes, dollar quotes, nested comments, parentheses and ``BEGIN ATOMIC`` bodies hide
semicolons. It assumes ``standard_conforming_strings = on``, which the runner sets.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
      (?P<line_comment>--[^\n]*)
    | (?P<block_comment>/\*)
    | (?P<escape_string>\b[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z))
    | (?P<string>'(?:[^']|'')*(?:'|\Z))
    | (?P<identifier>"(?:[^"]|"")*(?:"|\Z))
    | (?P<dollar>(?<![\w$])\$(?:[A-Za-z_\u0080-\uffff][\w]*)?\$)
    | (?P<word>[A-Za-z_\u0080-\uffff][\w$]*)
    | (?P<space>\s+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


IF_NOT_EXISTS = ("IF", "NOT", "EXISTS")


@dataclass(frozen=True)
class Statement:
    """``text`` starts at its first word, without the final semicolon; ``line`` is that word's line, from 1."""

    text: str
    line: int
    words: tuple[str, ...]

    @property
    def first_line(self) -> str:
        return self.text.splitlines()[0].strip()

    @property
    def concurrent_index(self) -> str | None:
        """The index name in a ``CREATE INDEX CONCURRENTLY``; None for other statements and unnamed indexes."""
        if not self.is_concurrent_index:
            return None
        tokens = [self.text[begin:end] for kind, begin, end in _tokens(self.text) if kind in ("word", "identifier")]
        after = [token.upper() for token in tokens].index("CONCURRENTLY") + 1
        rest = tokens[after + 3 :] if self.words[after : after + 3] == IF_NOT_EXISTS else tokens[after:]
        if not rest or rest[0].upper() in ("ON", "IF"):
            return None
        if rest[0].startswith('"'):
            return rest[0][1:-1].replace('""', '"')
        return rest[0].lower()

    @property
    def is_concurrent_index(self) -> bool:
        """Whether it is a ``CREATE [UNIQUE] INDEX CONCURRENTLY``."""
        words = tuple(word for word in self.words[:4] if word != "UNIQUE")
        return words[:3] == ("CREATE", "INDEX", "CONCURRENTLY")

    def line_at(self, position: int) -> int:
        """Convert a 1-based character position in this statement, as PostgreSQL reports it, to a line of the file."""
        return self.line + self.text.count("\n", 0, max(position - 1, 0))


def split(sql: str) -> list[Statement]:
    """Return the statements of ``sql`` in order, without the comments between them."""
    return list(_statements(sql))


def _statements(sql: str) -> Iterator[Statement]:
    start: int | None = None
    end = 0
    words: list[str] = []
    depth = atomic = 0
    for kind, begin, finish in _tokens(sql):
        if kind in ("space", "line_comment", "block_comment"):
            continue
        text = sql[begin:finish]
        if text == ";" and depth == 0 and atomic == 0:
            if start is not None:
                yield _statement(sql, start, end, words)
            start, words = None, []
            continue
        if start is None:
            start = begin
        end = finish
        depth = max(depth + {"(": 1, ")": -1}.get(text, 0), 0) if kind == "other" else depth
        if kind == "word":
            words.append(text.upper())
            atomic += _atomic_step(words, atomic)
    if start is not None:
        yield _statement(sql, start, end, words)


def _atomic_step(words: list[str], atomic: int) -> int:
    """Return 1 where an SQL-standard function body (or a CASE in it) begins, -1 at its END, else 0."""
    if words[-2:] == ["BEGIN", "ATOMIC"] and words[0] == "CREATE":
        return 1
    if atomic and words[-1] == "CASE":
        return 1
    return -1 if atomic and words[-1] == "END" else 0


def _statement(sql: str, start: int, end: int, words: list[str]) -> Statement:
    return Statement(sql[start:end], sql.count("\n", 0, start) + 1, tuple(words))


def _tokens(sql: str) -> Iterator[tuple[str, int, int]]:
    position = 0
    while match := _TOKEN.match(sql, position):
        kind = match.lastgroup or "other"
        finish = match.end()
        if kind == "dollar":
            closing = sql.find(match.group(), finish)
            finish = len(sql) if closing < 0 else closing + len(match.group())
        elif kind == "block_comment":
            finish = _comment_end(sql, finish)
        yield kind, position, finish
        position = finish


def _comment_end(sql: str, position: int) -> int:
    """Return the end of the block comment that begins just before ``position``; block comments nest."""
    depth = 1
    for match in re.compile(r"/\*|\*/").finditer(sql, position):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return match.end()
    return len(sql)
