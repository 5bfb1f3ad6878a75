"""Migration files: names, numbers, checksums, templates and statements. No server."""

from pathlib import Path

import pytest

from provider.postgres.applied import Applied, compare
from provider.postgres.migration_files import Migration, discover, render, render_all
from provider.postgres.problems import MigrationError
from provider.postgres.statements import ScriptError, split
from provider.postgres.target import SchemaTarget

VARIABLES = SchemaTarget("vuln", "vuln_owner").variables


def write(directory: Path, **files: str | bytes) -> Path:
    for name, text in files.items():
        path = directory / f"{name.removeprefix('v')}.sql.j2"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    return directory


def complaint(directory: Path) -> str:
    with pytest.raises(MigrationError) as caught:
        render_all(discover(directory), VARIABLES)
    return str(caught.value)


def rendered(directory: Path, text: str) -> list[tuple[int, str]]:
    script = render(discover(write(directory, v0001_x=text))[0], VARIABLES)
    return [(statement.line, statement.text) for statement in script.statements]


def test_migrations_come_in_order_with_the_words_of_their_names(tmp_path: Path) -> None:
    write(tmp_path, v0002_raw_document_indexes="SELECT 2", v0001_tables="SELECT 1")
    found = [(migration.version, migration.description) for migration in discover(tmp_path)]
    assert found == [(1, "tables"), (2, "raw document indexes")], "schema_migrations would record the wrong history"


def test_line_ends_and_a_byte_order_mark_do_not_change_the_checksum(tmp_path: Path) -> None:
    text = "SELECT 1;\nSELECT 2;\n"
    variants = {
        "unix": text,
        "windows": text.replace("\n", "\r\n"),
        "mac": text.replace("\n", "\r"),
        "bom": "\ufeff" + text,
    }
    sums = set()
    for name, variant in variants.items():
        directory = tmp_path / name
        directory.mkdir()
        sums.add(discover(write(directory, v0001_x=variant))[0].checksum)
    assert len(sums) == 1, "a checkout on Windows would refuse to migrate a database made from Linux"


def test_any_other_change_changes_the_checksum(tmp_path: Path) -> None:
    (before,) = discover(write(tmp_path, v0001_x="SELECT 1"))
    (after,) = discover(write(tmp_path, v0001_x="SELECT 1 "))
    assert before.checksum != after.checksum, "an edited migration would pass unnoticed"


@pytest.mark.parametrize(
    "name", ["1_x.sql.j2", "0001-x.sql.j2", "0001_X.sql.j2", "0001_x.sql", "0000_x.sql.j2", "notes.txt"]
)
def test_a_file_that_is_no_migration_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path, v0001_tables="SELECT 1")
    (tmp_path / name).write_text("SELECT 1")
    assert complaint(tmp_path).startswith(f"{tmp_path / name}: this is not the name of a migration")


def test_hidden_files_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, v0001_tables="SELECT 1")
    (tmp_path / ".0001_tables.sql.j2.swp").write_text("")
    assert len(discover(tmp_path)) == 1, "an open editor would stop the run"


def test_two_files_of_one_version_are_both_named(tmp_path: Path) -> None:
    write(tmp_path, v0001_a="SELECT 1", v0001_b="SELECT 2")
    text = complaint(tmp_path)
    assert "0001_b.sql.j2: 0001_a.sql.j2 also has version 0001" in text, "which of the two runs would be luck"


def test_a_gap_is_named(tmp_path: Path) -> None:
    write(tmp_path, v0001_a="SELECT 1", v0003_c="SELECT 3")
    text = complaint(tmp_path)
    assert "0003_c.sql.j2: version 0002 is missing before 0003" in text, "0002 would come later, out of order"


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert complaint(tmp_path / "vulm").startswith(f"{tmp_path / 'vulm'}: the directory cannot be read")


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    assert "there are no migrations here" in complaint(tmp_path), "the schema would silently stay without tables"


@pytest.mark.parametrize("text", ["", "\n", "-- only words\n", "/* nothing /* nested */ */ ;;\n", "\ufeff"])
def test_a_file_without_a_statement_is_refused(tmp_path: Path, text: str) -> None:
    assert "it has no statement" in complaint(write(tmp_path, v0001_x=text))


def test_text_that_is_not_utf8_is_located(tmp_path: Path) -> None:
    assert "byte 8 is not UTF-8" in complaint(write(tmp_path, v0001_x=b"SELECT '\xff'"))


def test_an_unknown_name_in_a_template_is_located(tmp_path: Path) -> None:
    text = complaint(write(tmp_path, v0001_x="SELECT 1;\n\nSELECT * FROM {{ scheme }}.x;\n"))
    assert text.startswith(f"{tmp_path / '0001_x.sql.j2'}:3: 'scheme' is undefined"), "nobody would find the place"
    assert "owner, reader, schema, writer" in text


def test_an_unclosed_tag_is_located(tmp_path: Path) -> None:
    text = complaint(write(tmp_path, v0001_x="SELECT 1;\nSELECT {{ schema }\n"))
    assert text.startswith(f"{tmp_path / '0001_x.sql.j2'}:2: `{{{{ schema }}` is not {{{{ variable }}}}; ")


def test_a_template_cannot_pull_in_another_file(tmp_path: Path) -> None:
    write(tmp_path, v0001_x="{% include 'y' %}SELECT 1")
    assert "`{% include 'y' %}SELECT 1` is not {{ variable }}" in complaint(tmp_path), (
        "its checksum would not cover what it runs"
    )


@pytest.mark.parametrize(
    "statement",
    ["COMMIT", "begin", "Rollback to x", "START TRANSACTION", "SET ROLE postgres", "set local role x", "RESET ROLE"],
)
def test_a_statement_that_leaves_the_transaction_or_the_role_is_refused(tmp_path: Path, statement: str) -> None:
    text = complaint(write(tmp_path, v0001_x=f"SELECT 1;\n  {statement};\n"))
    assert f":2: a migration must not contain `{statement}`" in text, "half a file could be applied and not recorded"


CONCURRENT = "-- transactional: false\n"


@pytest.mark.parametrize(
    "header", ["-- transactional: false", "--transactional:false", "-- Why.\n\n-- transactional: false"]
)
def test_a_header_says_that_a_file_is_no_transaction(tmp_path: Path, header: str) -> None:
    write(tmp_path, v0001_x=f"{header}\nVACUUM;\n", v0002_y="SELECT 1;\n-- transactional: false\n")
    assert [migration.transactional for migration in discover(tmp_path)] == [False, True], "only a header counts"


def test_a_header_that_says_neither_true_nor_false_is_located(tmp_path: Path) -> None:
    text = complaint(write(tmp_path, v0001_x="-- An index.\n-- transactional: no\nSELECT 1;\n"))
    assert text.startswith(f"{tmp_path / '0001_x.sql.j2'}:2: `-- transactional: no` must be `true` or `false`")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE {{ schema }}.t (id int)",
        "CREATE INDEX CONCURRENTLY i ON {{ schema }}.t (id)",
        "CREATE INDEX CONCURRENTLY ON {{ schema }}.t (id)",
        "DROP INDEX CONCURRENTLY {{ schema }}.i",
        "CREATE INDEX i ON {{ schema }}.t (id)",
        "INSERT INTO {{ schema }}.t VALUES (1)",
    ],
)
def test_what_cannot_be_repeated_has_no_place_in_a_file_that_is_no_transaction(tmp_path: Path, statement: str) -> None:
    text = complaint(write(tmp_path, v0001_x=f"{CONCURRENT}VACUUM;\n{statement};\n"))
    assert "0001_x.sql.j2:3: " in text and "cannot be repeated after an interruption" in text, (
        "a run that was killed after it could never go on"
    )


def test_what_can_be_repeated_is_let_in(tmp_path: Path) -> None:
    text = (
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON {{ schema }}.t (id);\n"
        "drop index concurrently if exists {{ schema }}.j;\nREINDEX TABLE CONCURRENTLY {{ schema }}.t;\n"
        "VACUUM ANALYZE {{ schema }}.t;\nCOMMENT ON INDEX {{ schema }}.i IS 'by id';\n"
    )
    assert len(rendered(tmp_path, CONCURRENT + text)) == 5


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS Some_idx ON s.t (id)", "some_idx"),
        ('create unique index /* why */ concurrently if not exists "Odd ""name" on s.t (id)', 'Odd "name'),
        ("CREATE INDEX CONCURRENTLY ON s.t (id)", None),
        ('CREATE INDEX i ON s.t ("concurrently")', None),
    ],
)
def test_the_index_that_a_statement_makes_is_known_by_name(text: str, name: str | None) -> None:
    assert split(text)[0].concurrent_index == name, "what an interrupted run left could not be cleared away"


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, v0001_a="SELECT {{ x }}", v0002_b="COMMIT", v0003_c="")
    assert len(complaint(tmp_path).splitlines()) == 3, "the user would mend one file a run"


def test_statements_are_cut_only_at_real_semicolons(tmp_path: Path) -> None:
    text = """-- a; comment
CREATE FUNCTION {{ schema }}.f() RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM 1; -- $$ ; '
END $body$;
SELECT 'a;b', E'\\';', "c;d", 'it''s;', U&'x;' /* ; /* ; */ ; */, $1;
CREATE FUNCTION {{ schema }}.g(i int) RETURNS int
BEGIN ATOMIC
  SELECT CASE WHEN i > 0 THEN 1 END;
  SELECT 2;
END;
CREATE RULE r AS ON INSERT TO {{ schema }}.t DO ALSO (SELECT 1; SELECT 2);
SELECT $$;$$, $t$ $$;$$ $t$
"""
    found = rendered(tmp_path, text)
    assert [line for line, _ in found] == [2, 6, 7, 12, 13], "a failure would be blamed on another line"
    assert found[-1][1] == "SELECT $$;$$, $t$ $$;$$ $t$"
    assert "".join(text for _, text in found).count("vuln.") == 3


def test_a_position_from_the_server_becomes_a_line_of_the_file() -> None:
    sql = "SELECT 1;\n\nCREATE TABLE x (\n  a int,\n  b nope\n);\n"
    statement = split(sql)[1]
    assert statement.line_at(statement.text.index("nope") + 1) == 5


def test_an_unclosed_quote_is_located() -> None:
    with pytest.raises(ScriptError) as caught:
        split("SELECT 'ä';\nSELECT 'open;\nSELECT 2;")
    assert (caught.value.line, "unterminated quoted string" in caught.value.message) == (2, True)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("SELECT 1;\n\\restrict abc\nSELECT 2;\n", 2, "`\\restrict` is a command of psql, not SQL"),
        ("SELECT 1;\n\\i other.sql\n", 2, "`\\i` is a command of psql, not SQL"),
        ("SELECT 1;\nCOPY s.t (a) FROM stdin;\n1\tit's\n\\.\n", 2, "COPY ... FROM stdin reads rows that are not SQL"),
        ("COPY s.t FROM stdin;\n\\.\n", 1, "COPY ... FROM stdin reads rows that are not SQL"),
        ("SELECT 1;\ncopy s.t from stdin;\n", 2, "COPY ... FROM stdin reads rows that are not SQL"),
    ],
)
def test_output_of_pg_dump_and_commands_of_psql_are_refused_with_a_remedy(text: str, line: int, what: str) -> None:
    with pytest.raises(ScriptError) as caught:
        split(text)
    assert (caught.value.line, caught.value.message) == (line, what)
    assert "INSERT" in caught.value.remedy or "backslash" in caught.value.remedy


def test_end_as_a_name_does_not_end_a_function() -> None:
    function = (
        "CREATE FUNCTION s.f(t s.t) RETURNS int\nBEGIN ATOMIC\n"
        "  SELECT 1 AS end;\n  SELECT CASE WHEN true THEN t.end END FROM s.t;\nEND"
    )
    found = [(item.line, item.text) for item in split(f"{function};\nSELECT 2;")]
    assert found == [(1, function), (6, "SELECT 2")]


@pytest.mark.parametrize(
    "statement",
    [
        "SET standard_conforming_strings = off", "SET search_path = public", "RESET ALL", "DISCARD ALL", "SAVEPOINT a",
        "SET /* x */ LOCAL ROLE x", "SET NAMES 'latin1'", "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    ],
)  # fmt: skip
def test_a_statement_that_changes_how_the_file_is_read_is_refused(tmp_path: Path, statement: str) -> None:
    text = complaint(write(tmp_path, v0001_x=f"SELECT 1;\n{statement};\n"))
    assert f"0001_x.sql.j2:2: a migration must not contain `{statement}`" in text


def history(*rows: tuple[int, str, str]) -> list[Applied]:
    return [Applied(version, words, None, digest) for version, words, digest in rows]


def files(directory: Path, *rows: tuple[int, str, str]) -> list[Migration]:
    return [Migration(v, words, directory / f"{v:04}_{words}.sql.j2", "", digest) for v, words, digest in rows]


@pytest.mark.parametrize(
    ("have", "recorded", "said"),
    [
        ([(1, "a", "x")], [(1, "a", "y")], "0001_a.sql.j2: it was edited after it was applied (recorded y, now x)"),
        ([(1, "b", "x")], [(1, "a", "x")], '0001_b.sql.j2: it was applied as "a"'),
        (
            [(2, "b", "x")],
            [(1, "a", "x"), (2, "b", "x")],
            "0001_a.sql.j2: it is recorded as applied, but the file is missing",
        ),
        ([(1, "a", "x"), (2, "b", "x")], [(2, "b", "x")], "0001_a.sql.j2: it is out of order: version 0002 is applied"),
        (
            [(1, "a", "x")],
            [(1, "a", "x"), (2, "b", "x")],
            "the database is at version 0002, but 0002_b.sql.j2 is not here",
        ),
        ([(1, "a", "x")], [(1, "a", None)], "it was edited after it was applied (recorded nothing, now x)"),
    ],
    ids=["edited", "renamed", "missing", "out of order", "unknown in the database", "no checksum"],
)
def test_files_that_do_not_continue_what_was_applied_are_named(
    tmp_path: Path, have: list[tuple[int, str, str]], recorded: list[tuple[int, str, str]], said: str
) -> None:
    (problem,) = compare(tmp_path, files(tmp_path, *have), history(*recorded))
    assert said in str(problem)


def test_new_files_after_the_applied_ones_are_fine(tmp_path: Path) -> None:
    assert compare(tmp_path, files(tmp_path, (1, "a", "x"), (2, "b", "y")), history((1, "a", "x"))) == []
