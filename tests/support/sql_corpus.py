"""Statements of migrations with their effect: destructive, opening, evading, blocking and harmless ones.

Lint, preview and review are tested with the same table. Each statement is the second file of schema ``vuln``: the
first one created ``old (id int PRIMARY KEY, a int)`` and the append-only ``raw (id int PRIMARY KEY, source text)``.
"""

from dataclasses import dataclass

from provider.postgres.lint import Effect

APPEND_ONLY = frozenset({"raw", "finding_{policyId}_history"})
TABLES = (
    "CREATE TABLE {{ schema }}.old (id int PRIMARY KEY, a int, b text);\n"
    "CREATE TABLE {{ schema }}.raw (id int PRIMARY KEY, source text);\n"
)


@dataclass(frozen=True)
class Case:
    """``sql`` is the template's text."""

    effect: Effect
    sql: str


def _cases(effect: Effect, *statements: str) -> list[Case]:
    return [Case(effect, statement) for statement in statements]


def _function(body: str, clauses: str = "") -> str:
    return f"CREATE FUNCTION {{{{ schema }}}}.f() RETURNS void LANGUAGE plpgsql {clauses} AS $$ BEGIN {body}; END $$"


def _do(body: str) -> str:
    return f"DO $$ BEGIN {body}; END $$"


OLD, RAW = "{{ schema }}.old", "{{ schema }}.raw"
SAFE_PATH = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp"

CORPUS = [
    *_cases(
        Effect.DESTROYS_DATA,
        f"DROP TABLE {OLD}",
        f"DROP TABLE IF EXISTS {OLD} CASCADE",
        "DROP VIEW {{ schema }}.v",
        "DROP FUNCTION {{ schema }}.f(int)",
        f"TRUNCATE {OLD}",
        f"DELETE FROM {OLD}",
        f"DELETE FROM {OLD} WHERE a = 1",
        f"WITH gone AS (DELETE FROM {OLD} RETURNING id) SELECT count(*) FROM gone",
        f"WITH x AS (UPDATE {OLD} SET a = 0 RETURNING 1) SELECT 1",
        f"UPDATE {OLD} SET a = 1",
        f"UPDATE {OLD} SET a = 1 WHERE true",
        f"UPDATE {OLD} SET a = 1 WHERE id = id",
        f"UPDATE {OLD} SET a = 1 WHERE a = 1 OR true",
        f"UPDATE {OLD} SET a = 1 WHERE id IN (SELECT id FROM {OLD})",
        f"UPDATE {OLD} SET a = 1 WHERE id > 0",
        f"MERGE INTO {OLD} o USING {RAW} r ON o.id = r.id WHEN MATCHED THEN DELETE",
        f"ALTER TABLE {OLD} DROP COLUMN a",
        f"ALTER TABLE {OLD} DROP a",
        f"alter table if exists only {OLD}\n  add c int,\n  drop /* column */ if exists a cascade",
        'ALTER TABLE {{ schema }}."old" DROP "a"',
        f"ALTER TABLE {OLD} ALTER a TYPE smallint USING a % 100",
        f"ALTER TABLE {OLD} ALTER COLUMN b SET DATA TYPE varchar(3)",
        f"ALTER TABLE {OLD} RENAME TO older",
        f"ALTER TABLE {OLD} RENAME a TO c",
        f"ALTER TABLE {OLD} RENAME COLUMN a TO c",
        f"ALTER TABLE {OLD} SET SCHEMA public",
        f"ALTER TABLE {OLD} SET UNLOGGED",
        f"ALTER TABLE {OLD} DISABLE TRIGGER USER",
        f"CREATE RULE r AS ON INSERT TO {OLD} DO INSTEAD NOTHING",
        "ALTER TYPE {{ schema }}.kind RENAME VALUE 'a' TO 'b'",
        _do(f"DROP TABLE {OLD}"),
        _do(f"EXECUTE 'DROP TABLE {OLD}'"),
        _do("EXECUTE format('ALTER TABLE %I.old DROP COLUMN a', '{{ schema }}')"),
        _do(f"IF true THEN FOR i IN 1..2 LOOP UPDATE {OLD} SET a = 1; END LOOP; END IF"),
        f"CREATE FUNCTION {{{{ schema }}}}.f() RETURNS void LANGUAGE sql AS 'DELETE FROM {OLD}';\nSELECT {{{{ schema }}}}.f()",
        # Evidence.
        f"DELETE FROM {RAW} WHERE id = 1",
        f"UPDATE {RAW} SET source = 'x' WHERE id = 1",
        f"UPDATE {RAW} SET source = 'x' WHERE source IS NULL",
        f"UPDATE {RAW} SET source = 'x'",
        f"INSERT INTO {RAW} VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET source = 'x'",
        'DELETE FROM {{ schema }}."finding_7_history" WHERE finding_id = 1',
        f"DROP TRIGGER append_only_row ON {RAW}",
        f"ALTER TABLE {RAW} DISABLE TRIGGER append_only_row",
        f"ALTER TABLE {RAW} DISABLE TRIGGER ALL",
        f"ALTER TABLE {RAW} ENABLE TRIGGER append_only_row",
        f"ALTER TABLE {RAW} ENABLE REPLICA TRIGGER append_only_row",
        f"ALTER TRIGGER append_only_row ON {RAW} RENAME TO x",
        f"CREATE OR REPLACE TRIGGER append_only_row BEFORE DELETE ON {RAW} FOR EACH ROW EXECUTE FUNCTION {{{{ schema }}}}.g()",
        f"CREATE TRIGGER t BEFORE INSERT ON {RAW} FOR EACH ROW EXECUTE FUNCTION {{{{ schema }}}}.g()",
        f"CREATE RULE r AS ON INSERT TO {RAW} DO INSTEAD NOTHING",
        "CREATE OR REPLACE FUNCTION {{ schema }}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$",
        "ALTER FUNCTION {{ schema }}.refuse_change() RENAME TO x",
        "DROP FUNCTION {{ schema }}.refuse_change() CASCADE",
        f"ALTER TABLE {RAW} ALTER source TYPE varchar(3)",
        "SET LOCAL session_replication_role = replica",
        "SELECT set_config('session_replication_role', 'replica', true)",
    ),
    *_cases(
        Effect.WIDENS_ACCESS,
        f"GRANT SELECT ON {OLD} TO PUBLIC",
        f"GRANT ALL ON {OLD} TO scanner",
        f"GRANT SELECT (a) ON {OLD} TO {{{{ reader }}}}",
        "GRANT {{ owner }} TO scanner",
        f"ALTER TABLE {OLD} OWNER TO scanner",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
        "CREATE ROLE more LOGIN",
        "SELECT set_config('role', 'postgres', true)",
        "SELECT pg_catalog.set_config('ROLE', 'none', false)",
        _do("PERFORM set_config('session_authorization', 'postgres', false)"),
        _do("SET ROLE postgres"),
        "SELECT pg_read_file('/etc/passwd')",
        f"INSERT INTO {OLD} (b) SELECT pg_catalog.pg_read_binary_file('postgresql.conf')::text",
        "SELECT pg_ls_dir('.')",
        "SELECT lo_import('/etc/passwd')",
        _function("PERFORM pg_read_file('x')"),
        _function("NULL", "SECURITY DEFINER"),
        _function("NULL", "SECURITY DEFINER SET search_path = public"),
        "ALTER FUNCTION {{ schema }}.f() SECURITY DEFINER",
        f"CREATE VIEW {{{{ schema }}}}.v AS SELECT id FROM {OLD}",
        f"CREATE VIEW {{{{ schema }}}}.v WITH (security_invoker = false) AS SELECT id FROM {OLD}",
        "ALTER VIEW {{ schema }}.v SET (security_invoker = false)",
        "ALTER VIEW {{ schema }}.v RESET (security_invoker)",
        f"CREATE MATERIALIZED VIEW {{{{ schema }}}}.m AS SELECT id FROM {OLD}",
        f"CREATE POLICY p ON {OLD} USING (true)",
        f"ALTER TABLE {OLD} DISABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {OLD} NO FORCE ROW LEVEL SECURITY",
        f"CREATE TABLE {{{{ schema }}}}.child () INHERITS ({RAW})",
        f"ALTER TABLE {OLD} INHERIT {RAW}",
        f"ALTER TABLE {RAW} ATTACH PARTITION {OLD} DEFAULT",
        "SET LOCAL row_security = on",
    ),
    *_cases(
        Effect.MAY_DO_ANYTHING,
        "DO $$ DECLARE x text; BEGIN SELECT b INTO x FROM {{ schema }}.old; EXECUTE x; END $$",
        _do("EXECUTE 'DROP ' || 'TABLE x'"),
        _do("EXECUTE (SELECT b FROM {{ schema }}.old)"),
        _function("EXECUTE (SELECT b FROM {{ schema }}.old)"),
        "DO LANGUAGE plperl $$ 1 $$",
        "SELECT {{ schema }}.clean_up()",
        "CALL {{ schema }}.clean_up()",
        _do("CALL {{ schema }}.clean_up()"),
        "DO $$ DECLARE x int := {{ schema }}.clean_up(); BEGIN x := 1; END $$",
        _do("IF {{ schema }}.clean_up() THEN NULL; END IF"),
        f"CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON {OLD} ({{{{ schema }}}}.clean_up(a))",
        f"SELECT 1 FROM {OLD} WHERE a OPERATOR({{{{ schema }}}}.@) 1",
        f"COPY {OLD} FROM PROGRAM 'curl x'",
        f"COPY {OLD} TO PROGRAM 'curl x'",
        f"COPY {OLD} TO '/tmp/x'",
        "SELECT lo_export(1, '/tmp/x')",
        "SELECT dblink_exec('dbname=x', 'DROP TABLE x')",
        "SELECT query_to_xml('DELETE FROM x', true, true, '')",
        "SELECT pg_terminate_backend(1)",
        "SELECT set_config(b, 'x', true) FROM {{ schema }}.old",
        "SELECT set_config('search_path', 'public', true)",
        "CREATE FUNCTION {{ schema }}.f() RETURNS int LANGUAGE c AS 'x', 'y'",
        "CREATE EXTENSION dblink",
        "ALTER SYSTEM SET work_mem = '1GB'",
        "INSERT INTO vex.vex_raw VALUES (1)",
        "SELECT vex.next()",
        "EXECUTE prepared",
        "LISTEN x",
    ),
    *_cases(
        Effect.REVOKES,
        f"REVOKE SELECT ON {OLD} FROM {{{{ reader }}}}",
    ),
    *_cases(
        Effect.BLOCKING,
        f"CREATE INDEX ON {OLD} (a)",
        "DROP INDEX {{ schema }}.old_a_idx",
        f"ALTER TABLE {OLD} ALTER a SET NOT NULL",
        f"ALTER TABLE {OLD} ADD c uuid DEFAULT gen_random_uuid()",
        f"ALTER TABLE {OLD} ADD CONSTRAINT c CHECK (a > 0)",
        f"LOCK TABLE {OLD} IN SHARE MODE",
        "SET LOCAL lock_timeout = 0",
    ),
    *_cases(
        Effect.ADDITIVE,
        "CREATE TABLE {{ schema }}.t (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), at timestamptz DEFAULT now())",
        "CREATE TABLE {{ schema }}.t (id int);\nCREATE INDEX ON {{ schema }}.t (id);\nUPDATE {{ schema }}.t SET id = 1",
        f"ALTER TABLE {OLD} ADD c text DEFAULT 'DROP TABLE x'",
        f"ALTER TABLE {RAW} ADD c text",
        f"ALTER TABLE {OLD} ADD CONSTRAINT c CHECK (a > 0) NOT VALID",
        f"ALTER TABLE {OLD} VALIDATE CONSTRAINT c",
        f"ALTER TABLE {OLD} ALTER a DROP NOT NULL, ALTER a DROP DEFAULT",
        f"INSERT INTO {OLD} (id, b) VALUES (1, 'DELETE FROM x; DROP TABLE y')",
        f"INSERT INTO {RAW} VALUES (1, 'x') ON CONFLICT DO NOTHING",
        f"UPDATE {OLD} SET a = 1 WHERE a IS NULL",
        f"UPDATE {OLD} SET b = lower(b) WHERE a = 1",
        f"-- DROP TABLE {OLD};\nSELECT 1 /* TRUNCATE x */",
        f"SELECT count(*) FROM {OLD}",
        f"CREATE VIEW {{{{ schema }}}}.v WITH (security_invoker = true) AS SELECT id FROM {OLD}",
        f"CREATE VIEW {{{{ schema }}}}.v WITH (security_invoker) AS SELECT id FROM {OLD}",
        _function(f"DELETE FROM {OLD} WHERE a = 1"),
        _function("NULL", SAFE_PATH),
        "CREATE FUNCTION {{ schema }}.f(t {{ schema }}.old) RETURNS int BEGIN ATOMIC SELECT t.a AS end; END",
        f"CREATE TRIGGER t AFTER INSERT ON {RAW} FOR EACH ROW EXECUTE FUNCTION {{{{ schema }}}}.g()",
        f"CREATE TRIGGER t BEFORE INSERT ON {OLD} FOR EACH ROW EXECUTE FUNCTION {{{{ schema }}}}.g()",
        "CREATE TYPE {{ schema }}.kind AS ENUM ('a')",
        "ALTER TYPE {{ schema }}.kind ADD VALUE 'b'",
        f"CREATE TABLE {{{{ schema }}}}.part PARTITION OF {RAW} FOR VALUES IN (1)",
        f"COMMENT ON TABLE {OLD} IS 'DROP TABLE x'",
        "REVOKE ALL ON FUNCTION {{ schema }}.f() FROM PUBLIC",
        "ALTER INDEX {{ schema }}.old_pkey RENAME TO old_key",
        "SET LOCAL work_mem = '64MB'",
        _do(f"INSERT INTO {OLD} (id) SELECT generate_series(1, 3)"),
        "CREATE FUNCTION {{ schema }}.f() RETURNS int LANGUAGE sql AS 'SELECT 1';\nSELECT {{ schema }}.f()",
        "SELECT setval('{{ schema }}.old_id_seq', 5)",
    ),
]  # fmt: skip
