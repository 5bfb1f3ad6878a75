"""The lint of migrations: what each rule finds, what it lets pass, and waivers."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from provider.postgres.lint import RULES
from provider.postgres.lint.accepted import Accepted
from provider.postgres.lint.check import check_directory
from provider.postgres.lint.place import Place
from provider.postgres.target import SchemaTarget

ROOT = Path(__file__).parents[4]
TARGET = SchemaTarget.of_schema("vuln")
CONCURRENT = "-- transactional: false\n"


def lint(
    directory: Path, text: str, *, runtime_tables: bool = False, append_only: frozenset[str] = frozenset()
) -> list[str]:
    """``line: rule`` of every finding in a file that comes after the one that made table ``old``."""
    directory.joinpath("0001_old.sql.j2").write_text("CREATE TABLE {{ schema }}.old (id int PRIMARY KEY, a int);\n")
    directory.joinpath("0002_x.sql.j2").write_text(text)
    _, lines = check_directory(directory, Place(TARGET, runtime_tables, append_only), Accepted(directory))
    found = []
    for line in lines:
        assert line.startswith(f"{directory}/0002_x.sql.j2:"), line
        number, rule, rest = line.removeprefix(f"{directory}/0002_x.sql.j2:").split(": ", 2)
        assert rule in RULES and "; " in rest, f"a finding says what to do: {line}"
        found.append(f"{number}: {rule}")
    return found


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("DROP TABLE {{ schema }}.old", "destructive"),
        ("DROP TABLE IF EXISTS {{ schema }}.old CASCADE", "destructive"),
        ("DROP FUNCTION {{ schema }}.f(int)", "destructive"),
        ("DROP TRIGGER append_only_row ON {{ schema }}.old", "destructive"),
        ("DROP VIEW {{ schema }}.v", "destructive"),
        ("ALTER TABLE {{ schema }}.old DROP COLUMN a", "destructive"),
        ("ALTER TABLE {{ schema }}.old DISABLE TRIGGER append_only_row", "destructive"),
        ("ALTER TABLE {{ schema }}.old DISABLE ROW LEVEL SECURITY", "opening"),
        ("TRUNCATE {{ schema }}.old", "destructive"),
        ("DELETE FROM {{ schema }}.old WHERE a = 1", "destructive"),
        ("WITH gone AS (DELETE FROM {{ schema }}.old RETURNING id) SELECT count(*) FROM gone", "destructive"),
        ("UPDATE {{ schema }}.old SET a = 1", "destructive"),
        ("DO $$ BEGIN DELETE FROM {{ schema }}.old; END $$", "destructive"),
        ("CREATE INDEX ON {{ schema }}.old (a)", "index-blocks"),
        ("DROP INDEX {{ schema }}.old_a_idx", "index-blocks"),
        ("REINDEX TABLE {{ schema }}.old", "index-blocks"),
        ("ALTER TABLE {{ schema }}.old ADD CONSTRAINT a_key UNIQUE (a)", "index-blocks"),
        ("ALTER TABLE {{ schema }}.old ADD b int UNIQUE", "index-blocks"),
        ("ALTER TABLE {{ schema }}.old ADD b int NOT NULL", "not-null"),
        ("ALTER TABLE {{ schema }}.old ALTER a SET NOT NULL", "not-null"),
        ("ALTER TABLE {{ schema }}.old ALTER a TYPE bigint", "rewrite"),
        ("ALTER TABLE {{ schema }}.old ADD b uuid DEFAULT gen_random_uuid()", "rewrite"),
        ("ALTER TABLE {{ schema }}.old ADD b bigserial", "rewrite"),
        ("ALTER TABLE {{ schema }}.old ADD b int GENERATED ALWAYS AS IDENTITY", "rewrite"),
        ("ALTER TABLE {{ schema }}.old ADD b int GENERATED ALWAYS AS (a + 1) STORED", "rewrite"),
        ("ALTER TABLE {{ schema }}.old SET UNLOGGED", "rewrite"),
        ("CLUSTER {{ schema }}.old USING old_pkey", "rewrite"),
        ("ALTER TABLE {{ schema }}.old ADD CONSTRAINT c CHECK (a > 0)", "constraint-scan"),
        ("ALTER TABLE {{ schema }}.old ADD FOREIGN KEY (a) REFERENCES {{ schema }}.old", "constraint-scan"),
        ("LOCK TABLE {{ schema }}.old IN SHARE MODE", "lock"),
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON {{ schema }}.old (a)", "transaction"),
        ("VACUUM {{ schema }}.old", "transaction"),
        ("CREATE TABLE lost (id int)", "outside-schema"),
        ("CREATE TABLE vex.stray (id int)", "outside-schema"),
        ("CREATE TABLE {{ schema }}.t (id int REFERENCES vex.vex_raw)", "outside-schema"),
        ("CREATE VIEW {{ schema }}.v AS SELECT 1 FROM vex.vex_raw", "outside-schema"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "outside-schema"),
        (
            "CREATE FUNCTION {{ schema }}.f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM vex.vex_raw'",
            "outside-schema",
        ),
        ("CREATE TYPE kind AS ENUM ('a')", "outside-schema"),
        ("CREATE TABLE {{ schema }}.t (id public.citext)", "outside-schema"),
        ("CREATE TABLE {{ schema }}.t (id int DEFAULT vex.next())", "outside-schema"),
        ("COMMENT ON COLUMN vex.vex_raw.raw_id IS 'x'", "outside-schema"),
        ("COMMENT ON COLUMN old.a IS 'x'", "outside-schema"),
        (
            "CREATE TRIGGER t BEFORE INSERT ON {{ schema }}.old FOR EACH ROW EXECUTE FUNCTION vex.refuse_change()",
            "outside-schema",
        ),
        ("CREATE EXTENSION pg_trgm", "superuser"),
        ("CREATE SCHEMA more", "superuser"),
        ("ALTER SYSTEM SET work_mem = '1GB'", "superuser"),
        ("CREATE ROLE more", "superuser"),
        ("SET session_replication_role = replica", "destructive"),
        ("COPY {{ schema }}.old FROM PROGRAM 'cat'", "superuser"),
        ("CREATE FUNCTION {{ schema }}.f() RETURNS int LANGUAGE c AS 'x', 'y'", "superuser"),
        ("GRANT SELECT ON {{ schema }}.old TO {{ reader }}", "grant"),
        ("GRANT ALL ON {{ schema }}.old TO PUBLIC", "grant"),
        ("REVOKE SELECT ON {{ schema }}.old FROM {{ reader }}", "grant"),
        ("GRANT {{ owner }} TO scanner", "grant"),
        ("ALTER TABLE {{ schema }}.old OWNER TO scanner", "grant"),
        ("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {{ reader }}", "grant"),
        ("DO $$ BEGIN EXECUTE (SELECT 'DROP TABLE ' || 'x'); END $$", "dynamic-sql"),
    ],
)
def test_a_rule_finds_what_it_is_for(tmp_path: Path, statement: str, rule: str) -> None:
    assert f"2: {rule}" in lint(tmp_path, f"-- first line\n{statement};\n")


@pytest.mark.parametrize(
    "text",
    [
        (
            "CREATE TABLE {{ schema }}.t (id int);\nCREATE INDEX ON {{ schema }}.t (id);\n"
            "ALTER TABLE {{ schema }}.t ADD b int NOT NULL, ALTER id TYPE bigint, ADD UNIQUE (id), ADD CHECK (id > 0);\n"
            "INSERT INTO {{ schema }}.t VALUES (1, 2);\nUPDATE {{ schema }}.t SET b = 3;\n"
        ),
        "ALTER TABLE {{ schema }}.old ADD b timestamptz NOT NULL DEFAULT now();\n",
        "ALTER TABLE {{ schema }}.old ADD b text DEFAULT 'x';\n",
        "ALTER TABLE {{ schema }}.old ADD CONSTRAINT c CHECK (a > 0) NOT VALID;\n",
        "ALTER TABLE {{ schema }}.old VALIDATE CONSTRAINT c;\n",
        "ALTER TABLE {{ schema }}.old ADD CONSTRAINT a_key UNIQUE USING INDEX old_a_idx;\n",
        "ALTER TABLE {{ schema }}.old DROP CONSTRAINT c;\n",
        "UPDATE {{ schema }}.old SET a = 1 WHERE a IS NULL;\n",
        f"{CONCURRENT}CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON {{{{ schema }}}}.old (a);\nVACUUM {{{{ schema }}}}.old;\n",
        "WITH few AS (SELECT id FROM {{ schema }}.old) SELECT * FROM few;\n",
        "CREATE VIEW {{ schema }}.v WITH (security_invoker) AS SELECT pg_catalog.now(), id::text FROM {{ schema }}.old;\n",
        (
            "CREATE FUNCTION {{ schema }}.f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM {{ schema }}.old; END $$;\n"
            "REVOKE ALL ON FUNCTION {{ schema }}.f() FROM PUBLIC;\nCOMMENT ON FUNCTION {{ schema }}.f() IS 'x';\n"
        ),
        (
            "CREATE FUNCTION {{ schema }}.g() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n  NEW.a := 1;\n  RETURN NEW;\nEND $$;\n"
            "CREATE TRIGGER t BEFORE INSERT ON {{ schema }}.old FOR EACH ROW EXECUTE FUNCTION {{ schema }}.g();\n"
        ),
    ],
)
def test_what_hurts_nobody_is_let_pass(tmp_path: Path, text: str) -> None:
    assert lint(tmp_path, text) == [], "a lint that cries wolf is switched off"


def function(statement: str) -> str:
    body = f"DECLARE\n  name text := 'x';\nBEGIN\n  {statement};\nEND"
    return f"CREATE FUNCTION {{{{ schema }}}}.f() RETURNS void LANGUAGE plpgsql\nAS $f$\n{body}\n$f$;\n"


def made(privileges: str, role: str) -> str:
    return function(f"EXECUTE format('GRANT {privileges} ON %1$s TO {role}', name)")


def test_grants_on_tables_that_a_function_makes_follow_the_model(tmp_path: Path) -> None:
    assert lint(tmp_path, made("SELECT", "{{ reader }}"), runtime_tables=True) == []
    assert lint(tmp_path, made("SELECT, INSERT, UPDATE, DELETE", "{{ writer }}"), runtime_tables=True) == []


@pytest.mark.parametrize(
    ("privileges", "role"),
    [
        ("INSERT", "{{ reader }}"),
        ("TRUNCATE", "{{ writer }}"),
        ("ALL", "{{ writer }}"),
        ("SELECT", "scanner"),
        ("SELECT", "PUBLIC"),
    ],
)
def test_grants_on_such_tables_that_go_further_are_found(tmp_path: Path, privileges: str, role: str) -> None:
    assert lint(tmp_path, made(privileges, role), runtime_tables=True) == ["6: grant"]


def test_a_function_of_a_schema_without_run_time_tables_may_grant_nothing(tmp_path: Path) -> None:
    assert lint(tmp_path, made("SELECT", "{{ reader }}")) == ["6: grant"]


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("EXECUTE 'CREATE EXTENSION x'", "superuser"),
        ("EXECUTE name", "dynamic-sql"),
        ("EXECUTE 'DROP TABLE ' || name", "dynamic-sql"),
        ("EXECUTE format('SELECT 1 FROM vex.%I', name)", "outside-schema"),
        ("INSERT INTO vex.vex_raw VALUES (1)", "outside-schema"),
        ("PERFORM count(*) FROM vex.vex_raw", "outside-schema"),
        ("EXECUTE 'SELEC 1'", "syntax"),
    ],
)
def test_statements_inside_a_function_are_read_and_located(tmp_path: Path, statement: str, rule: str) -> None:
    assert lint(tmp_path, function(statement)) == [f"6: {rule}"]


def test_a_waiver_with_a_reason_lets_one_statement_pass(tmp_path: Path) -> None:
    waiver = "-- lint: allow destructive: nobody has used it since 2025\n-- (see the release notes)\n"
    text = f"{waiver}DROP TABLE {{{{ schema }}}}.old;\nDROP VIEW {{{{ schema }}}}.v;\n"
    assert lint(tmp_path, text) == ["4: destructive"], "only the statement after it"


def accepted(directory: Path, text: str) -> list[str]:
    """What is found in ``<directory>/vuln`` with that ``lint.yaml``."""
    schema = directory / "vuln"
    schema.mkdir()
    (schema / "0001_x.sql.j2").write_text("DROP TABLE {{ schema }}.old;\nDROP VIEW {{ schema }}.v;\n")
    (directory / "lint.yaml").write_text(text)
    entries = Accepted.read(directory)
    _, lines = check_directory(schema, Place(TARGET), entries)
    return [line.partition(": ")[2].partition(";")[0] for line in (*entries.wrong, *lines, *entries.unused())]


def test_findings_of_an_applied_file_are_accepted_without_a_change_of_it(tmp_path: Path) -> None:
    text = 'accepted: [{file: "*/0001_x.sql.j2", rule: destructive, reason: a clean start}]\n'
    assert accepted(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('accepted: [{file: "vex/*", rule: destructive, reason: old}]', "nothing in vex/* breaks destructive"),
        ('accepted: [{file: "vuln/*", rule: lock, reason: old}]', "nothing in vuln/* breaks lock"),
        ('accepted: [{file: "vuln/*", rule: destructive, reason: " "}]', "accepted[1]: give a reason"),
        ('accepted: [{file: "vuln/*", rule: destructive}]', "accepted[1]: write file, rule and reason, each as text"),
        ('accepted: [{file: "vuln/*", rule: syntax, reason: old}]', "accepted[1]: there is no rule syntax to accept"),
        ("accepted: all", "write a list under accepted, each with file, rule and reason"),
        ("accepted: [", "it cannot be read"),
    ],
    ids=["other file", "other rule", "no reason", "field missing", "no such rule", "no list", "no YAML"],
)
def test_an_entry_that_lets_nothing_pass_is_a_finding_itself(tmp_path: Path, text: str, found: str) -> None:
    lines = accepted(tmp_path, text)
    assert any(line.startswith(found) for line in lines), lines
    assert len(lines) == 3, "and the two statements are found all the same"


def test_a_waiver_lets_no_other_rule_pass(tmp_path: Path) -> None:
    text = "-- lint: allow destructive: it is old\nDROP TABLE vex.old;\n"
    assert lint(tmp_path, text) == ["2: outside-schema"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("-- lint: allow destructive:\nDROP TABLE {{ schema }}.old;\n", ["1: waiver", "2: destructive"]),
        ("-- lint: allow destructive\nDROP TABLE {{ schema }}.old;\n", ["1: waiver", "2: destructive"]),
        ("-- lint: allow destroy: it is old\nDROP TABLE {{ schema }}.old;\n", ["1: waiver", "2: destructive"]),
        ("-- lint: allow destructive: it is old\nSELECT 1;\n", ["1: waiver"]),
        ("-- lint: allow destructive: it is old\n\nDROP TABLE {{ schema }}.old;\n", ["1: waiver", "3: destructive"]),
        ("SELECT 1;\n-- lint: allow destructive: it is old\n", ["2: waiver"]),
        (
            "-- lint: allow syntax: it is new\nDO $$ BEGIN SELEC 1; END $$;\n",
            ["1: waiver", "2: syntax"],
        ),
    ],
    ids=["no reason", "no colon", "no rule", "nothing", "not just before", "at the end", "syntax"],
)
def test_a_waiver_that_is_none_is_a_finding_itself(tmp_path: Path, text: str, found: list[str]) -> None:
    assert lint(tmp_path, text) == found


def test_a_change_of_evidence_cannot_be_waived(tmp_path: Path) -> None:
    text = "-- lint: allow evidence: it is old\nDELETE FROM {{ schema }}.old WHERE id = 1;\n"
    found = lint(tmp_path, text, append_only=frozenset({"old"}))
    assert found == ["1: waiver", "2: destructive", "2: evidence"]


def test_template_errors_are_findings_with_their_place(tmp_path: Path) -> None:
    tmp_path.joinpath("0001_x.sql.j2").write_text("SELECT 1;\nSELECT {{ x }};\n")
    _, (line,) = check_directory(tmp_path, Place(TARGET), Accepted(tmp_path))
    assert line.startswith(f"{tmp_path}/0001_x.sql.j2:2: 'x' is undefined")


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    program = [sys.executable, "-m", "tools", "check-migrations", *arguments]
    return subprocess.run(program, cwd=ROOT, text=True, capture_output=True, check=False)


def test_the_projects_own_migrations_have_no_finding() -> None:
    result = command()
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    assert result.stdout.startswith("sql: ") and result.stdout.endswith("migrations, no finding\n")


def test_the_command_fails_with_file_and_line_of_each_finding(tmp_path: Path) -> None:
    directory = tmp_path / "sql"
    shutil.copytree(ROOT / "sql", directory)
    directory.joinpath("vex", "0003_drop.sql.j2").write_text("\nDROP TABLE {{ schema }}.consensus;\n")
    result = command("--sql", str(directory))
    assert result.returncode == 1
    assert result.stdout.startswith(f"{directory}/vex/0003_drop.sql.j2:2: destructive: DROP of table vex.consensus; ")


def test_help_names_every_rule() -> None:
    shown = command("--help").stdout
    assert all(rule in shown for rule in RULES)
