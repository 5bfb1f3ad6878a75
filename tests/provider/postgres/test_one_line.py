"""SQL statements on one line of printable characters, run by a real server."""

import pytest

from provider.postgres.one_line import one_line
from tools.local.servers.postgres import LocalPostgres


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("SELECT 1;\n  SELECT\t2", "SELECT 1; SELECT 2"),
        ('DROP ROLE "bad\n\x1bname\\"', r'DROP ROLE U&"bad\000a\001bname\\"'),
        ('DROP ROLE "\u202eabc"', r'DROP ROLE U&"\202eabc"'),
        ('DROP ROLE "\U000e0001"', r'DROP ROLE U&"\+0e0001"'),
        ("SELECT 'a\nb\\c'", r"SELECT E'a\nb\\c'"),
        ("SELECT 'it''s\t'", r"SELECT E'it''s\t'"),
        ("AS $function$\nBEGIN 'x'; END\\n\n$function$", r"AS E'\nBEGIN ''x''; END\\n\n'"),
        ("AS $$BEGIN END$$", "AS $$BEGIN END$$"),
        ("SELECT E'\\n \x01'", r"SELECT E'\n \u0001'"),
    ],
)  # fmt: skip
def test_a_statement_becomes_one_line(text: str, line: str) -> None:
    assert one_line(text) == line
    assert one_line(line) == line, "it may be applied twice"


def test_the_server_reads_the_same(postgres_server: LocalPostgres) -> None:
    text = "a\n\t\r\x01\x1b'\\\"\u202e\U000e0001b"
    with postgres_server.connect() as connection:
        for value in (text, text * 2):
            quoted = connection.execute("SELECT quote_ident(%s), quote_literal(%s)", (value, value)).fetchone()
            assert quoted is not None
            statement = f"SELECT 1 AS {quoted[0]}, {quoted[1]} AS value, $f$\n{value}\n$f$ AS body"
            assert one_line(statement).isprintable()
            cursor = connection.execute(one_line(statement).encode())
            assert cursor.description is not None
            assert [cursor.description[0].name, *(cursor.fetchone() or ())[1:]] == [value, value, f"\n{value}\n"]
